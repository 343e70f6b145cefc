"""Close Case: writes the outcome, settles the budget and joins the case to its conversation."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

from countersign import clock, deployment
from countersign.claims import Claims
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseRef, CaseStatus, LedgerEvent
from countersign.observability import LambdaContext, observed


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, ledger: Ledger | None = None, claims: Claims | None = None
) -> dict[str, Any]:
    """Takes tenant, case_id, outcome (a status), approval_id, thread, cost_usd, reservation; returns it."""
    ledger, claims = ledger or deployment.ledger(), claims or deployment.claims()
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
    if event["reservation"]:
        held = event["reservation"]
        reserved = Decimal(held["reserved_usd"])
        # Where a price is not known, what was reserved counts as spent: the cap must hold.
        spent = Decimal(cost) if cost else reserved
        writes.append(claims.settlement(ref.tenant, ref.case_id, reserved, spent, held["day"]))
    # Refused where this run of the step is not the first: the outcome is written.
    with suppress(Rejected):
        ledger.commit(writes)
    return {"case_id": ref.case_id, "status": status.value}
