"""The arbiter: one conditional write on the approval row decides, whoever asks and through whatever channel.

    pending --decide--> decided      a person, before the deadline, on what they were shown
    pending --expire--> expired      the clock

What is shown is a `Proposal`, stored as canonical JSON under its hash. A person sends that hash back to say
what they saw; where they approve, delivery checks the same one. Only after the row has decided is Step
Functions told; a sweep tells it again where a crash came between.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from countersign.case_file import CaseFiles, decision_key
from countersign.clock import instant, parse
from countersign.decisions import Approval, ApprovalStatus, DecisionBody, DecisionDocument, Terms
from countersign.errors import (
    AlreadyDecided,
    ApprovalExpired,
    ApprovalMissing,
    EngineUnavailable,
    InvalidRequest,
    StaleCard,
    StoreConflict,
)
from countersign.excerpts import is_blank
from countersign.items import Item
from countersign.ledger import Ledger, Rejected, approval_closed
from countersign.models import CaseFile, CaseRef, CaseStatus, LedgerEvent, canonical_json, sha256_hex
from countersign.proposals import propose, sign_edit

WRITE_ATTEMPTS = 4
ASKED_ANEW = {
    "round",
    "subject",
    "expires_at",
    "escalated",
    "shown_sha256",
    "proposal_key",
    "policy",
    "risk",
    "reviewer_score",
    "cost_usd",
    "has_draft",
    "too_long_by",
    "reason",
}
"""What an approval takes over from a new request: what is shown, and until when."""


class Tasks(Protocol):
    """Step Functions as far as an approval needs it."""

    def succeed(self, token: str, output: dict[str, str | int]) -> bool:
        """False where the task is closed, timed out or unknown: nobody waits for this any more.

        Raises EngineUnavailable where it could not be told.
        """
        ...


@dataclass(frozen=True)
class Person:
    """Who decides, as the channel has established it.

    `name` is what people read; `subject` the issuer's own id of the person, which the ledger keeps beside it.
    """

    name: str
    channel: str
    subject: str | None = None


@dataclass(frozen=True)
class Arbiter:
    """The stores and the engine that a decision needs."""

    ledger: Ledger
    files: CaseFiles
    tasks: Tasks

    def request(
        self,
        file: CaseFile,
        round_number: int,
        terms: Terms,
        token: str | None,
        now: datetime,
        reason: str | None,
        letting_go: Sequence[Item] = (),
    ) -> Approval:
        """Opens the approval of a round, or binds a new task to the one that is there.

        `letting_go` are the writes by which the case gives back what it held for drafting, in the same
        transaction: people who think hold nothing. They are refused where that has happened before.

        A redriven execution, or one whose console answer was malformed, finds the row: decided, then its
        task is answered at once; pending, then the row takes the new token, a new deadline, what is shown now
        and a higher version. The same task asking twice changes nothing.

        Raises ApprovalMissing, StoreConflict.
        """
        approval, proposal = propose(file, round_number, terms, token, now, reason)
        self.files.put_once(approval.proposal_key, proposal)
        event = LedgerEvent(
            at=approval.requested_at,
            event="approval.requested",
            actor="countersign",
            detail={
                "approval_id": approval.approval_id,
                "shown_sha256": approval.shown_sha256,
                "policy": f"{terms.policy.name}@{terms.policy.version}",
                "expires_at": approval.expires_at,
                **({"reason": reason} if reason else {}),
            },
        )
        opening = [
            self.ledger.put_approval(approval),
            self.ledger.set_status(
                file.ref,
                CaseStatus.AWAITING_APPROVAL,
                approval.requested_at,
                approval_id=approval.approval_id,
            ),
            self.ledger.put_event(file.ref, f"approval#{approval.approval_id}", event),
        ]
        try:
            self.ledger.commit_with(opening, letting_go)
        except Rejected:
            return self._bind(
                file.ref, approval.approval_id, token, now, "approval.asked_again", approval, letting_go
            )
        return approval

    def escalate(self, ref: CaseRef, approval_id: str, token: str, now: datetime) -> Approval:
        """Gives a pending row the task of the next people; answers that task at once where the row is closed.

        Raises ApprovalMissing, StoreConflict.
        """
        return self._bind(ref, approval_id, token, now, "approval.escalated", None)

    def _bind(
        self,
        ref: CaseRef,
        approval_id: str,
        token: str | None,
        now: datetime,
        name: str,
        anew: Approval | None,
        letting_go: Sequence[Item] = (),
    ) -> Approval:
        """Gives a pending row a new task token and, where it is asked anew, what the new request shows."""
        for _ in range(WRITE_ATTEMPTS):
            approval = self._read(ref, approval_id)
            if approval.status is not ApprovalStatus.PENDING:
                self.ledger.commit_with([], letting_go)
                try:
                    self.tell(approval.model_copy(update={"task_token": token}))
                except EngineUnavailable as error:
                    # Only this step knows the new token, so it is the step that has to be done again.
                    raise StoreConflict(str(error)) from error
                return approval
            if approval.task_token == token:
                return approval  # the same task: its first call was cut off after it had written
            at, version = instant(now), approval.version + 1
            values: dict[str, Any] = {"task_token": token, "version": version}
            if anew is None:
                values["escalated"] = True
            else:
                values |= anew.model_dump(mode="json", include=ASKED_ANEW)
            event = LedgerEvent(
                at=at,
                event=name,
                actor="countersign",
                detail={
                    "approval_id": approval_id,
                    "version": version,
                    **({"shown_sha256": anew.shown_sha256, "expires_at": anew.expires_at} if anew else {}),
                },
            )
            with suppress(Rejected, StoreConflict):
                self.ledger.commit_with(
                    [
                        self.ledger.change_approval(ref, approval_id, values, version=approval.version),
                        self.ledger.set_status(
                            ref, CaseStatus.AWAITING_APPROVAL, at, approval_id=approval_id
                        ),
                        self.ledger.put_event(ref, f"approval#{approval_id}#v{version}", event),
                    ],
                    letting_go,
                )
                return Approval.model_validate({**approval.model_dump(), **values})
        raise StoreConflict(f"approval {approval_id} was written by others {WRITE_ATTEMPTS} times")

    def decide(self, approval: Approval, body: DecisionBody, person: Person, now: datetime) -> Approval:
        """Records a person's decision and tells Step Functions.

        The decision stands whether or not the engine could be told; a sweep tells it again.

        Raises InvalidRequest, StaleCard, AlreadyDecided, ApprovalExpired, StoreConflict; SignedBytesChanged
        where the stored proposal is not the one whose hash the row holds.
        """
        for _ in range(WRITE_ATTEMPTS):
            check_open(approval, now)
            if body.shown_sha256 != approval.shown_sha256:
                raise StaleCard("what you were shown has changed since; open the approval again")
            check_body(body, approval)
            columns = self._columns(approval, body, person, instant(now))
            decided = approval.model_copy(update={**columns, "status": ApprovalStatus.DECIDED})
            try:
                self._close(decided, columns, person, version=approval.version, before=instant(now))
            except (Rejected, StoreConflict):
                approval = self._read(approval.ref, approval.approval_id)
                continue
            with suppress(EngineUnavailable):
                self.tell(decided)
            return decided
        raise StoreConflict(f"approval {approval.approval_id} was written by others {WRITE_ATTEMPTS} times")

    def expire(self, ref: CaseRef, approval_id: str, now: datetime) -> Approval:
        """Closes a row nobody decided; an earlier decision stands. Raises ApprovalMissing, StoreConflict."""
        for _ in range(WRITE_ATTEMPTS):
            approval = self._read(ref, approval_id)
            if approval.status is not ApprovalStatus.PENDING:
                return approval
            at = instant(now)
            values = approval_closed(ref.tenant, at, status=ApprovalStatus.EXPIRED.value)
            event = LedgerEvent(
                at=at, event="approval.expired", actor="countersign", detail={"approval_id": approval_id}
            )
            with suppress(Rejected, StoreConflict):
                self.ledger.commit(
                    [
                        self.ledger.change_approval(ref, approval_id, values, version=approval.version),
                        self.ledger.put_event(ref, f"expired#{approval_id}", event),
                    ]
                )
                return approval.model_copy(update={"status": ApprovalStatus.EXPIRED})
        raise StoreConflict(f"approval {approval_id} was written by others {WRITE_ATTEMPTS} times")

    def tell(self, approval: Approval) -> bool:
        """Tells Step Functions that the row is closed. False where no task waits for it any more.

        Raises EngineUnavailable.
        """
        if approval.task_token is None:
            return False
        notice: dict[str, str | int] = {"approval_id": approval.approval_id, "version": approval.version}
        return self.tasks.succeed(approval.task_token, notice)

    def _read(self, ref: CaseRef, approval_id: str) -> Approval:
        approval = self.ledger.approval(ref, approval_id)
        if approval is None:
            raise ApprovalMissing(f"there is no approval {approval_id}")
        return approval

    def _columns(self, approval: Approval, body: DecisionBody, person: Person, at: str) -> dict[str, str]:
        columns = {
            "status": ApprovalStatus.DECIDED.value,
            "verdict": body.verdict,
            "decided_by": person.name,
            "decided_at": at,
            "channel": person.channel,
        }
        if body.reason:
            columns["decision_key"] = _keep_words(self.files, approval, body, person, at)
        if body.verdict == "approve":
            columns |= {"signed_key": approval.proposal_key, "signed_sha256": approval.shown_sha256}
        elif body.text is not None:
            columns |= sign_edit(self.files, approval, body.text)
        return columns

    def _close(
        self, decided: Approval, columns: dict[str, str], person: Person, *, version: int, before: str
    ) -> None:
        ref, at = decided.ref, str(decided.decided_at)
        event = LedgerEvent(
            at=at,
            event=f"decision.{decided.verdict}",
            actor=str(decided.decided_by),
            detail={
                "approval_id": decided.approval_id,
                "version": version,
                "channel": decided.channel,
                **({"subject": person.subject} if person.subject else {}),
                "shown_sha256": decided.shown_sha256,
                **({"signed_sha256": decided.signed_sha256} if decided.signed_sha256 else {}),
            },
        )
        status = CaseStatus.DELIVERING if decided.signed_key else CaseStatus.RUNNING
        self.ledger.commit(
            [
                self.ledger.change_approval(
                    ref,
                    decided.approval_id,
                    approval_closed(ref.tenant, at, **columns),
                    version=version,
                    before=before,
                ),
                self.ledger.set_status(ref, status, at),
                self.ledger.put_event(ref, f"decision#{decided.approval_id}", event),
            ]
        )


def check_open(approval: Approval, now: datetime) -> None:
    """Raises AlreadyDecided with who and when, or ApprovalExpired."""
    if approval.status is ApprovalStatus.DECIDED:
        raise AlreadyDecided(
            f"{approval.decided_by} decided {approval.verdict} at {approval.decided_at}",
            decided_by=str(approval.decided_by),
            decided_at=str(approval.decided_at),
            verdict=str(approval.verdict),
        )
    if approval.status is ApprovalStatus.EXPIRED or parse(approval.expires_at) <= now:
        raise ApprovalExpired(f"the deadline was {approval.expires_at}")


def check_body(body: DecisionBody, approval: Approval) -> None:
    """Raises InvalidRequest where the verdict lacks what it needs."""
    if body.verdict == "edit" and is_blank(body.text):
        raise InvalidRequest("edit needs `text`: the reply as it shall be sent")
    if body.verdict != "edit" and body.text is not None:
        raise InvalidRequest(f"{body.verdict} takes no `text`; use edit to change the reply")
    if body.verdict in {"respond", "reject"} and is_blank(body.reason):
        raise InvalidRequest(f"{body.verdict} needs `reason`")
    if body.verdict == "approve" and not approval.has_draft:
        raise InvalidRequest("there is no draft to approve: write the reply with edit, or respond or reject")
    if body.verdict == "approve" and approval.too_long_by:
        over = approval.too_long_by
        raise InvalidRequest(f"the reply is {over} characters longer than its channel takes: edit it")


def _keep_words(files: CaseFiles, approval: Approval, body: DecisionBody, person: Person, at: str) -> str:
    document = DecisionDocument(
        approval_id=approval.approval_id,
        version=approval.version,
        verdict=body.verdict,
        decided_by=person.name,
        decided_at=at,
        channel=person.channel,
        reason=body.reason,
    )
    words = canonical_json(document)
    key = decision_key(approval.ref, approval.approval_id, sha256_hex(words))
    files.put_once(key, words)
    return key
