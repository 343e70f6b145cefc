"""The evidence card: all that a person needs to decide, in one JSON object, the same on every channel."""

from typing import Any

from pydantic import JsonValue

from countersign.models import Approval, ApprovalStatus, CaseFile, DecisionDocument, Proposal
from countersign.replies import compose_reply


def usage(file: CaseFile) -> dict[str, int]:
    """Tokens and calls of a case so far; input tokens include those read from and written to a cache."""
    calls = file.calls()
    return {
        "input_tokens": sum(c.input_tokens + c.cache_read_tokens + c.cache_write_tokens for c in calls),
        "output_tokens": sum(c.output_tokens for c in calls),
        "model_calls": len(calls),
    }


def summary(approval: Approval) -> dict[str, JsonValue]:
    """A line of the inbox."""
    fields = {"approval_id", "case_id", "subject", "requested_at", "expires_at", "risk", "reviewer_score"}
    fields |= {"escalated", "verdict", "decided_by", "decided_at", "status"}
    return approval.model_dump(mode="json", include=fields)


def evidence_card(
    approval: Approval,
    proposal: Proposal,
    file: CaseFile,
    document: DecisionDocument | None,
    *,
    viewer: str,
    github_api_url: str,
) -> dict[str, Any]:
    """The card of an approval. `viewer` stands in for whoever will sign in the preview of what is sent."""
    round_ = file.round(approval.round)
    review = round_.review if round_ else None
    request = file.request
    signer = approval.decided_by or viewer
    reply = compose_reply(proposal, github_api_url, signer, approval.decided_at or "when it is signed")
    card: dict[str, Any] = summary(approval)
    card |= {
        "version": approval.version,
        "reason": approval.reason,
        "request": request.model_dump(
            mode="json", include={"subject", "text", "author", "link", "received_at", "source"}
        ),
        "draft": {
            "text": proposal.text,
            "claims": [claim.model_dump(mode="json") for claim in proposal.claims],
            "citations": [citation.model_dump(mode="json") for citation in proposal.citations],
            "actions": [action.model_dump(mode="json") for action in proposal.actions],
        },
        "passages": [passage.model_dump(mode="json") for passage in file.passages],
        "review": review.model_dump(mode="json") if review else None,
        "usage": usage(file),
        "cost_usd": str(file.cost_usd()),
        "policy": approval.policy.model_dump(mode="json"),
        "destination": proposal.destination.model_dump(mode="json", include={"channel", "address"}),
        "will_send": reply.words,
        "shown_sha256": approval.shown_sha256,
        "decision": _decision(approval, document),
    }
    return card


def _decision(approval: Approval, document: DecisionDocument | None) -> dict[str, JsonValue] | None:
    if approval.status is not ApprovalStatus.DECIDED:
        return None
    return {
        "verdict": approval.verdict,
        "decided_by": approval.decided_by,
        "decided_at": approval.decided_at,
        "reason": document.reason if document else None,
        "signed_sha256": approval.signed_sha256,
    }
