"""Screen Input: asks the guardrail about the request before any model reads it.

Personal data is noted, an attack on the prompt blocks the case; what was found stands in the case's timeline.
Without a guardrail everything passes: the design does not rest on this check, as nothing leaves without a
decision.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from countersign import deployment
from countersign.case_file import CaseFiles
from countersign.errors import ModelRefused, ModelThrottled, ModelUnavailable
from countersign.excerpts import asked
from countersign.models import CaseRef, Request
from countersign.observability import LambdaContext, observed
from countersign.settings import settings

BLOCKING = "BLOCKED"
THROTTLED = frozenset({"ThrottlingException", "ServiceQuotaExceededException"})


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, files: CaseFiles | None = None, guardrail: Any = None
) -> dict[str, Any]:
    """Takes tenant, case_id; returns acceptable, and flags by the guardrail's own names."""
    files = files or deployment.case_files()
    if not settings().guardrail_id:
        return {"acceptable": True, "flags": []}
    guardrail = guardrail or deployment.client("bedrock-runtime", retries=False)
    step = files.step(CaseRef(tenant=event["tenant"], case_id=event["case_id"]), "Screen Input", 0)
    if step.done is not None:
        return step.done.detail
    screened = screen(guardrail, step.file.request)
    return step.finish(lambda file: file, screened).detail if screened["flags"] else screened


def screen(guardrail: Any, request: Request) -> dict[str, Any]:
    """Raises ModelThrottled, ModelUnavailable, ModelRefused."""
    text = "\n".join(asked(request))
    try:
        answer = guardrail.apply_guardrail(
            guardrailIdentifier=settings().guardrail_id,
            guardrailVersion=settings().guardrail_version,
            source="INPUT",
            content=[{"text": {"text": text or " "}}],
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in THROTTLED:
            raise ModelThrottled("the guardrail asks us to slow down") from error
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise ModelUnavailable(f"the guardrail answered {code}") from error
        raise ModelRefused(f"the guardrail answered {code}") from error
    except BotoCoreError as error:
        raise ModelUnavailable(f"the guardrail did not answer: {type(error).__name__}") from error
    found = [finding for assessment in answer["assessments"] for finding in findings(assessment)]
    return {
        "acceptable": not any(action == BLOCKING for _, action in found),
        "flags": sorted({name for name, _ in found}),
    }


def findings(assessment: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, action) of everything one assessment found."""
    content = assessment.get("contentPolicy", {}).get("filters", [])
    topics = assessment.get("topicPolicy", {}).get("topics", [])
    words = assessment.get("wordPolicy", {})
    personal = assessment.get("sensitiveInformationPolicy", {})
    return [
        *((item["type"], item["action"]) for item in content),
        *((item["name"], item["action"]) for item in topics),
        *(("WORD", item["action"]) for item in words.get("customWords", [])),
        *((item["type"], item["action"]) for item in words.get("managedWordLists", [])),
        *((item["type"], item["action"]) for item in personal.get("piiEntities", [])),
        *((item["name"], item["action"]) for item in personal.get("regexes", [])),
    ]
