"""Request Approval: shows a person the draft of a round, or why there is none, and leaves them to decide."""

from typing import Any

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.decisions import Terms
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed


@observed
def handler(event: dict[str, Any], context: LambdaContext, arbiter: Arbiter | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, round, terms, reason, task_token; the decision comes through the task."""
    arbiter = arbiter or deployment.arbiter()
    file = arbiter.files.read(CaseRef(tenant=event["tenant"], case_id=event["case_id"]))
    approval = arbiter.request(
        file,
        event["round"],
        Terms.model_validate(event["terms"]),
        event["task_token"],
        clock.now(),
        event["reason"] or None,
    )
    return {"approval_id": approval.approval_id, "version": approval.version}
