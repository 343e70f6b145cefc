"""Plan Work: the planner splits the request into what has to be looked up, and says how risky it is."""

from collections.abc import Callable
from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles
from countersign.models import CaseFile, CaseRef, ModelCall, Plan
from countersign.observability import LambdaContext, observed
from countersign.settings import settings
from countersign.spending import Attempt, Hold
from countersign_llm.allowance import Allowance
from countersign_llm.model import ModelConfig, make_model
from countersign_llm.roles import plan

type Planner = Callable[[CaseFile, Allowance], tuple[Plan, list[ModelCall]]]


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    planner: Planner | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, reservation, attempt; returns the number of steps and the risk."""
    files, planner = files or deployment.case_files(), planner or ask_model
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    step = files.step(ref, "Plan Work", 0, Attempt.read(event["attempt"]))
    if step.done is not None:
        return step.done.detail
    with step.paying():
        allowance = Allowance(step.left_usd(Hold.model_validate(event["reservation"])))
        work, calls = planner(step.file, allowance)
    return step.finish(
        lambda file: file.model_copy(update={"plan": work}),
        {"steps": len(work.steps), "risk": work.risk},
        calls,
    ).detail


def ask_model(file: CaseFile, allowance: Allowance) -> tuple[Plan, list[ModelCall]]:
    model = make_model(ModelConfig(model_id=settings().model_id))
    return plan(model, file.request, file.memory, allowance=allowance)
