"""Request Approval: shows a person the draft of a round, or why there is none, and leaves them to decide.

What the case held for drafting is let go: people who think hold neither slot nor money.
"""

from typing import Any

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.budgets import Holds
from countersign.decisions import Terms
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed
from countersign.spending import Hold


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, arbiter: Arbiter | None = None, holds: Holds | None = None
) -> dict[str, Any]:
    """Takes tenant, case_id, round, terms, reason, reservation, task_token; the task brings the decision."""
    arbiter, holds = arbiter or deployment.arbiter(), holds or deployment.holds()
    file = arbiter.files.read(CaseRef(tenant=event["tenant"], case_id=event["case_id"]))
    approval = arbiter.request(
        file,
        event["round"],
        Terms.model_validate(event["terms"]),
        event["task_token"],
        clock.now(),
        event["reason"] or None,
        holds.let_go(file, Hold.read(event["reservation"])),
    )
    return {"approval_id": approval.approval_id, "version": approval.version}
