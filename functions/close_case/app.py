"""Close Case: writes the outcome and joins the case to its conversation."""

from contextlib import suppress
from typing import Any

from countersign import clock, deployment
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseRef, CaseStatus, LedgerEvent
from countersign.observability import LambdaContext, observed


@observed
def handler(event: dict[str, Any], context: LambdaContext, ledger: Ledger | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, outcome (a status), approval_id, thread, cost_usd; returns the status."""
    ledger = ledger or deployment.ledger()
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    status, at, cost = CaseStatus(event["outcome"]), clock.now_text(), event["cost_usd"]
    line = LedgerEvent(
        at=at,
        event=f"case.{status.value}",
        actor="countersign",
        detail={"approval_id": event["approval_id"], "cost_usd": cost},
    )
    writes = [
        ledger.set_status(ref, status, at, outcome=status.value),
        ledger.put_event(ref, "closed", line),
    ]
    if status is CaseStatus.DELIVERED:
        writes.append(ledger.put_memory(ref, event["thread"], at))
    # Refused where this run of the step is not the first: the outcome is written.
    with suppress(Rejected):
        ledger.commit(writes)
    return {"case_id": ref.case_id, "status": status.value}
