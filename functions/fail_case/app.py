"""Fail Case: our own fault, or a delivery nobody took. The case says where and why, and can be redriven.

Called by the machine's last Catch, and by EventBridge where an execution ended without it.
"""

import json
from typing import Any

from countersign import clock, deployment
from countersign.budgets import Holds
from countersign.endings import Failure, fail_case
from countersign.ledger import Ledger
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed

ENDED = "Step Functions Execution Status Change"


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, ledger: Ledger | None = None, holds: Holds | None = None
) -> dict[str, Any]:
    """Takes tenant, case_id, state, error; or EventBridge's event of an execution. Returns the status."""
    ledger, holds = ledger or deployment.ledger(), holds or deployment.holds()
    ref, failure = read_failure(event)
    status = fail_case(ledger, holds, ref, failure, clock.now())
    return {"case_id": ref.case_id, "status": status.value if status else "unknown"}


def read_failure(event: dict[str, Any]) -> tuple[CaseRef, Failure]:
    """The case and what befell it, from the machine's input or from EventBridge's detail."""
    if event.get("detail-type") != ENDED:
        return _ref(event), Failure(event["state"], event["error"])
    detail = event["detail"]
    started = json.loads(detail["input"])
    return _ref(started), Failure("execution", detail.get("error") or detail["status"], started["run"])


def _ref(named: dict[str, Any]) -> CaseRef:
    return CaseRef(tenant=named["tenant"], case_id=named["case_id"])
