"""Review Draft: the reviewer's view of a draft beside a deterministic check, and what the policy asks for.

Where the reviewing model fails, the check alone is kept as the review and the error goes on: a person sees
both. A draft with a claim that is not supported is never approved by a policy alone. The guardrail is not
asked about the draft: a person reads it, and what could act in it is gone already.
"""

from collections.abc import Callable
from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles
from countersign.decisions import Terms
from countersign.errors import CaseFileMissing
from countersign.models import CaseFile, CaseRef, Draft, ModelCall, Review
from countersign.observability import LambdaContext, observed
from countersign.policies import Policy, load_policy
from countersign.settings import settings
from countersign.spending import Attempt, Hold
from countersign_knowledge.grounding import findings, ground
from countersign_llm import roles
from countersign_llm.allowance import Allowance
from countersign_llm.model import ModelConfig, make_model
from countersign_llm.reviewing import conclude
from countersign_llm.schemas import DraftReview

type Reviewer = Callable[[CaseFile, Draft, Allowance], tuple[DraftReview, list[ModelCall]]]


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    reviewer: Reviewer | None = None,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, round, reservation, attempt; returns verdict, scores and the policy's terms."""
    files, reviewer = files or deployment.case_files(), reviewer or ask_model
    ref, number = CaseRef(tenant=event["tenant"], case_id=event["case_id"]), int(event["round"])
    step = files.step(ref, "Review Draft", number, Attempt.read(event["attempt"]))
    if step.done is not None:
        return step.done.detail
    written = step.file.round(number)
    if written is None or written.draft is None:
        raise CaseFileMissing(f"case {ref.case_id} has no draft of round {number} to review")
    draft, request = written.draft, step.file.request
    grounded = ground(draft.text, step.file.passages)
    found = findings(draft.text, grounded, step.file.passages, f"{request.subject}\n{request.text}")

    def reviewed(file: CaseFile, review: Review) -> CaseFile:
        return file.with_round((file.round(number) or written).model_copy(update={"review": review}))

    alone = conclude(None, grounded.claims, found)
    with step.paying(lambda file: reviewed(file, alone)):
        allowance = Allowance(step.left_usd(Hold.model_validate(event["reservation"])))
        view, calls = reviewer(step.file, draft, allowance)
    review = conclude(view, grounded.claims, found)
    terms = asked_for(policy or load_policy(settings().policies_dir), step.file, review)
    return step.finish(
        lambda file: reviewed(file, review),
        {
            **review.model_dump(include={"verdict", "score", "support", "unsupported"}),
            "terms": terms.model_dump(mode="json"),
        },
        calls,
    ).detail


def asked_for(policy: Policy, file: CaseFile, review: Review) -> Terms:
    terms = policy.terms(file.request.source, file.risk)
    needed = terms.needed or review.unsupported > 0 or review.verdict != "accept"
    return terms.model_copy(update={"needed": needed})


def ask_model(file: CaseFile, draft: Draft, allowance: Allowance) -> tuple[DraftReview, list[ModelCall]]:
    model = make_model(ModelConfig(model_id=settings().model_id))
    return roles.review(model, file.request, file.passages, draft, allowance=allowance)
