"""The offline Bedrock: one object behind boto3's clients or a port.

bedrock = LocalBedrock(knowledge_bases={"LOCALKB001": "knowledge"}, s3=lambda: boto3.client("s3"))
bedrock.attach()                      # boto3 in this process; or serve bedrock.wsgi_app on a port
bedrock.script(Throttle(), times=2)   # see local.bedrock.script
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from urllib3.exceptions import ProtocolError

from local.bedrock import converse, wire
from local.bedrock.agents import Agents
from local.bedrock.embeddings import invoke_embedding
from local.bedrock.errors import ServiceError, ThrottlingError, ValidationError
from local.bedrock.extractive import ExtractiveModel
from local.bedrock.guardrail import Guardrail
from local.bedrock.intercept import interceptor
from local.bedrock.knowledge import KnowledgeBases
from local.bedrock.models import Model
from local.bedrock.retrieval import relevance_scores
from local.bedrock.script import (
    BreakStream,
    Fail,
    RecordedRequest,
    Refuse,
    Say,
    Script,
    ScriptedAnswer,
    Stall,
    Throttle,
    Use,
    forced_tool,
)
from local.bedrock.shapes import Violations
from local.bedrock.tokens import PromptCache, count_content, count_request, count_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)
_Output = dict[str, Any]
_Events = Iterator[dict[str, Any]]


class LocalBedrock:
    """Bedrock's runtime, agents' runtime and ingestion jobs. Thread-safe."""

    def __init__(
        self,
        *,
        model: Model | None = None,
        knowledge_bases: Mapping[str, str] | None = None,
        s3: Callable[[], Any] | None = None,
        agents: Mapping[str, str] | None = None,
        flows: Mapping[str, str] | None = None,
        guardrails: Mapping[str, Guardrail] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`knowledge_bases` is `{id: bucket}`, read with the client that `s3` makes; `agents` and `flows` are
        `{id: knowledge base id}`; `guardrails` is `{id: Guardrail}`, without it every id means the usual one.
        """
        self._model: Model = model if model is not None else ExtractiveModel()
        self.knowledge = KnowledgeBases(knowledge_bases or {}, s3)
        self._agents = Agents(self.knowledge, self._agent_model, agents=agents or {}, flows=flows or {})
        self._guardrails = guardrails
        self._sleep = sleep
        self._script = Script()
        self._cache = PromptCache()
        self._plain: dict[str, Callable[[_Output], _Output]] = {
            "ApplyGuardrail": self._apply_guardrail,
            "Converse": self._converse,
            "CountTokens": self._count_tokens,
            "GetIngestionJob": self.knowledge.get_ingestion,
            "InvokeModel": self._invoke_model,
            "ListIngestionJobs": self.knowledge.list_ingestions,
            "Rerank": self._rerank,
            "Retrieve": self.knowledge.retrieve,
            "RetrieveAndGenerate": self._agents.retrieve_and_generate,
            "StartIngestionJob": self.knowledge.start_ingestion,
        }
        self._streamed: dict[str, Callable[[_Output], tuple[_Output, _Events]]] = {
            "ConverseStream": self._converse_stream,
            "InvokeAgent": self._agents.invoke_agent,
            "InvokeFlow": self._agents.invoke_flow,
        }
        self._router = wire.Router([*self._plain, *self._streamed])

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> wire.Answer:
        """The answer to an HTTP request; `path` is percent-encoded, as it came."""
        try:
            call = self._router.read(method, path, query, headers, body)
            return self._answer(call)
        except ServiceError as problem:
            return wire.error(problem)
        except Violations as problem:
            _log.exception("the offline Bedrock made an answer that its service model does not have")
            return wire.error(ServiceError("InternalServerException", str(problem)))

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """`handle` as a WSGI application, for an endpoint URL."""
        length = environ.get("CONTENT_LENGTH") or "0"
        body = environ["wsgi.input"].read(int(length)) if length.isdecimal() else b""
        headers = {
            name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        if "CONTENT_TYPE" in environ:
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        # PATH_INFO is decoded already, and an ARN in a path has an encoded slash.
        target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or quote(environ["PATH_INFO"])
        status, answer_headers, chunks = self.handle(
            environ["REQUEST_METHOD"],
            target.partition("?")[0],
            environ.get("QUERY_STRING", ""),
            headers,
            body,
        )
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(answer_headers.items()))
        return chunks

    def attach(self) -> Self:
        """Answer the Bedrock calls of this process's boto3 sessions made from now on, without sockets."""
        interceptor.attach(self.handle)
        return self

    def detach(self) -> None:
        """Answer them no more."""
        interceptor.detach(self.handle)

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def script(
        self,
        answer: ScriptedAnswer,
        *,
        tool: str | None = None,
        operation: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Queue an answer in place of the model's, for `times` requests (None: for all that come).

        It is given to the next request that forces `tool` and is of `operation`; without an operation, to
        the next Converse or ConverseStream.
        """
        self._script.add(answer, tool=tool, operation=operation, times=times)

    def clear_script(self) -> None:
        """Forget the queued answers."""
        self._script.clear()

    def clear_requests(self) -> None:
        """Forget the requests that came."""
        self._script.requests.clear()

    @property
    def requests(self) -> list[RecordedRequest]:
        """The latest requests that were valid, oldest first."""
        return list(self._script.requests)

    def _answer(self, call: wire.Call) -> wire.Answer:
        scripted = self._script.next_answer(call.name, call.params)
        if isinstance(scripted, Throttle):
            raise ThrottlingError()
        if isinstance(scripted, Fail):
            raise ServiceError(scripted.code, scripted.message)
        if isinstance(scripted, Stall):
            self._sleep(scripted.seconds)
        if isinstance(scripted, BreakStream) and not wire.is_stream(call.operation):
            raise ServiceError(scripted.code or "InternalServerException", "The connection broke.")
        if call.name in self._plain:
            return wire.result(call.operation, self._plain_output(call, scripted))
        output, events = self._stream_output(call, scripted)
        if isinstance(scripted, BreakStream):
            status, headers, chunks = wire.stream(call.operation, output, _cut_short(events, scripted))
            return status, headers, chunks if scripted.code else _broken(chunks)
        return wire.stream(call.operation, output, events)

    def _plain_output(self, call: wire.Call, scripted: ScriptedAnswer | None) -> _Output:
        said = _said(scripted)
        if said is None:
            return self._plain[call.name](call.params)
        if call.name == "Converse":
            converse.check_conversation(call.params)
            return self._measured(call.params, _scripted_reply(call.params, scripted), time.perf_counter())
        if call.name == "RetrieveAndGenerate":
            return self._agents.retrieve_and_generate(call.params, said)
        raise ServiceError("InternalServerException", f"{call.name} can't be scripted to say something")

    def _stream_output(self, call: wire.Call, scripted: ScriptedAnswer | None) -> tuple[_Output, _Events]:
        said = _said(scripted)
        if said is None:
            return self._streamed[call.name](call.params)
        if call.name == "ConverseStream":
            converse.check_conversation(call.params)
            reply = _scripted_reply(call.params, scripted)
            return {}, self._with_metadata(call.params, converse.events_of(reply), time.perf_counter())
        if call.name == "InvokeAgent":
            return self._agents.invoke_agent(call.params, said)
        return self._agents.invoke_flow(call.params, said)

    def _converse(self, params: _Output) -> _Output:
        started = time.perf_counter()
        converse.check_conversation(params)
        return self._measured(params, self._model.converse(params), started)

    def _converse_stream(self, params: _Output) -> tuple[_Output, _Events]:
        started = time.perf_counter()
        converse.check_conversation(params)
        events = self._model.converse_stream(params)
        # The first event is awaited, so that an error of the model is an HTTP error, as on AWS.
        first = list(islice(events, 1))
        return {}, self._with_metadata(params, _chained(first, events), started)

    def _agent_model(self, params: Mapping[str, Any]) -> _Output:
        reply = self._model.converse(params)
        if "usage" not in reply:
            content = reply["output"]["message"]["content"]
            reply["usage"] = self._cache.usage(params, count_content(content))
        return reply

    def _measured(self, params: Mapping[str, Any], reply: _Output, started: float) -> _Output:
        content = reply["output"]["message"]["content"]
        usage = reply.get("usage") or self._cache.usage(params, count_content(content))
        return {**reply, "usage": usage, "metrics": {"latencyMs": _milliseconds(started)}}

    def _with_metadata(self, params: Mapping[str, Any], events: _Events, started: float) -> _Events:
        seen, usage = [], None
        for event in events:
            if "metadata" in event:
                usage = event["metadata"]["usage"]
                continue
            seen.append(event)
            yield event
        if usage is None:
            usage = self._cache.usage(params, count_content(converse.content_of(seen)))
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": _milliseconds(started)}}}

    def _invoke_model(self, params: _Output) -> _Output:
        answer, tokens = invoke_embedding(params["modelId"], params.get("body", b""))
        return {
            "body": json.dumps(answer).encode(),
            "contentType": "application/json",
            "X-Amzn-Bedrock-Input-Token-Count": tokens,
        }

    def _count_tokens(self, params: _Output) -> _Output:
        asked = params["input"]
        if "converse" in asked:
            return {"inputTokens": count_request(asked["converse"])}
        return {"inputTokens": count_text(asked["invokeModel"]["body"].decode("utf-8", "replace"))}

    def _apply_guardrail(self, params: _Output) -> _Output:
        name = params["guardrailIdentifier"].rsplit("/", 1)[-1]
        if self._guardrails is None:
            return Guardrail().apply(params)
        if name not in self._guardrails:
            raise ServiceError("ResourceNotFoundException", f"Guardrail {name} does not exist")
        return self._guardrails[name].apply(params)

    def _rerank(self, params: _Output) -> _Output:
        texts = []
        for source in params["sources"]:
            document = source["inlineDocumentSource"]
            if document["type"] == "TEXT" and "textDocument" in document:
                texts.append(document["textDocument"]["text"])
            elif "jsonDocument" in document:
                texts.append(json.dumps(document["jsonDocument"], ensure_ascii=False))
            else:
                raise ValidationError("A source needs the document that its type names")
        scores = relevance_scores(params["queries"][0]["textQuery"]["text"], texts)
        order = sorted(range(len(texts)), key=lambda place: -scores[place])
        config = params["rerankingConfiguration"]["bedrockRerankingConfiguration"]
        order = order[: config.get("numberOfResults", len(order))]
        return {"results": [{"index": place, "relevanceScore": scores[place]} for place in order]}


def _said(scripted: ScriptedAnswer | None) -> str | None:
    """The text that a script gives in place of the model's; None for those that let the model answer."""
    if isinstance(scripted, Say | Refuse):
        return scripted.text
    if isinstance(scripted, Use):
        return json.dumps(scripted.input, ensure_ascii=False)
    return None


def _scripted_reply(params: Mapping[str, Any], scripted: ScriptedAnswer | None) -> _Output:
    if isinstance(scripted, Use):
        specs = converse.tool_specs(params)
        first = specs[0]["toolSpec"]["name"] if specs else None
        name = scripted.tool or forced_tool(params) or first or "tool"
        return converse.answer([converse.tool_use(len(params["messages"]), name, scripted.input)])
    reason = scripted.reason if isinstance(scripted, Refuse) else None
    return converse.answer([{"text": _said(scripted) or " "}], reason)


def _cut_short(events: _Events, scripted: BreakStream) -> _Events:
    yield from islice(events, scripted.after_events)
    if scripted.code:
        raise ServiceError(scripted.code, "The stream broke.")


def _broken(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks
    # What urllib3 raises when the other side hangs up in the middle; a WSGI server then does hang up.
    raise ProtocolError("Connection broken: the offline Bedrock was told to")


def _chained(first: list[dict[str, Any]], rest: _Events) -> _Events:
    yield from first
    yield from rest


def _milliseconds(started: float) -> int:
    return max(1, round((time.perf_counter() - started) * 1000))
