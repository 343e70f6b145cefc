"""The model behind the roles: how it is reached, and what its errors are called here."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    EventStreamError,
    NoCredentialsError,
    ParamValidationError,
)
from langchain_aws import ChatBedrockConverse
from langchain_aws.utils import parse_model_provider
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from urllib3.exceptions import HTTPError

from countersign.errors import ConfigurationError, ModelRefused, ModelThrottled, ModelUnavailable, StepError

_THROTTLED = frozenset(
    {"throttlingexception", "toomanyrequestsexception", "servicequotaexceededexception", "throttling"}
)
_UNAVAILABLE = frozenset(
    {
        "internalserverexception",
        "modelerrorexception",
        "modelnotreadyexception",
        "modelstreamerrorexception",
        "modeltimeoutexception",
        "serviceunavailableexception",
        "dependencyfailedexception",
        "badgatewayexception",
        "conflictexception",
        "requesttimeout",
    }
)
_CACHES_PROMPTS = (
    "anthropic.claude-3-5-haiku",
    "anthropic.claude-3-7-sonnet",
    "anthropic.claude-sonnet-",
    "anthropic.claude-opus-",
    "anthropic.claude-haiku-",
    "amazon.nova-",
)


class ModelConfig(BaseModel):
    """Which model, and how it may be used.

    `model_id` is a model's id, an inference profile's, or an ARN; `base_model_id` is the model behind an ARN
    that does not say it. `timeout_s` bounds one call: a role makes two when the first answer fits no schema,
    so a function needs a little over twice as much. `temperature` None leaves it to the model: the newest
    ones refuse any value. `prompt_caching` None decides by the model's family.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str = Field(min_length=1)
    base_model_id: str | None = None
    region: str | None = None
    timeout_s: float = Field(default=50, gt=0)
    max_tokens: int = Field(default=4096, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=1)
    guardrail_id: str = ""
    guardrail_version: str = "DRAFT"
    prompt_caching: bool | None = None


class BedrockChat(ChatBedrockConverse):
    """LangChain's Bedrock model, and whether the stable part of a prompt is worth a cache point."""

    prompt_caching: bool = False
    streaming: bool = False
    _bound: dict[tuple[type[BaseModel], bool], Any] = PrivateAttr(default_factory=dict)


def answering(model: BaseChatModel, schema: type[BaseModel], *, streamed: bool) -> Any:
    """The model bound to the tool of `schema`: it gives the raw answer beside the parsed one.

    Kept with the model where it is ours: LangChain derives a tool's schema anew for each call, which
    takes longer than all else on our side of it.
    """
    kept = model._bound if isinstance(model, BedrockChat) else {}
    key = (schema, streamed)
    if key not in kept:
        asked = model.model_copy(update={"streaming": True}) if streamed else model
        kept[key] = asked.with_structured_output(schema, include_raw=True)
    return kept[key]


def make_model(config: ModelConfig, client: Any = None) -> BedrockChat:
    """The chat model for `config`: made once per process, unless a `bedrock-runtime` client is given.

    Raises ConfigurationError for an ARN that does not tell the model.
    """
    return _process_model(config) if client is None else _model(config, client)


@lru_cache(maxsize=4)
def _process_model(config: ModelConfig) -> BedrockChat:
    # A session of its own: boto3's default session is not safe to use from several threads.
    client = boto3.session.Session().client(
        "bedrock-runtime",
        region_name=config.region,
        config=Config(
            # The state machine retries; two retry policies on top of each other multiply.
            retries={"total_max_attempts": 1},
            connect_timeout=min(5.0, config.timeout_s),
            read_timeout=config.timeout_s,
        ),
    )
    return _model(config, client)


def _model(config: ModelConfig, client: Any) -> BedrockChat:
    base = config.base_model_id or config.model_id.rpartition("/")[2]
    if "." not in base:
        raise ConfigurationError(f"{config.model_id} does not say which model it is: set its base model's id")
    options: dict[str, Any] = {}
    if config.guardrail_id:
        options["guardrail_config"] = {
            "guardrailIdentifier": config.guardrail_id,
            "guardrailVersion": config.guardrail_version,
        }
    if config.model_id.startswith("arn:"):
        options["provider"] = parse_model_provider(base)
        options["base_model_id"] = base
    caching = config.prompt_caching
    return BedrockChat(
        model=config.model_id,
        client=client,
        # The control plane is never asked; without this, a second client would be made for nothing.
        bedrock_client=client,
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        prompt_caching=any(name in base for name in _CACHES_PROMPTS) if caching is None else caching,
        **options,
    )


@contextmanager
def named_errors() -> Iterator[None]:
    """Raise Bedrock's errors in the block under our names: ModelThrottled, ModelUnavailable, ModelRefused.

    An error that is none of Bedrock's or of the way to it passes as it is.
    """
    try:
        yield
    except ClientError as error:
        raise _named(error) from error
    except (NoCredentialsError, CredentialRetrievalError) as error:
        raise ModelRefused(f"no credentials for the model: {type(error).__name__}") from error
    except ParamValidationError:
        raise  # our own mistake, which no retry mends
    except BotoCoreError as error:
        raise ModelUnavailable(f"the model cannot be reached: {type(error).__name__}") from error
    except (HTTPError, ParserError, ConnectionError) as error:
        raise ModelUnavailable(f"the model's answer broke off: {type(error).__name__}") from error


def may_be_billed(error: StepError) -> bool:
    """Whether a failed call can be on the bill: its answer began, or nobody heard what became of it."""
    cause = error.__cause__
    answered = isinstance(cause, ClientError) and not isinstance(cause, EventStreamError)
    never_sent = isinstance(cause, EndpointConnectionError | ConnectTimeoutError)
    return isinstance(error, ModelUnavailable | ModelThrottled) and not answered and not never_sent


def _named(error: ClientError) -> ModelThrottled | ModelUnavailable | ModelRefused:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # An error inside a stream has its code in camelCase.
    name = code.lower()
    message = f"{code or status} from {error.operation_name}"
    if name in _UNAVAILABLE or status >= 500:
        return ModelUnavailable(message)
    if name in _THROTTLED or status == 429:
        return ModelThrottled(message)
    return ModelRefused(message)
