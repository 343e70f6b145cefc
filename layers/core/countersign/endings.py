"""How a case fails. The good endings are written by Close Case; this is every other one."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from countersign.budgets import Holds
from countersign.clock import instant
from countersign.errors import StoreConflict
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseHead, CaseRef, CaseStatus, Intake, LedgerEvent

WRITE_ATTEMPTS = 4
FINAL = frozenset(
    {
        CaseStatus.DELIVERED,
        CaseStatus.REJECTED,
        CaseStatus.EXPIRED,
        CaseStatus.BLOCKED,
        CaseStatus.FAILED,
    }
)


@dataclass(frozen=True)
class Failure:
    """Which state failed, by its name or `execution`, with which error, by its name.

    `run` is the run that ended so, where whoever reports it knows that.
    """

    state: str
    error: str
    run: int | None = None


def fail_case(
    ledger: Ledger,
    holds: Holds,
    ref: CaseRef,
    failure: Failure,
    now: datetime,
    accepted: Intake | None = None,
) -> CaseStatus | None:
    """Records that a case failed, once for each run, and returns its status; None where there is no case.

    What it held for drafting is let go in the same transaction. A case that has ended stays as it is, and so
    does one that has been started again since. `accepted` is what the failed execution was started with: by
    that a case is recorded which failed before it was opened, so that it can be seen and redriven. Raises
    StoreConflict.
    """
    at = instant(now)
    line = LedgerEvent(
        at=at,
        event="case.failed",
        actor="countersign",
        detail={"state": failure.state, "error": failure.error},
    )
    for _ in range(WRITE_ATTEMPTS):
        head = ledger.head(ref)
        if head is None:
            if accepted is None:
                return None
            unopened = CaseHead(
                tenant=ref.tenant,
                case_id=ref.case_id,
                source=accepted.source,
                subject="",
                status=CaseStatus.FAILED,
                created_at=accepted.received_at,
                updated_at=at,
                outcome=failure.error,
                failed_in=failure.state,
                run=accepted.run,
            )
            with suppress(Rejected):  # opened after all, then
                ledger.commit(
                    [
                        ledger.put_head(unopened),
                        ledger.put_event(ref, f"failed#r{accepted.run}#{at}", line),
                    ]
                )
                return CaseStatus.FAILED
            continue
        if head.status in FINAL or failure.run not in (None, head.run):
            return head.status
        try:
            ledger.commit_with(
                [
                    ledger.set_status(
                        ref,
                        CaseStatus.FAILED,
                        at,
                        outcome=failure.error,
                        failed_in=failure.state,
                        seen=head.updated_at,
                    ),
                    ledger.put_event(ref, f"failed#r{head.run}#{at}", line),
                ],
                holds.let_go_failed(ref, failure.state, now),
            )
        except Rejected:
            continue  # the case has moved, perhaps to its end
        return CaseStatus.FAILED
    raise StoreConflict(f"the head of case {ref.case_id} was written by others {WRITE_ATTEMPTS} times")
