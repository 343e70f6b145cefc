"""The calls about approvals. Only the decision changes anything, and it is taken once."""

from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api import ApprovalList, DecisionAnswer
from countersign.approvals import Person
from countersign.calls import Call
from countersign.cards import approval_line, evidence_card
from countersign.case_file import CaseFiles
from countersign.decisions import Approval, ApprovalStatus, DecisionBody, DecisionDocument, Proposal
from countersign.errors import CaseFileMissing, NotFound
from countersign.ledger import find_approval
from countersign.proposals import read_signed
from ports import Ports

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/approvals")
def list_approvals() -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    call.takes("status", "limit", "cursor")
    status = call.status(ApprovalStatus) or ApprovalStatus.PENDING
    found, cursor = call.ports.arbiter().ledger.approvals(call.tenant, status, call.limit(), call.cursor())
    answer = ApprovalList(approvals=[approval_line(approval) for approval in found], cursor=cursor)
    return answer.model_dump(mode="json")


@router.get("/approvals/<approval_id>")
def show_approval(approval_id: str) -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    arbiter = call.ports.arbiter()
    approval = find_approval(arbiter.ledger, call.tenant, approval_id)
    files = arbiter.files
    try:
        proposal = read_signed(files, approval.proposal_key, approval.shown_sha256)
        card = evidence_card(
            approval,
            proposal,
            files.read(call.case(approval.case_id)),
            files.get_model(approval.decision_key, DecisionDocument) if approval.decision_key else None,
            signed=_signed(files, approval, proposal),
            off_since=_off_since(call, approval, proposal),
        )
    except CaseFileMissing:
        raise NotFound("the text of this case has been erased") from None
    return card.model_dump(mode="json")


@router.post("/approvals/<approval_id>/decision")
def decide(approval_id: str) -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    body, arbiter = call.body(DecisionBody), call.ports.arbiter()
    person = Person(name=call.person, channel="api", subject=call.subject)
    approval = find_approval(arbiter.ledger, call.tenant, approval_id)
    return _outcome(arbiter.decide(approval, body, person, call.ports.now()))


def _signed(files: CaseFiles, approval: Approval, shown: Proposal) -> Proposal | None:
    """What may leave; None where nothing may."""
    if approval.signed_key is None or approval.signed_sha256 is None:
        return None
    if approval.signed_key == approval.proposal_key:
        return shown
    return read_signed(files, approval.signed_key, approval.signed_sha256)


def _off_since(call: Call[Ports], approval: Approval, proposal: Proposal) -> str | None:
    """Of interest to whoever is about to decide."""
    if approval.status is not ApprovalStatus.PENDING:
        return None
    return call.ports.switches().off_since(call.tenant, proposal.destination)


def _outcome(approval: Approval) -> dict[str, Any]:
    fields = approval.model_dump(include=set(DecisionAnswer.model_fields))
    return DecisionAnswer.model_validate(fields).model_dump(mode="json")
