"""The redrive desk: what has failed, and running it again without paying or deciding anything twice.

A failed case runs again as a new execution over the same case file: paid steps and decisions come back from
their stored results. The ledger goes first. One conditional write gives the case the number of its next run,
says who asked, and makes the case `queued`; then the execution of that name is started. Two people at once
make one write and start one execution; where a crash came between, asking again starts it, and a sweep fails
the case once more, so that it is listed here.

A dead letter goes back to its queue where somebody still waits for what it asks. Where its case has failed
meanwhile, the case is what runs again, and the letter is put away.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Literal, Protocol

from countersign.approvals import Person
from countersign.clock import instant
from countersign.dead_letters import DeadLetters, Kind, Letter, Reasons
from countersign.errors import EngineUnavailable, NotFound, NotRedrivable, StoreConflict
from countersign.ledger import Ledger, Rejected, is_case_id
from countersign.models import CaseHead, CaseRef, CaseStatus, Delivery, Intake, LedgerEvent
from countersign.sweeping import ALIVE

WRITE_ATTEMPTS = 4
PAGE = 25
"""Failed cases that one call for all of them redrives; it says where to go on."""
AT_ONCE = 100
"""Dead letters of one queue that a call lists or redrives at most: each costs a few calls of AWS."""
DEFAULT_TENANT = "default"
"""Whose operators see messages that cannot be read, and so name no tenant: those of the installation itself.

Somebody has to, and what they learn is that a message is there: nothing of what it holds is shown.
"""

type Did = Literal["started", "queued_again", "put_away"]


class Executions(Protocol):
    """Step Functions as far as a redrive needs it."""

    def status(self, name: str) -> str | None:
        """As Step Functions has it; None where there is no such execution."""
        ...

    def start(self, intake: Intake) -> bool:
        """False where the execution of this case's run had been started before. Raises EngineUnavailable."""
        ...


class Tasks(Protocol):
    """Step Functions' waiting tasks."""

    def waits(self, token: str) -> bool:
        """Whether a task still waits for this token's answer. Raises EngineUnavailable."""
        ...


@dataclass(frozen=True)
class Failed:
    """What waits for an operator: a case that failed, or a letter, which has no case where it cannot be read.

    `reason` says what went wrong, in an error's name or in words; `state` is where a case failed. A case
    whose text was erased is not `redrivable`.
    """

    id: str
    kind: Literal["case"] | Kind
    ref: CaseRef | None
    state: str | None
    reason: str
    at: str
    redrivable: bool = True


@dataclass(frozen=True)
class Redriven:
    """What became of a failure. `execution` is that of its case, None where the case has none yet."""

    id: str
    ref: CaseRef | None
    execution: str | None
    did: Did


@dataclass(frozen=True)
class Refused:
    """A failure that was not redriven, and why, in one sentence."""

    id: str
    reason: str


@dataclass
class Redrives:
    """How several redrives went: one that is refused does not stop the others. `cursor` is where to go on."""

    redriven: list[Redriven] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    cursor: str | None = None

    def attempt(self, id: str, act: Callable[[], Redriven]) -> bool:
        """Whether it was done."""
        try:
            self.redriven.append(act())
        except (NotFound, NotRedrivable) as error:
            self.refused.append(Refused(id, str(error)))
            return False
        except (StoreConflict, EngineUnavailable):
            self.refused.append(Refused(id, "this could not be done just now; please try again"))
            return False
        return True


@dataclass(frozen=True)
class Redriver:
    """The ledger, the engine and the dead letters of both queues."""

    ledger: Ledger
    executions: Executions
    tasks: Tasks
    queues: Sequence[DeadLetters]
    reasons: Reasons

    def letters(self, tenant: str) -> list[Failed]:
        """The dead letters of a tenant's cases, the latest first."""
        found = []
        for queue in self.queues:
            letters = queue.receive()
            queue.give_back(letters)
            mine = [letter for letter in letters if _is_for(letter, tenant)]
            found += [self._failed_letter(letter) for letter in mine[:AT_ONCE]]
        return sorted(found, key=lambda failed: failed.at, reverse=True)

    def cases(self, tenant: str, limit: int, cursor: str | None) -> tuple[list[Failed], str | None]:
        """A page of a tenant's failed cases, the latest first. Raises InvalidRequest for a wrong cursor."""
        heads, following = self.ledger.cases(tenant, CaseStatus.FAILED, limit, cursor)
        return [_failed_case(head) for head in heads], following

    def redrive_case(self, ref: CaseRef, person: Person, now: datetime) -> Redriven:
        """Starts the next run of a failed case; where somebody has just asked for it, that one.

        Raises NotFound, NotRedrivable where the case has not failed or its execution has not ended,
        StoreConflict, EngineUnavailable.
        """
        head = self._claim_run(ref, person, now)
        self.executions.start(
            Intake(
                tenant=ref.tenant,
                case_id=ref.case_id,
                source=head.source,
                received_at=head.created_at,
                run=head.run,
            )
        )
        return Redriven(ref.case_id, ref, head.execution, "started")

    def redrive(self, tenant: str, ids: Sequence[str], person: Person, now: datetime) -> Redrives:
        """Redrives failures by their ids."""
        redrives = Redrives()
        letters = {each for each in ids if ":" in each}
        for queue in self.queues:
            if any(each.startswith(f"{queue.kind}:") for each in letters):
                self._redrive_letters(queue, tenant, letters, person, now, redrives)
        met = {each.id for each in redrives.redriven} | {each.id for each in redrives.refused}
        missing = "there is no such dead letter, or somebody else is looking at it right now"
        redrives.refused += [Refused(each, missing) for each in sorted(letters - met)]
        for case_id in dict.fromkeys(each for each in ids if each not in letters):
            redrives.attempt(case_id, partial(self._redrive_named, tenant, case_id, person, now))
        return redrives

    def redrive_all(self, tenant: str, cursor: str | None, person: Person, now: datetime) -> Redrives:
        """Redrives a page of failed cases and, without a cursor, the dead letters before them.

        Raises InvalidRequest for a wrong cursor.
        """
        # Read first, as what is redriven leaves this list.
        heads, following = self.ledger.cases(tenant, CaseStatus.FAILED, PAGE, cursor)
        redrives = Redrives(cursor=following)
        for queue in self.queues if cursor is None else ():
            self._redrive_letters(queue, tenant, None, person, now, redrives)
        started = {each.ref for each in redrives.redriven if each.did == "started"}
        for head in heads:
            if head.ref not in started:
                redrives.attempt(head.case_id, partial(self.redrive_case, head.ref, person, now))
        return redrives

    def _claim_run(self, ref: CaseRef, person: Person, now: datetime) -> CaseHead:
        """The head with the number of the run to start, written by us or by whoever was faster."""
        for _ in range(WRITE_ATTEMPTS):
            head = self.ledger.head(ref)
            if head is None:
                raise NotFound("there is no such case")
            if head.forgotten_at:
                raise NotRedrivable("the text of this case was erased on request, so it cannot run again")
            if head.status is CaseStatus.QUEUED and head.run > 1:
                return head
            if head.status is not CaseStatus.FAILED:
                state = head.status.value.replace("_", " ")
                raise NotRedrivable(f"the case is {state}, and only one that failed runs again")
            if self.executions.status(head.execution) in ALIVE:
                raise NotRedrivable("the case's execution has not ended yet; try again in a moment")
            at, run = instant(now), head.run + 1
            line = LedgerEvent(
                at=at,
                event="case.redriven",
                actor=person.name,
                detail={
                    "run": run,
                    "execution": ref.execution_name(run),
                    "channel": person.channel,
                    **({"subject": person.subject} if person.subject else {}),
                },
            )
            with suppress(Rejected):  # somebody else was faster, then
                self.ledger.commit(
                    [
                        self.ledger.set_status(ref, CaseStatus.QUEUED, at, run=run, seen=head.updated_at),
                        self.ledger.put_event(ref, f"redriven#r{run}", line),
                    ]
                )
                return head.model_copy(update={"run": run})
        raise StoreConflict(f"the head of case {ref.case_id} was written by others {WRITE_ATTEMPTS} times")

    def _redrive_named(self, tenant: str, case_id: str, person: Person, now: datetime) -> Redriven:
        if not is_case_id(case_id):
            raise NotFound("there is no such case")
        return self.redrive_case(CaseRef(tenant=tenant, case_id=case_id), person, now)

    def _redrive_letters(
        self,
        queue: DeadLetters,
        tenant: str,
        wanted: set[str] | None,
        person: Person,
        now: datetime,
        redrives: Redrives,
    ) -> None:
        """Those of the tenant with a wanted id, or any."""
        letters = queue.receive()
        mine = [each for each in letters if _is_for(each, tenant) and (wanted is None or each.id in wanted)]
        del mine[AT_ONCE:]
        # The others first: where this call dies, it has taken nothing from them.
        queue.give_back([letter for letter in letters if letter not in mine])
        queue.give_back(
            [
                letter
                for letter in mine
                if not redrives.attempt(letter.id, partial(self._redrive_letter, queue, letter, person, now))
            ]
        )

    def _redrive_letter(self, queue: DeadLetters, letter: Letter, person: Person, now: datetime) -> Redriven:
        head = self.ledger.head(letter.ref) if letter.ref else None
        if letter.kind == "intake" or head is None:
            queue.send_back(letter)
            return Redriven(letter.id, letter.ref, head.execution if head else None, "queued_again")
        if head.status is CaseStatus.FAILED:
            started = self.redrive_case(head.ref, person, now)
            queue.put_away(letter)
            return Redriven(letter.id, letter.ref, started.execution, "started")
        delivery = Delivery.model_validate_json(letter.body)
        if not self.tasks.waits(delivery.task_token):
            # The case has ended otherwise, or a later run of it has a message of its own.
            queue.put_away(letter)
            return Redriven(letter.id, letter.ref, head.execution, "put_away")
        at = instant(now)
        line = LedgerEvent(
            at=at,
            event="delivery.queued_again",
            actor=person.name,
            detail={"approval_id": delivery.approval_id, "attempt": delivery.attempt},
        )
        self.ledger.append(head.ref, f"queued_again#{letter.message_id}#{at}", line)
        queue.send_back(letter)
        return Redriven(letter.id, letter.ref, head.execution, "queued_again")

    def _failed_letter(self, letter: Letter) -> Failed:
        reason = self.reasons.of(letter.body)
        if letter.ref is None:
            reason += "; the message cannot be read"
        elif letter.kind == "delivery" and (head := self.ledger.head(letter.ref)):
            reason += f"; its case is {head.status.value.replace('_', ' ')}"
        return Failed(letter.id, letter.kind, letter.ref, None, reason, letter.sent_at)


def _is_for(letter: Letter, tenant: str) -> bool:
    return tenant == (letter.ref.tenant if letter.ref else DEFAULT_TENANT)


def _failed_case(head: CaseHead) -> Failed:
    return Failed(
        head.case_id,
        "case",
        head.ref,
        head.failed_in,
        head.outcome or "",
        head.updated_at,
        redrivable=head.forgotten_at is None,
    )
