"""What a person is shown and signs: a proposal, stored as canonical JSON under its hash.

The same bytes are hashed when they are shown, when they are signed and before they are sent.
"""

from datetime import datetime, timedelta

from countersign.case_file import CaseFiles, proposal_key, signed_key
from countersign.clock import instant
from countersign.decisions import Approval, ApprovalStatus, Evidence, Proposal, Terms
from countersign.errors import InvalidRequest, SignedBytesChanged
from countersign.models import CaseFile, Citation, canonical_json, sha256_hex
from countersign.replies import too_long_by


def propose(
    file: CaseFile, round_number: int, terms: Terms, token: str | None, now: datetime, reason: str | None
) -> tuple[Approval, bytes]:
    """The approval row of a round and the canonical bytes of what it shows."""
    written = file.round(round_number)
    draft = written.draft if written else None
    review = written.review if written else None
    approval_id = file.ref.approval_id(round_number)
    proposed = Proposal(
        approval_id=approval_id,
        tenant=file.tenant,
        case_id=file.case_id,
        event_id=file.request.event_id,
        text=draft.text if draft else "",
        citations=draft.citations if draft else [],
        claims=draft.claims if draft else [],
        actions=draft.actions if draft else [],
        destination=file.request.destination,
        evidence=[
            Evidence(marker=p.marker, passage_id=p.passage_id, text_sha256=sha256_hex(p.text))
            for p in file.passages
        ],
        policy=terms.policy,
        reason=reason,
    )
    proposal = canonical_json(proposed)
    shown = sha256_hex(proposal)
    approval = Approval(
        tenant=file.tenant,
        case_id=file.case_id,
        approval_id=approval_id,
        version=1,
        round=round_number,
        status=ApprovalStatus.PENDING,
        subject=file.request.subject[:200],
        requested_at=instant(now),
        expires_at=instant(now + timedelta(seconds=terms.deadline_s + terms.escalation_s)),
        shown_sha256=shown,
        proposal_key=proposal_key(file.ref, approval_id, shown),
        policy=terms.policy,
        risk=file.risk,
        reviewer_score=review.score if review else None,
        cost_usd=file.cost_usd(),
        has_draft=bool(draft and draft.text.strip()),
        too_long_by=too_long_by(proposed),
        reason=reason,
        task_token=token,
    )
    return approval, proposal


def read_signed(files: CaseFiles, key: str, sha256: str) -> Proposal:
    """What was stored, where it is what the row's hash says. Raises SignedBytesChanged, CaseFileMissing."""
    body = files.get(key)
    if sha256_hex(body) != sha256:
        raise SignedBytesChanged(f"{key} is not what was signed")
    return Proposal.model_validate_json(body)


def sign_edit(files: CaseFiles, approval: Approval, text: str) -> dict[str, str]:
    """Stores what a person signs who has changed the text; returns the columns that name it.

    Everything but the text is as it was shown. Raises InvalidRequest where it is too long for its channel,
    SignedBytesChanged, CaseFileMissing.
    """
    shown = read_signed(files, approval.proposal_key, approval.shown_sha256)
    if text == shown.text:
        # Not a character was changed: what is signed is what was shown, claims and all.
        return {"signed_key": approval.proposal_key, "signed_sha256": approval.shown_sha256}
    edited = shown.model_copy(update={"text": text, "citations": kept_citations(text, shown), "claims": []})
    if over := too_long_by(edited):
        raise InvalidRequest(f"the reply is {over} characters longer than its channel takes")
    signed = canonical_json(edited)
    digest = sha256_hex(signed)
    key = signed_key(approval.ref, approval.approval_id, digest)
    files.put_once(key, signed)
    return {"signed_key": key, "signed_sha256": digest}


def kept_citations(text: str, shown: Proposal) -> list[Citation]:
    """The citations whose marker, such as `[2]`, still stands in the text."""
    return [citation for citation in shown.citations if f"[{citation.marker}]" in text]
