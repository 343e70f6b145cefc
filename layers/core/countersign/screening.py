"""What a Bedrock guardrail says about a request: what it found, by its own names, and whether it blocks."""

from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from countersign.errors import ModelRefused, ModelThrottled, ModelUnavailable
from countersign.excerpts import asked
from countersign.models import Record, Request

_BLOCKING = "BLOCKED"
_THROTTLED = frozenset({"ThrottlingException", "ServiceQuotaExceededException"})
_LISTS = (
    ("contentPolicy", "filters", "type"),
    ("topicPolicy", "topics", "name"),
    ("wordPolicy", "customWords", ""),
    ("wordPolicy", "managedWordLists", "type"),
    ("sensitiveInformationPolicy", "piiEntities", "type"),
    ("sensitiveInformationPolicy", "regexes", "name"),
)
"""Where an assessment lists findings, and what names one: a word of the guardrail's own list is WORD."""


class GuardrailClient(Protocol):
    """The one call of boto3's `bedrock-runtime` client that is made here."""

    def apply_guardrail(self, **kwargs: Any) -> Any: ...


class Screening(Record):
    """`flags` are the guardrail's names of what it found, each once."""

    acceptable: bool
    flags: list[str]


def ask_guardrail(client: GuardrailClient, guardrail_id: str, version: str, request: Request) -> Screening:
    """Screens what a model would read of a request. Raises ModelThrottled, ModelUnavailable, ModelRefused."""
    try:
        answer = client.apply_guardrail(
            guardrailIdentifier=guardrail_id,
            guardrailVersion=version,
            source="INPUT",
            content=[{"text": {"text": "\n".join(asked(request))}}],
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _THROTTLED:
            raise ModelThrottled("the guardrail asks us to slow down") from error
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise ModelUnavailable(f"the guardrail answered {code}") from error
        raise ModelRefused(f"the guardrail answered {code}") from error
    except BotoCoreError as error:
        raise ModelUnavailable(f"the guardrail did not answer: {type(error).__name__}") from error
    found = [
        (str(item[name]) if name else "WORD", item["action"])
        for assessment in answer["assessments"]
        for policy, kind, name in _LISTS
        for item in assessment.get(policy, {}).get(kind, ())
    ]
    return Screening(
        acceptable=all(action != _BLOCKING for _, action in found), flags=sorted({name for name, _ in found})
    )
