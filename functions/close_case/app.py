"""Close Case: writes the outcome, settles the budget and joins the case to its conversation."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

from countersign import clock, deployment
from countersign.case_file import CaseFiles
from countersign.claims import Claims
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseRef, CaseStatus, LedgerEvent
from countersign.observability import LambdaContext, observed


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    ledger: Ledger | None = None,
    files: CaseFiles | None = None,
    claims: Claims | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, outcome (a status), approval_id, reservation; returns the status."""
    ledger, files = ledger or deployment.ledger(), files or deployment.case_files()
    claims = claims or deployment.claims()
    file = files.read(CaseRef(tenant=event["tenant"], case_id=event["case_id"]))
    status, at = CaseStatus(event["outcome"]), clock.now_text()
    line = LedgerEvent(
        at=at,
        event=f"case.{status.value}",
        actor="countersign",
        detail={"approval_id": event["approval_id"], "cost_usd": str(file.cost_usd())},
    )
    writes = [
        ledger.set_status(file.ref, status, at, outcome=status.value),
        ledger.put_event(file.ref, "closed", line),
    ]
    if status is CaseStatus.DELIVERED:
        writes.append(ledger.put_memory(file.ref, file.request.thread_key, at))
    if event["reservation"]:
        held = event["reservation"]
        writes.append(
            claims.settlement(
                file.tenant, file.case_id, Decimal(held["reserved_usd"]), file.cost_usd(), held["day"]
            )
        )
    # Refused where this run of the step is not the first: the outcome is written.
    with suppress(Rejected):
        ledger.commit(writes)
    return {"case_id": file.case_id, "status": status.value}
