"""The review of a draft: the model's view beside what the deterministic check found.

A draft is sent back if either says so: the check if a sentence is contradicted, not stated by what it cites,
or cites nothing although it states something. Where the model gave no view, the check stands alone.
"""

from collections.abc import Sequence

from countersign.models import Claim, Finding, Review
from countersign_llm.schemas import DraftReview

ALONE = "The reviewing model gave no view. This is the deterministic check alone."


def conclude(view: DraftReview | None, claims: Sequence[Claim], found: Sequence[Finding]) -> Review:
    """`claims` and `found` are grounding's, of the same text. Without a view the score is the support."""
    unsupported = sum(claim.verdict != "supported" for claim in claims)
    support = round(1 - unsupported / len(claims), 3) if claims else 0.0
    findings = [*(_of_model(view, len(claims)) if view else ()), *found]
    sent_back = bool(found) or (view is not None and view.verdict == "revise")
    return Review(
        verdict="revise" if sent_back else "accept",
        score=view.score if view else support,
        support=support,
        unsupported=unsupported,
        summary=view.summary if view else ALONE,
        findings=findings,
    )


def _of_model(view: DraftReview, claims: int) -> list[Finding]:
    """The model counts sentences from 1; 0, and a number that no sentence has, is the draft as a whole."""
    return [
        Finding(
            claim=finding.sentence - 1 if 0 < finding.sentence <= claims else None, problem=finding.problem
        )
        for finding in view.findings
    ]
