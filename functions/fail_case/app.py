"""Fail Case: our own fault, or a delivery nobody took. The case says where and why, and can be redriven.

Called by the machine's last Catch, and by EventBridge where an execution ended without it.
"""

from typing import Any

from countersign import clock, deployment
from countersign.budgets import Holds
from countersign.endings import Failure, fail_case
from countersign.ledger import Ledger
from countersign.models import Intake
from countersign.observability import LambdaContext, note, observed

ENDED = "Step Functions Execution Status Change"


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, ledger: Ledger | None = None, holds: Holds | None = None
) -> dict[str, Any]:
    """Takes accepted, state, error; or EventBridge's event of an execution. Returns the case's status."""
    ledger, holds = ledger or deployment.ledger(), holds or deployment.holds()
    accepted, failure = read_failure(event)
    note(tenant=accepted.tenant, case_id=accepted.case_id, source=accepted.source, run=accepted.run)
    status = fail_case(ledger, holds, accepted.ref, failure, clock.now(), accepted)
    return {"case_id": accepted.case_id, "status": status.value if status else "unknown"}


def read_failure(event: dict[str, Any]) -> tuple[Intake, Failure]:
    """What was started and what befell it, from the machine's input or from EventBridge's detail."""
    if event.get("detail-type") != ENDED:
        accepted = Intake.model_validate(event["accepted"])
        return accepted, Failure(event["state"], event["error"])
    detail = event["detail"]
    accepted = Intake.model_validate_json(detail["input"])
    return accepted, Failure("execution", detail.get("error") or detail["status"], accepted.run)
