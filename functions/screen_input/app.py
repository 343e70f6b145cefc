"""Screen Input: asks the guardrail about the request before any model reads it.

Personal data is noted, an attack on the prompt blocks the case; what was found stands in the case's timeline.
Without a guardrail everything passes: the design does not rest on this check, as nothing leaves without a
decision.
"""

from collections.abc import Callable
from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles
from countersign.models import CaseRef, Request
from countersign.observability import LambdaContext, observed
from countersign.screening import Screening, ask_guardrail
from countersign.settings import settings

type Screener = Callable[[Request], Screening]


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    screener: Screener | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id; returns acceptable, and flags by the guardrail's own names."""
    files, screener = files or deployment.case_files(), screener or configured_guardrail()
    if screener is None:
        return Screening(acceptable=True, flags=[]).model_dump()
    step = files.step(CaseRef(tenant=event["tenant"], case_id=event["case_id"]), "Screen Input", 0)
    if step.done is not None:
        return step.done.detail
    if step.file.steps:
        # A redriven case: what comes after this step has been reached, and it finds nothing on the quiet.
        return Screening(acceptable=True, flags=[]).model_dump()
    found = screener(step.file.request)
    if not found.flags:
        return found.model_dump()
    return step.finish(lambda file: file, found.model_dump()).detail


def configured_guardrail() -> Screener | None:
    chosen = settings()
    if not chosen.guardrail_id:
        return None
    client = deployment.client("bedrock-runtime", retries=False)
    return lambda request: ask_guardrail(client, chosen.guardrail_id, chosen.guardrail_version, request)
