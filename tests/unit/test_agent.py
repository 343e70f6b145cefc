"""The engine `bedrock-agent`: its stream becomes sentences, markers, passages, a price and a trace."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError

from countersign.errors import ModelOutputInvalid, ModelRefused, ModelThrottled, ModelUnavailable, StepError
from countersign.models import CaseFile, Passage, Round
from countersign_knowledge.retrieval import passage_of, search_configuration
from countersign_llm import agent
from countersign_llm.agent import Agent
from countersign_llm.roles import UNBOUNDED
from local.bedrock.app import LocalBedrock
from tests.unit.stores import Stores, case_file

AGENT = Agent("AGENT00001", "ALIAS00001", "amazon.nova-lite-v1:0", "KB1", search_configuration("default", 5))


def reference(text: str, tenant: str = "default", document: str = "guide.md") -> dict[str, Any]:
    uri = f"s3://knowledge/{tenant}/{document}"
    return {
        "content": {"type": "TEXT", "text": text},
        "location": {"type": "S3", "s3Location": {"uri": uri}},
        "metadata": {"tenant": tenant, "x-amz-bedrock-kb-source-uri": uri},
    }


def chunk(text: str, *citations: tuple[str, list[dict[str, Any]]], at: int = 0) -> dict[str, Any]:
    cited = [
        {
            "generatedResponsePart": {
                "textResponsePart": {"text": said, "span": {"start": at, "end": at + len(said) - 1}}
            },
            "retrievedReferences": references,
        }
        for said, references in citations
    ]
    return {"chunk": {"bytes": text.encode(), **({"attribution": {"citations": cited}} if cited else {})}}


def used(read: int, written: int, kind: str = "orchestrationTrace") -> dict[str, Any]:
    usage = {"usage": {"inputTokens": read, "outputTokens": written}}
    return {
        "trace": {
            "trace": {kind: {"modelInvocationOutput": {"metadata": usage}}},
            "eventTime": datetime.now(UTC),
        }
    }


class FakeAgents:
    """A `bedrock-agent-runtime` client whose stream is a list, errors among its events."""

    def __init__(self, *events: dict[str, Any] | Exception) -> None:
        self.requests: list[dict[str, Any]] = []
        self._events = events

    def invoke_agent(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self._events and isinstance(self._events[0], ClientError):
            raise self._events[0]
        return {"completion": self._stream(), "sessionId": request["sessionId"]}

    def _stream(self) -> Iterator[dict[str, Any]]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event


def read(result: Mapping[str, Any]) -> Passage | None:
    return passage_of(result, "default")


def write(
    client: FakeAgents, file: CaseFile | None = None, round_: Round | None = None
) -> tuple[list[tuple[str, list[int]]], list[Passage], Any, bytes]:
    written, passages, (call,), trace = agent.write(
        client, AGENT, file or case_file(text=None), round_ or Round(number=1), read, UNBOUNDED
    )
    return [(s.text, s.citations) for s in written.sentences], passages, (call, written.answered), trace


def test_attributed_stretches_become_cited_sentences() -> None:
    known = "Delivery is tried ten times within 75 hours."
    client = FakeAgents(
        used(100, 5, "preProcessingTrace"),
        chunk("Hello. Ten ", ("Ten times.", [reference(known)])),
        chunk("times.\n\nFor 75 hours.", ("For 75 hours.", [reference("New."), reference(known)])),
        used(900, 35),
    )
    sentences, passages, (call, answered), trace = write(client)
    assert sentences == [("Hello.", []), (" Ten times.", [1]), ("\n\nFor 75 hours.", [3, 1])]
    assert [(p.marker, p.text) for p in passages][2:] == [(3, "New.")], "the case's own keep their markers"
    assert answered
    assert (call.role, call.prompt, call.model_id) == ("writer", "ask_agent@1", AGENT.model_id)
    assert (call.input_tokens, call.output_tokens) == (1000, 40)
    assert call.cost_usd
    assert 0 < call.ttft_ms <= call.latency_ms
    assert len(json.loads(trace)) == 2


def test_the_request_carries_the_tenants_filter_and_a_session_of_the_round() -> None:
    client = FakeAgents(chunk("Yes."))
    file = case_file(text="It is tried twice [1].")
    write(client, file, Round(number=2, feedback="Make it </feedback> shorter"))
    (sent,) = client.requests
    assert sent["sessionId"] == f"{file.case_id}-2"
    assert sent["enableTrace"] is True
    assert sent["sessionState"]["knowledgeBaseConfigurations"] == [
        {"knowledgeBaseId": "KB1", "retrievalConfiguration": search_configuration("default", 5)}
    ]
    assert "<feedback>Make it &lt;/feedback&gt; shorter</feedback>" in sent["inputText"]
    assert "It is tried twice [1]." in sent["inputText"]
    assert "How often is delivery tried?" in sent["inputText"]


def test_references_of_other_tenants_support_nothing() -> None:
    client = FakeAgents(chunk("Our price.", ("Our price.", [reference("Our price.", tenant="other")])))
    sentences, passages, (_, answered), _ = write(client)
    assert sentences == [("Our price.", [])]
    assert len(passages) == 2
    assert not answered


@pytest.mark.parametrize(
    ("said", "at", "expected"),
    [
        pytest.param("nowhere", 0, ["One two", " three."], id="the span where its words are not found"),
        pytest.param("nowhere", 500, ["One two three."], id="neither"),
        pytest.param("", 500, ["One two three."], id="nothing said"),
    ],
)
def test_an_attribution_is_placed_by_its_words_then_by_its_span(
    said: str, at: int, expected: list[str]
) -> None:
    client = FakeAgents(chunk("One two three.", (said, [reference("One.")]), at=at))
    sentences, *_ = write(client)
    assert [text for text, _ in sentences] == expected


def client_error(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "InvokeAgent")


GUARDED = {"trace": {"trace": {"guardrailTrace": {"action": "INTERVENED"}}}}


@pytest.mark.parametrize(
    ("events", "name", "paid"),
    [
        ([client_error("ThrottlingException", 429)], ModelThrottled, False),
        ([client_error("ConflictException", 409)], ModelUnavailable, False),
        ([client_error("DependencyFailedException", 424)], ModelUnavailable, False),
        ([client_error("AccessDeniedException", 403)], ModelRefused, False),
        (
            [used(9, 1), EventStreamError({"Error": {"Code": "throttlingException"}}, "x")],
            ModelThrottled,
            True,
        ),
        ([chunk("Half"), ReadTimeoutError(endpoint_url="https://x")], ModelUnavailable, False),
        ([used(9, 1), chunk(" \n")], ModelOutputInvalid, True),
        ([], ModelOutputInvalid, True),
        ([used(9, 1), GUARDED, chunk("Sorry.")], ModelRefused, True),
    ],
)
def test_errors_have_our_names_and_know_what_was_paid(
    events: list[Any], name: type[StepError], paid: bool
) -> None:
    with pytest.raises(name) as caught:
        write(FakeAgents(*events))
    assert type(caught.value) is name
    assert bool(caught.value.calls) is paid


def test_the_offline_agent_answers_from_the_tenants_documents(stores: Stores) -> None:
    documents = {
        "default": "Delivery is tried ten times. Redirects are never followed.",
        "other": "Redirects are followed ninety times.",
    }
    for tenant, text in documents.items():
        sidecar = {"metadataAttributes": {"tenant": tenant}}
        stores.s3.put_object(Bucket="knowledge", Key=f"{tenant}/delivery.md", Body=text)
        stores.s3.put_object(
            Bucket="knowledge", Key=f"{tenant}/delivery.md.metadata.json", Body=json.dumps(sidecar)
        )
    bedrock = LocalBedrock(
        knowledge_bases={"LOCALKB001": "knowledge"},
        s3=lambda: stores.s3,
        agents={"AGENT00001": "LOCALKB001"},
    )
    with bedrock:
        boto3.client("bedrock-agent").start_ingestion_job(
            knowledgeBaseId="LOCALKB001", dataSourceId="DS00000001"
        )
        file = case_file(text=None)
        request = file.request.model_copy(update={"text": "Are redirects followed?", "subject": "Redirects"})
        file = file.model_copy(update={"passages": [], "request": request})
        written, passages, (call,), trace = agent.write(
            boto3.client("bedrock-agent-runtime"),
            Agent("AGENT00001", "ALIAS00001", AGENT.model_id, "LOCALKB001", AGENT.search),
            file,
            Round(number=1),
            read,
            UNBOUNDED,
        )
    assert [s.citations for s in written.sentences] == [[1]]
    assert written.sentences[0].text.strip() == "Redirects are never followed."
    assert [p.document for p in passages] == ["delivery.md"]
    assert call.input_tokens > 0
    assert "knowledgeBaseLookupOutput" in trace.decode()
