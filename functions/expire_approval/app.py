"""Expire Approval: closes a row that nobody decided. Whoever has just won the race keeps it."""

from typing import Any

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed


@observed
def handler(event: dict[str, Any], context: LambdaContext, arbiter: Arbiter | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, round; returns the row's status."""
    arbiter = arbiter or deployment.arbiter()
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    approval = arbiter.expire(ref, ref.approval_id(event["round"]), clock.now())
    return {"approval_id": approval.approval_id, "status": approval.status.value}
