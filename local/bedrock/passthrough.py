"""The real Bedrock behind the offline stack, for its Converse calls alone."""

import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import BUILTIN_HANDLERS

from local.bedrock.errors import ServiceError


class BedrockModel:
    """Passes Converse on to AWS, with the credentials that this machine had when it was made.

    The stack replaces credentials and answers of AWS in its whole process; this model's client is made before
    that, and is never intercepted.
    """

    def __init__(self, client: Any = None) -> None:
        """Raises ServiceError (AccessDeniedException) if this machine has no credentials of AWS."""
        self._client = client if client is not None else _real_client()

    def converse(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The real answer. Raises ServiceError."""
        answer = _outside(lambda: self._client.converse(**params))
        return {name: answer[name] for name in ("output", "stopReason", "usage") if name in answer}

    def converse_stream(self, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The real stream's events, its metadata included. Raises ServiceError."""
        events = iter(_outside(lambda: self._client.converse_stream(**params))["stream"])
        while (event := _outside(lambda: next(events, None))) is not None:
            yield event


def _outside(call: Callable[[], Any]) -> Any:
    """Call AWS as this machine, not as the function that is running, whose calls are counted and faulted."""
    try:
        return contextvars.Context().run(call)
    except ClientError as problem:
        error = problem.response.get("Error", {})
        status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise ServiceError(
            error.get("Code", "InternalServerException"), error.get("Message", ""), status
        ) from problem
    except BotoCoreError as problem:
        raise ServiceError("ServiceUnavailableException", f"Bedrock can't be reached: {problem}") from problem


def _real_client() -> Any:
    session = botocore.session.Session()
    if session.get_credentials() is None:
        raise ServiceError("AccessDeniedException", "This machine has no AWS credentials for --model bedrock")
    region = session.get_config_variable("region") or "us-east-1"
    # Errors go back to the caller, who has its own way to retry.
    config = Config(retries={"max_attempts": 0})
    client = session.create_client("bedrock-runtime", region_name=region, config=config)
    # Whoever answers in AWS's place (moto, or this offline Bedrock) does so before a request is sent.
    for event in ("before-send", "before-send.bedrock-runtime"):
        for handler in _built_in(event):
            client.meta.events.unregister(event, handler)
    return client


def _built_in(event: str) -> list[Any]:
    return [entry[1] for entry in BUILTIN_HANDLERS if entry[0] == event]
