"""Accounting for every event that was acknowledged: ended, moving, in a queue of dead letters, or none of it.

An acknowledged event lies in the case files bucket, so the listing of those objects is what has to be
accounted for. What is found to be lost is put back where it was lost; all of it may be done again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from countersign.approvals import Person
from countersign.budgets import Holds
from countersign.case_file import CaseFiles, raw_key
from countersign.clock import instant, parse
from countersign.endings import FINAL, Failure, fail_case
from countersign.errors import CaseFileMissing, EngineUnavailable, NotFound, NotRedrivable, StoreConflict
from countersign.intake import IntakeQueue, derive_case_id
from countersign.ledger import Ledger
from countersign.models import CaseHead, CaseRef, CaseStatus, Intake, RawEvent, Record
from countersign.redriving import Redriver
from countersign.sources import Source
from countersign.sweeping import ALIVE, Executions

GRACE_S = 900
"""How long an event is left to its queue, and a case to the sweep that finishes what a crash left."""
LISTINGS = 10
"""Listings of up to 1,000 events that one page makes at most."""
HEADS = 1_000
"""Heads that one page reads, and what it takes for enough."""
LOOKS = 100
"""Executions that one page asks for at most."""
RUNS = 20
"""Runs of a case without a head that are looked for at most."""


class Loss(StrEnum):
    """Why an event is listed as lost."""

    NOT_STARTED = "not_started"
    NOT_OPENED = "not_opened"
    ABANDONED = "abandoned"


class Unaccounted(Record):
    """An event that has not ended, does not move and is no dead letter, with what is known of it.

    `status` is the head's, `execution` that of the current run as Step Functions has it; None where there is
    none.
    """

    case_id: str
    received_at: str
    status: CaseStatus | None
    execution: str | None
    reason: Loss


@dataclass
class Account:
    """One page: how many events were accepted, and what became of them. `cursor` is None on the last."""

    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    moving: int = 0
    dead_letters: int = 0
    unaccounted: list[Unaccounted] = field(default_factory=list)
    cursor: str | None = None


@dataclass(frozen=True)
class Repair:
    """What was done about a lost event: `queued` for its first run, or `redriven` under another name."""

    case_id: str
    did: Literal["queued", "redriven"]
    execution: str


class NotRepaired(Exception):
    """Nothing was done about an event; the message says why."""


@dataclass(frozen=True)
class Reconciler:
    """The stores that an account compares."""

    files: CaseFiles
    ledger: Ledger
    holds: Holds
    executions: Executions
    redriver: Redriver
    queue: IntakeQueue

    def account(self, tenant: str, since: datetime | None, cursor: str | None, now: datetime) -> Account:
        """The tenant's events kept since then, by case id, from behind the cursor (a case id) on.

        Bounded in its calls: a page may be short, or empty, and still have a cursor.
        """
        page = Account(cursor=cursor)
        looks = _Looks(self, tenant, now)
        read = 0
        for _ in range(LISTINGS):
            listed, more = self.files.events(tenant, page.cursor)
            wanted = [(case_id, at) for case_id, at in listed if since is None or at >= since]
            heads = self.ledger.heads(CaseRef(tenant=tenant, case_id=case_id) for case_id, _ in wanted)
            read += len(wanted)
            for case_id, at in wanted:
                if not looks.place(page, CaseRef(tenant=tenant, case_id=case_id), at, heads.get(case_id)):
                    return page
                page.accepted += 1
                page.cursor = case_id
            page.cursor = listed[-1][0] if more else None
            if not more or read >= HEADS:
                break
        return page

    def repair(self, ref: CaseRef, person: Person, now: datetime) -> Repair:
        """Puts a lost event back on the intake queue, or runs its case again where its execution is gone.

        Judges by what is so now, whatever a list said. Raises NotRepaired, StoreConflict, EngineUnavailable.
        """
        try:
            raw = self.files.get_model(raw_key(ref), RawEvent)
        except CaseFileMissing:
            raise NotRepaired("there is no such event") from None
        head = self.ledger.head(ref)
        if head is not None:
            return self._redrive(head, person, now)
        run = self._free_run(ref)
        self.queue.send(
            Intake(
                tenant=ref.tenant,
                case_id=ref.case_id,
                source=raw.source,
                received_at=raw.received_at,
                run=run,
            )
        )
        return Repair(ref.case_id, "queued" if run == 1 else "redriven", ref.execution_name(run))

    def _free_run(self, ref: CaseRef) -> int:
        """The first run that has no execution yet, where none of those before it is alive."""
        for run in range(1, RUNS + 1):
            status = self.executions.status(ref.execution_name(run))
            if status is None:
                return run
            if status in ALIVE:
                raise NotRepaired("its execution runs")
        raise NotRepaired(f"its case could not be opened in {RUNS} runs: mend the cause first")

    def _redrive(self, head: CaseHead, person: Person, now: datetime) -> Repair:
        """Ends the run whose execution is gone, and starts the next one."""
        if head.status in FINAL:
            raise NotRepaired(f"the case has ended as {head.status.value}")
        status = self.executions.status(head.execution)
        if status in ALIVE:
            raise NotRepaired("its execution runs")
        # One that somebody has asked to run again, and that was not started, is started as it stands.
        if head.status is not CaseStatus.QUEUED or status is not None:
            failure = Failure("execution", status or "ExecutionMissing", head.run)
            fail_case(self.ledger, self.holds, head.ref, failure, now)
        try:
            started = self.redriver.redrive_case(head.ref, person, now)
        except (NotFound, NotRedrivable) as error:
            raise NotRepaired(str(error)) from None
        return Repair(head.case_id, "redriven", str(started.execution))


class _Looks:
    """What one page asks beyond its listings: executions one by one, dead letters once, where it has to."""

    def __init__(self, desk: Reconciler, tenant: str, now: datetime) -> None:
        self._desk = desk
        self._tenant = tenant
        self._now = now
        self._left = LOOKS
        self._dead: set[str] | None = None

    def place(self, page: Account, ref: CaseRef, at: datetime, head: CaseHead | None) -> bool:
        """Counts an event in the page where it belongs; False where it needs a look and none is left."""
        if head and head.status in FINAL:
            page.ended[head.status.value] += 1
            return True
        if self._is_young(parse(head.updated_at) if head else at):
            page.moving += 1
            return True
        if not self._left:
            return False
        self._left -= 1
        run = head.execution if head else ref.execution_name(1)
        execution = self._desk.executions.status(run)
        if execution in ALIVE:
            page.moving += 1
            return True
        # It may have ended, or been opened, between the two questions.
        again = self._desk.ledger.head(ref)
        if again and again.status in FINAL:
            page.ended[again.status.value] += 1
        elif again != head:
            page.moving += 1
        elif self._is_dead_letter(ref.case_id):
            page.dead_letters += 1
        else:
            page.unaccounted.append(
                Unaccounted(
                    case_id=ref.case_id,
                    received_at=instant(at),
                    status=head.status if head else None,
                    execution=execution,
                    reason=_loss(head, execution),
                )
            )
        return True

    def _is_young(self, at: datetime) -> bool:
        return (self._now - at).total_seconds() < GRACE_S

    def _is_dead_letter(self, case_id: str) -> bool:
        if self._dead is None:
            self._dead = set(self._dead_letters())
        return case_id in self._dead

    def _dead_letters(self) -> Iterator[str]:
        """The tenant's cases whose messages lie among the dead letters, as far as a look shows them."""
        for queue in self._desk.redriver.queues:
            letters = queue.receive()
            queue.give_back(letters)
            yield from (each.ref.case_id for each in letters if each.ref and each.ref.tenant == self._tenant)


def _loss(head: CaseHead | None, execution: str | None) -> Loss:
    if head:
        return Loss.ABANDONED
    return Loss.NOT_OPENED if execution else Loss.NOT_STARTED


def repair_all(
    desk: Reconciler, refs: Iterable[CaseRef], person: Person, now: datetime
) -> tuple[list[Repair], list[tuple[str, str]]]:
    """Repairs each; returns what was done, and the case ids of the others with the reason."""
    done, refused = [], []
    for ref in refs:
        try:
            done.append(desk.repair(ref, person, now))
        except NotRepaired as reason:
            refused.append((ref.case_id, str(reason)))
        except (StoreConflict, EngineUnavailable):
            refused.append((ref.case_id, "this could not be done just now; please try again"))
    return done, refused


def unknown_events(files: CaseFiles, ledger: Ledger, source: Source, event_ids: Iterable[str]) -> list[str]:
    """Those of a source's event ids under which no event was accepted, in their order."""
    refs = {
        event_id: CaseRef(tenant=source.tenant, case_id=derive_case_id(source.tenant, source.name, event_id))
        for event_id in event_ids
    }
    heads = ledger.heads(refs.values())
    # One that was only just accepted has no head yet.
    return [
        event_id for event_id, ref in refs.items() if ref.case_id not in heads and not files.has(raw_key(ref))
    ]
