"""Fail Case: our own fault, or a delivery nobody took. The case says where and why, and can be redriven.

Called by the machine's last Catch, and by EventBridge where an execution ended without it.
"""

import json
from contextlib import suppress
from typing import Any

from countersign import clock, deployment
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseRef, CaseStatus, LedgerEvent
from countersign.observability import LambdaContext, observed

ENDED = "Step Functions Execution Status Change"


@observed
def handler(event: dict[str, Any], context: LambdaContext, ledger: Ledger | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, state, error; or EventBridge's event of an execution. Returns the status."""
    ledger = ledger or deployment.ledger()
    failure = read_failure(event)
    ref = CaseRef(tenant=failure["tenant"], case_id=failure["case_id"])
    at = clock.now_text()
    line = LedgerEvent(
        at=at,
        event="case.failed",
        actor="countersign",
        detail={"state": failure["state"], "error": failure["error"]},
    )
    head = ledger.head(ref)
    if head is None or head.status is CaseStatus.FAILED:
        return {"case_id": ref.case_id, "status": head.status.value if head else "unknown"}
    # Refused where the line of this run is there already: the case has failed before.
    with suppress(Rejected):
        ledger.commit(
            [
                ledger.set_status(ref, CaseStatus.FAILED, at, outcome=failure["error"]),
                ledger.put_event(ref, f"failed#r{head.run}", line),
            ]
        )
    return {"case_id": ref.case_id, "status": CaseStatus.FAILED.value}


def read_failure(event: dict[str, Any]) -> dict[str, str]:
    """The case and the reason, from the machine's input or from EventBridge's detail."""
    if event.get("detail-type") != ENDED:
        return {name: event[name] for name in ("tenant", "case_id", "state", "error")}
    started = json.loads(event["detail"]["input"])
    return {
        "tenant": started["tenant"],
        "case_id": started["case_id"],
        "state": "execution",
        "error": event["detail"].get("error") or event["detail"]["status"],
    }
