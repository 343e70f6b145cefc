"""Forgetting a case: its text goes from every store, and who did what when, with every hash, stays.

In this order, so that it can be done again from the start wherever a crash came between:

    1. the head is marked; from here on nobody recalls, redrives or decides the case
    2. subjects go from the head and the approvals, open approvals expire, the conversation loses the case
    3. its answer goes from the files of the cases that recalled it
    4. a mark takes the raw event's place, by which the same event is still known when it comes again
    5. every version of every other object goes
    6. the ledger says who had it forgotten
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from countersign.approvals import Arbiter, Person
from countersign.case_file import CaseFiles, raw_key
from countersign.clock import instant, parse
from countersign.decisions import Approval, ApprovalStatus
from countersign.endings import FINAL
from countersign.errors import CaseFileMissing, CaseNotEnded, NotFound, StoreConflict
from countersign.ledger import Ledger, Rejected, case_pk
from countersign.memory import recalled_by, unremember
from countersign.models import CaseHead, CaseRef, LedgerEvent, RawEvent, canonical_json

QUIET_S = 120
"""How long after a case's end a step of it may still be writing: longer than any function of it may run."""


@dataclass(frozen=True)
class Forgotten:
    """`erased` counts versions of objects; `recalled_by` are cases whose own text may quote this one's."""

    ref: CaseRef
    at: str
    erased: int
    recalled_by: list[str] = field(default_factory=list)


def forget(arbiter: Arbiter, ref: CaseRef, person: Person, now: datetime) -> Forgotten:
    """Erases the text of a case that has ended. Once more does what is left to do, and is no error.

    Raises NotFound; CaseNotEnded where it has not ended, or just now; StoreConflict where something of it is
    being written, and it has to be done again.
    """
    ledger, files = arbiter.ledger, arbiter.files
    head, _, approvals = ledger.history(ref)
    if head is None:
        raise NotFound("there is no such case")
    at = head.forgotten_at or _mark(ledger, head, now)
    for approval in approvals:
        _forget_approval(arbiter, approval, now)
    with suppress(CaseFileMissing):
        ledger.delete_memory(ref, files.read(ref).request.thread_key)
    others = recalled_by(ledger, ref)
    if any(_is_recent(noted, now) for noted in others.values()):
        raise StoreConflict("a case is recalling this one right now")
    for other in others:
        unremember(files, CaseRef(tenant=ref.tenant, case_id=other), ref.case_id)
    erased = _forget_event(files, ref) + files.erase(f"{ref.prefix}/")
    line = LedgerEvent(
        at=instant(now),
        event="case.forgotten",
        actor=person.name,
        detail={"channel": person.channel, **({"subject": person.subject} if person.subject else {})},
    )
    ledger.append(ref, "forgotten", line)
    return Forgotten(ref, at, erased, sorted(others))


def _mark(ledger: Ledger, head: CaseHead, now: datetime) -> str:
    if head.status not in FINAL:
        state = head.status.value.replace("_", " ")
        raise CaseNotEnded(f"the case is {state}, and only one that has ended can be forgotten")
    if _is_recent(head.updated_at, now):
        raise CaseNotEnded(
            "the case ended less than two minutes ago, and a step of it may still write; try again then"
        )
    at = instant(now)
    try:
        ledger.commit(
            [
                ledger.change_row(
                    case_pk(head.ref),
                    "head",
                    "SET subject = :none, forgotten_at = :at, updated_at = :at, gsi2sk = :at",
                    "updated_at = :seen",
                    {":none": "", ":at": at, ":seen": head.updated_at},
                )
            ]
        )
    except Rejected:
        raise StoreConflict("the case is being changed right now") from None
    return at


def _forget_approval(arbiter: Arbiter, approval: Approval, now: datetime) -> None:
    if approval.status is ApprovalStatus.PENDING:
        arbiter.expire(approval.ref, approval.approval_id, now)
    row = arbiter.ledger.blank_subject(case_pk(approval.ref), f"approval#{approval.approval_id}")
    arbiter.ledger.commit([row])


def _forget_event(files: CaseFiles, ref: CaseRef) -> int:
    """Keeps of the event what says that it came: its source, when, and the hash of its body."""
    key = raw_key(ref)
    with suppress(CaseFileMissing):
        raw = files.get_model(key, RawEvent)
        if raw.forgotten is None:
            mark = RawEvent(
                source=raw.source,
                received_at=raw.received_at,
                headers={},
                body="",
                forgotten=raw.body_sha256,
            )
            files.replace(key, canonical_json(mark))
    return files.erase_old_versions(key)


def _is_recent(at: str, now: datetime) -> bool:
    return (now - parse(at)).total_seconds() < QUIET_S
