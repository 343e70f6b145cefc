"""Bedrock calls that never leave the process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from local.stack import Stack

TEMPLATE = Path(__file__).parent / "fixtures" / "app" / "template.yaml"


class FakeBedrock:
    """Keeps requests; answers Converse and Retrieve, and refuses the model `busy`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []

    def wsgi_app(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.requests.append((request.host, request.path, request.get_json()))
        if "busy" in request.path:
            answer = Response('{"message": "slow down"}', status=429, content_type="application/json")
            answer.headers["x-amzn-ErrorType"] = "ThrottlingException"
        elif request.path.endswith("/converse"):
            answer = Response(json.dumps({"stopReason": "end_turn"}), content_type="application/json")
        else:
            answer = Response(json.dumps({"retrievalResults": []}), content_type="application/json")
        return answer(environ, start_response)


@pytest.fixture
def bedrock() -> FakeBedrock:
    return FakeBedrock()


@pytest.fixture
def stack(bedrock: FakeBedrock) -> Iterator[Stack]:
    with Stack(TEMPLATE, bedrock=bedrock) as stack:  # type: ignore[arg-type]  # a method is a WSGI app as well
        yield stack


def test_requests_arrive_with_their_bodies(stack: Stack, bedrock: FakeBedrock) -> None:
    messages = [{"role": "user", "content": [{"text": 'say "ü"'}]}]
    answer = boto3.client("bedrock-runtime").converse(modelId="eu.m:1", messages=messages)
    assert answer["stopReason"] == "end_turn"
    base = stack.outputs["KnowledgeBaseId"]
    boto3.client("bedrock-agent-runtime").retrieve(knowledgeBaseId=base, retrievalQuery={"text": "q"})
    (host, path, body), (other_host, other_path, _) = bedrock.requests
    assert (host, path, body) == (
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/eu.m:1/converse",
        {"messages": messages},
    )
    assert other_host.startswith("bedrock-agent-runtime.")
    assert other_path == f"/knowledgebases/{base}/retrieve"
    assert stack.meter.snapshot().calls["bedrock-runtime", "Converse", "client"] == 1


def test_errors_keep_their_names(stack: Stack) -> None:
    client = stack.client("bedrock-runtime")
    with pytest.raises(ClientError) as error:
        client.converse(modelId="busy", messages=[])
    assert error.value.response["Error"]["Code"] == "ThrottlingException"
