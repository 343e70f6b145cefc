"""Record Decision: what the approval row has decided is the decision, whatever the task's answer says.

The answer of the task counts only where the row has no decision yet: an operator answered from the
console's shell. A well-formed answer is put through the arbiter like any other; a malformed one asks again.
"""

from typing import Any

from pydantic import ValidationError

from countersign import clock, deployment
from countersign.approvals import Arbiter, Person
from countersign.errors import RequestRejected
from countersign.models import Approval, ApprovalStatus, CaseRef, DecisionBody, LedgerEvent, Terms
from countersign.observability import LambdaContext, observed

BODY = frozenset(DecisionBody.model_fields)


@observed
def handler(event: dict[str, Any], context: LambdaContext, arbiter: Arbiter | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, round, answer, terms; returns approval_id, verdict and feedback_key."""
    arbiter = arbiter or deployment.arbiter()
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    approval_id = f"{ref.case_id}-a{event['round']}"
    terms = Terms.model_validate(event["terms"])
    approval = arbiter.ledger.approval(ref, approval_id)
    if approval is None:
        approval = approve_by_policy(arbiter, ref, event["round"], terms)
    elif approval.status is ApprovalStatus.PENDING:
        approval = from_console(arbiter, approval, event["answer"])
    verdict = {ApprovalStatus.PENDING: "again", ApprovalStatus.EXPIRED: "expired"}.get(
        approval.status, approval.verdict
    )
    return {"approval_id": approval_id, "verdict": verdict, "feedback_key": approval.decision_key or ""}


def approve_by_policy(arbiter: Arbiter, ref: CaseRef, round_number: int, terms: Terms) -> Approval:
    """No person was asked because the policy needs none: it signs under its own name."""
    if terms.needed:
        raise RuntimeError("a draft that needs a person reached its decision without one")
    now = clock.now()
    approval = arbiter.request(arbiter.files.read(ref), round_number, terms, None, now, None)
    body = DecisionBody(verdict="approve", shown_sha256=approval.shown_sha256)
    signer = Person(name=f"policy:{terms.policy.name}@{terms.policy.version}", channel="policy")
    return arbiter.decide(approval, body, signer, now)


def from_console(arbiter: Arbiter, approval: Approval, answer: Any) -> Approval:
    """Puts an operator's answer to the row. The row stays pending where it is no valid decision."""
    now = clock.now()
    try:
        given = answer if isinstance(answer, dict) else {}
        body = DecisionBody.model_validate({k: v for k, v in given.items() if k in BODY})
        person = Person(name=f"console:{str(given.get('decided_by') or 'operator')[:100]}", channel="console")
        return arbiter.decide(approval, body, person, now)
    except (ValidationError, RequestRejected) as error:
        line = LedgerEvent(
            at=clock.instant(now),
            event="console.answer_refused",
            actor="countersign",
            detail={"approval_id": approval.approval_id, "error": type(error).__name__},
        )
        key = f"console#{approval.approval_id}#v{approval.version}"
        arbiter.ledger.append(CaseRef(tenant=approval.tenant, case_id=approval.case_id), key, line)
    return (
        arbiter.ledger.approval(
            CaseRef(tenant=approval.tenant, case_id=approval.case_id), approval.approval_id
        )
        or approval
    )
