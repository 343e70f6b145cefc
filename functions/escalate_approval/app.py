"""Escalate Approval: nobody decided in time, so the row takes the new task and the next people are asked."""

from typing import Any

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed


@observed
def handler(event: dict[str, Any], context: LambdaContext, arbiter: Arbiter | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, round, task_token; the decision comes through the task."""
    arbiter = arbiter or deployment.arbiter()
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    approval_id = ref.approval_id(event["round"])
    approval = arbiter.escalate(ref, approval_id, event["task_token"], clock.now())
    return {"approval_id": approval.approval_id, "version": approval.version}
