"""What people are shown of cases and approvals, the same on every channel."""

import re
from collections.abc import Sequence
from decimal import Decimal

from pydantic import JsonValue

from countersign.api import (
    ApprovalLine,
    AskedRequest,
    CardDecision,
    CardDestination,
    CardDraft,
    CaseAnswer,
    CaseDraft,
    CaseLine,
    EvidenceCard,
    TimelineEvent,
    Usage,
)
from countersign.decisions import Approval, ApprovalStatus, DecisionDocument, Proposal
from countersign.endings import FINAL
from countersign.models import (
    CaseFile,
    CaseHead,
    CaseRef,
    CaseStatus,
    LedgerEvent,
    ModelCall,
    RawEvent,
    Review,
    StepRecord,
)
from countersign.replies import reply_words


def usage(file: CaseFile) -> Usage:
    """Tokens and calls of a case so far."""
    return _usage(file.calls())


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def queued_head(ref: CaseRef, raw: RawEvent) -> CaseHead:
    """What can be said of a case before Open Case has read its event: nobody knows its subject yet."""
    return CaseHead(
        tenant=ref.tenant,
        case_id=ref.case_id,
        source=raw.source,
        subject="",
        status=CaseStatus.QUEUED,
        created_at=raw.received_at,
        updated_at=raw.received_at,
    )


def case_line(head: CaseHead) -> CaseLine:
    """A line in the list of cases."""
    line = head.model_dump(include=set(CaseLine.model_fields))
    # The head keeps what it waited for last.
    return CaseLine.model_validate(line | ({} if head.status is CaseStatus.PARKED else {"waiting_for": None}))


def case_answer(head: CaseHead, events: Sequence[LedgerEvent], file: CaseFile | None) -> CaseAnswer:
    """A whole case. Its text is gone where `file` is None: it was erased, and the ledger stays."""
    rounds = file.rounds if file else []
    draft = next((r.draft for r in reversed(rounds) if r.draft), None)
    review = next((r.review for r in reversed(rounds) if r.review), None)
    return CaseAnswer(
        **case_line(head).model_dump(),
        timeline=timeline(events, file.steps if file else []),
        draft=CaseDraft(text=draft.text, claims=draft.claims, citations=draft.citations) if draft else None,
        review=review,
        approval_id=head.approval_id,
        usage=_usage(file.calls() if file else []),
        cost_usd=_money(file.cost_usd()) if file else None,
        # A redriven case has none until it has ended again.
        outcome=head.outcome if head.status in FINAL else None,
    )


def timeline(events: Sequence[LedgerEvent], steps: Sequence[StepRecord]) -> list[TimelineEvent]:
    """The ledger's events and the case file's steps, called such as `step.write_draft`, by their time."""
    lines = [TimelineEvent.model_validate(event.model_dump()) for event in events]
    lines += [_step_line(step) for step in steps]
    return sorted(lines, key=lambda line: line.at)


def approval_line(approval: Approval) -> ApprovalLine:
    """A line of the inbox."""
    return ApprovalLine.model_validate(approval.model_dump(include=set(ApprovalLine.model_fields)))


def evidence_card(
    approval: Approval,
    proposal: Proposal,
    file: CaseFile,
    document: DecisionDocument | None,
    *,
    signed: Proposal | None = None,
    off_since: str | None = None,
) -> EvidenceCard:
    """The card of an approval: all that whoever decides has to see, and what they signed.

    `off_since` is when the destination was switched off, None where it is on.
    """
    return EvidenceCard(
        **approval_line(approval).model_dump(),
        version=approval.version,
        reason=approval.reason,
        request=AskedRequest.model_validate(file.request.model_dump(include=set(AskedRequest.model_fields))),
        draft=CardDraft(
            text=proposal.text,
            claims=proposal.claims,
            citations=proposal.citations,
            actions=proposal.actions,
        ),
        passages=file.passages,
        review=_review(file, approval.round),
        usage=usage(file),
        cost_usd=_money(file.cost_usd()),
        policy=approval.policy,
        destination=CardDestination(
            channel=proposal.destination.channel, address=proposal.destination.address, off_since=off_since
        ),
        will_send=reply_words(proposal),
        too_long_by=approval.too_long_by,
        shown_sha256=approval.shown_sha256,
        decision=_decision(approval, document, signed),
    )


def _review(file: CaseFile, round_number: int) -> Review | None:
    written = file.round(round_number)
    return written.review if written else None


def _decision(
    approval: Approval, document: DecisionDocument | None, signed: Proposal | None
) -> CardDecision | None:
    if approval.status is not ApprovalStatus.DECIDED:
        return None
    return CardDecision.model_validate(
        {
            "verdict": approval.verdict,
            "decided_by": approval.decided_by,
            "decided_at": approval.decided_at,
            "reason": document.reason if document else None,
            "signed_sha256": approval.signed_sha256,
            "signed_text": reply_words(signed) if signed else None,
        }
    )


def _usage(calls: Sequence[ModelCall]) -> Usage:
    return Usage(
        input_tokens=sum(c.input_tokens + c.cache_read_tokens + c.cache_write_tokens for c in calls),
        output_tokens=sum(c.output_tokens for c in calls),
        model_calls=len(calls),
    )


def _step_line(step: StepRecord) -> TimelineEvent:
    detail: dict[str, JsonValue] = dict(step.detail)
    if step.round:
        detail["round"] = step.round
    if step.error:
        detail["error"] = step.error
    if step.calls:
        known = [call.cost_usd for call in step.calls if call.cost_usd is not None]
        detail |= _usage(step.calls).model_dump()
        detail |= {
            "latency_ms": round(sum(call.latency_ms for call in step.calls), 1),
            "cost_usd": str(sum(known, Decimal(0))) if known else None,
        }
        streamed = [call.ttft_ms for call in step.calls if call.ttft_ms is not None]
        if streamed:
            # Of the first answer that was streamed: a repaired one is a call of its own.
            detail["ttft_ms"] = round(streamed[0], 1)
    name = re.sub(r"[^a-z0-9]+", "_", step.state.lower()).strip("_")
    return TimelineEvent(at=step.at, event=f"step.{name}", actor="countersign", detail=detail)
