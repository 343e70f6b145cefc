"""Record Decision: what the approval row has decided is the decision, whatever the task's answer says.

The answer of the task counts only where the row has no decision yet: an operator answered from the
console's shell. A well-formed answer is put through the arbiter like any other; a malformed one asks again.
"""

from typing import Any

from countersign import clock, deployment
from countersign.approvals import Arbiter, Person
from countersign.budgets import Holds
from countersign.console import take_answer
from countersign.decisions import Approval, ApprovalStatus, DecisionBody, Terms
from countersign.errors import ApprovalMissing
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed
from countersign.spending import Hold


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, arbiter: Arbiter | None = None, holds: Holds | None = None
) -> dict[str, Any]:
    """Takes tenant, case_id, round, answer, terms, reservation.

    Returns approval_id, verdict, feedback_key, cost_usd.
    """
    arbiter, holds = arbiter or deployment.arbiter(), holds or deployment.holds()
    hold = Hold.read(event["reservation"])
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    approval_id = ref.approval_id(event["round"])
    terms = Terms.model_validate(event["terms"])
    approval = arbiter.ledger.approval(ref, approval_id)
    # A pending row without a task asks nobody: a first run of this step was cut off between its writes.
    if approval is None or (approval.status is ApprovalStatus.PENDING and approval.task_token is None):
        approval = approve_by_policy(arbiter, holds, ref, event["round"], terms, hold)
    else:
        if hold:  # a redriven case found its policy's signature, and asks nobody
            holds.give_back(arbiter.files.read(ref), hold)
        approval = take_answer(arbiter, approval, event["answer"], clock.now())
    verdict = {ApprovalStatus.PENDING: "again", ApprovalStatus.EXPIRED: "expired"}.get(
        approval.status, approval.verdict
    )
    return {
        "approval_id": approval_id,
        "verdict": verdict,
        "feedback_key": approval.decision_key or "",
        "cost_usd": "" if approval.cost_usd is None else str(approval.cost_usd),
    }


def approve_by_policy(
    arbiter: Arbiter, holds: Holds, ref: CaseRef, round_number: int, terms: Terms, hold: Hold | None
) -> Approval:
    """No person was asked because the policy needs none: it signs under its own name."""
    if terms.needed:
        raise ApprovalMissing("a draft that needs a person reached its decision without one")
    now = clock.now()
    file = arbiter.files.read(ref)
    approval = arbiter.request(file, round_number, terms, None, now, None, holds.let_go(file, hold))
    if approval.too_long_by:
        return approval  # still pending: a person is asked after all
    body = DecisionBody(verdict="approve", shown_sha256=approval.shown_sha256)
    signer = Person(name=f"policy:{terms.policy.name}@{terms.policy.version}", channel="policy")
    return arbiter.decide(approval, body, signer, now)
