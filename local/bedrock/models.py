"""What answers behind the offline Bedrock's wire: a stand-in, a server of yours, or the real Bedrock."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from local.bedrock.extractive import ExtractiveModel
from local.bedrock.openai_compatible import OpenAICompatibleModel
from local.bedrock.passthrough import BedrockModel

Params = Mapping[str, Any]
"""A Converse request as boto3 takes it."""


class Model(Protocol):
    """Answers Converse requests."""

    def converse(self, params: Params) -> dict[str, Any]:
        """`{"output": {"message"}, "stopReason"}`, and `usage` if the model counts for itself.

        Raises ServiceError.
        """

    def converse_stream(self, params: Params) -> Iterator[dict[str, Any]]:
        """The same answer as events of ConverseStream, each `{member: value}`. Raises ServiceError."""


def make_model(spec: str, *, model_name: str | None = None, api_key: str | None = None) -> Model:
    """The model that the command line's `--model` names. Raises ValueError for anything unknown.

    `extractive` is the deterministic stand-in; `bedrock` the real service, with this machine's credentials; a
    URL an OpenAI-compatible server such as `http://localhost:11434/v1`. `model_name` is that server's name of
    the model (its first one otherwise).
    """
    if spec == "extractive":
        return ExtractiveModel()
    if spec == "bedrock":
        return BedrockModel()
    if spec.startswith(("http://", "https://")):
        return OpenAICompatibleModel(spec, model_name=model_name, api_key=api_key)
    raise ValueError(
        f"{spec!r} is no model: say extractive, bedrock, or the URL of an OpenAI-compatible server"
    )
