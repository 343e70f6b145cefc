"""Agents, flows and RetrieveAndGenerate: one look-up in a knowledge base, and an answer with citations."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape, quoteattr

from local.bedrock.errors import NotFoundError, ValidationError
from local.bedrock.knowledge import KnowledgeBases
from local.bedrock.prompt import read_prompt, without_markers

_USUAL_PASSAGES = 5
_INSTRUCTION = (
    "Answer the request from the passages alone. After each sentence, name the passages it rests on by their "
    "markers, such as [1]. If they hold no answer, say so."
)
_END_OF_SENTENCE = re.compile(r"(?<=\])\s+(?=[^\s\[])|(?<=[.!?])\s+(?=[^\s\[])")
_TRACED_MODEL_ID = "extractive"

Converse = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Answers a Converse request with `{"output", "stopReason", "usage"}`."""


@dataclass(frozen=True)
class CitedAnswer:
    """An answer without markers: its parts, each with the references it rests on, and what it took."""

    parts: tuple[tuple[str, tuple[dict[str, Any], ...]], ...]
    references: tuple[dict[str, Any], ...]
    usage: Mapping[str, int]
    seconds: float

    @property
    def text(self) -> str:
        """The parts as one text."""
        return " ".join(text for text, _ in self.parts)

    def citations(self) -> list[dict[str, Any]]:
        """Bedrock's citations. A span's `end` is the index of its last character, as Bedrock counts."""
        found, start = [], 0
        for text, references in self.parts:
            if references:
                span = {"start": start, "end": start + len(text) - 1}
                part = {"textResponsePart": {"text": text, "span": span}}
                found.append({"generatedResponsePart": part, "retrievedReferences": list(references)})
            start += len(text) + 1
        return found


class Agents:
    """The agents and flows of one offline Bedrock; each looks things up in one knowledge base."""

    def __init__(
        self,
        knowledge: KnowledgeBases,
        converse: Converse,
        *,
        agents: Mapping[str, str],
        flows: Mapping[str, str],
    ) -> None:
        """`agents` and `flows` are `{id: knowledge base id}`."""
        self._knowledge = knowledge
        self._converse = converse
        self._agents = dict(agents)
        self._flows = dict(flows)

    def invoke_agent(
        self, params: Mapping[str, Any], said: str | None = None
    ) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
        """InvokeAgent's headers and events. `said` is an answer to give in place of the model's."""
        agent_id = params["agentId"]
        base_id = self._agents.get(agent_id)
        if base_id is None:
            raise NotFoundError(f"Agent {agent_id} does not exist")
        text = params.get("inputText", "")
        if not text.strip():
            raise ValidationError("inputText has no text")
        state = params.get("sessionState", {})
        config: Mapping[str, Any] = next(
            (
                each["retrievalConfiguration"]
                for each in state.get("knowledgeBaseConfigurations", ())
                if each["knowledgeBaseId"] == base_id
            ),
            {},
        )
        started = datetime.now(UTC)
        answer = self.answer(base_id, text, config, said=said)
        head = {"contentType": "application/json", "sessionId": params["sessionId"]}
        return head, self._agent_events(params, base_id, answer, started)

    def invoke_flow(
        self, params: Mapping[str, Any], said: str | None = None
    ) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
        """InvokeFlow's headers and events: the flow's output is the answer's text, or text and citations for
        an input that is an object with `text`.
        """
        flow_id = params["flowIdentifier"].rsplit("/", 1)[-1]
        base_id = self._flows.get(flow_id)
        if base_id is None:
            raise NotFoundError(f"Flow {flow_id} does not exist")
        given = params["inputs"][0]["content"]["document"]
        question = given.get("text") if isinstance(given, Mapping) else given
        if not isinstance(question, str) or not question.strip():
            raise ValidationError("The flow's input must be a text, or an object with a text")
        answer = self.answer(base_id, question, {}, said=said)
        output: Any = answer.text
        if isinstance(given, Mapping):
            output = {"text": answer.text, "citations": answer.citations()}
        execution = params.get("executionId") or str(uuid4())
        trace = bool(params.get("enableTrace"))
        return {"executionId": execution}, _flow_events(params["inputs"][0], output, trace=trace)

    def retrieve_and_generate(self, params: Mapping[str, Any], said: str | None = None) -> dict[str, Any]:
        """RetrieveAndGenerate over a knowledge base."""
        config = params.get("retrieveAndGenerateConfiguration", {})
        if config.get("type") != "KNOWLEDGE_BASE" or "knowledgeBaseConfiguration" not in config:
            raise ValidationError("The offline Bedrock generates from a knowledge base only")
        base = config["knowledgeBaseConfiguration"]
        answer = self.answer(
            base["knowledgeBaseId"],
            params["input"]["text"],
            base.get("retrievalConfiguration", {}),
            said=said,
            model_id=base["modelArn"],
        )
        return {
            "output": {"text": answer.text},
            "citations": answer.citations(),
            "sessionId": params.get("sessionId") or str(uuid4()),
        }

    def answer(
        self,
        base_id: str,
        text: str,
        config: Mapping[str, Any],
        *,
        said: str | None = None,
        model_id: str = _TRACED_MODEL_ID,
    ) -> CitedAnswer:
        """Look up what `text` asks (the data in its tags, if it has some) and answer it."""
        started = time.perf_counter()
        prompt = read_prompt(_conversation(model_id, text))
        if "vectorSearchConfiguration" not in config and "managedSearchConfiguration" not in config:
            config = {"vectorSearchConfiguration": {"numberOfResults": _USUAL_PASSAGES}}
        results, _ = self._knowledge.search(base_id, prompt.request or text, config)
        request = text if "<request>" in text else f"<request><text>{escape(text)}</text></request>"
        # Passages that came with the text keep their markers; the knowledge base's come after them.
        first = max((passage.marker for passage in prompt.passages), default=0) + 1
        own = "".join(
            f"<passage marker={quoteattr(str(passage.marker))} document={quoteattr(passage.document)}>"
            f"{escape(passage.text)}</passage>"
            for passage in prompt.passages
        )
        whole = f"{request}\n<passages>{own}{_passages(results, first)}</passages>"
        reply = self._converse(_conversation(model_id, whole))
        words = said if said is not None else _reply_text(reply)
        references = tuple(_reference(result) for result in results)
        parts = []
        for piece in _END_OF_SENTENCE.split(words):
            clean, markers = without_markers(piece)
            cited = tuple(
                references[marker - first] for marker in markers if 0 <= marker - first < len(references)
            )
            if clean:
                parts.append((clean, cited))
        return CitedAnswer(tuple(parts), references, reply.get("usage", {}), time.perf_counter() - started)

    def _agent_events(
        self, params: Mapping[str, Any], base_id: str, answer: CitedAnswer, started: datetime
    ) -> Iterator[dict[str, Any]]:
        if params.get("enableTrace"):
            for trace in _agent_traces(params, base_id, answer, started):
                yield {
                    "trace": {
                        "agentId": params["agentId"],
                        "agentAliasId": params["agentAliasId"],
                        "sessionId": params["sessionId"],
                        "agentVersion": "1",
                        "eventTime": datetime.now(UTC),
                        "trace": {"orchestrationTrace": trace},
                    }
                }
        citations = answer.citations()
        start = 0
        for number, (text, _) in enumerate(answer.parts):
            end = start + len(text) - 1
            # The space that joins a part to the one before it goes ahead of it.
            chunk: dict[str, Any] = {"bytes": (f" {text}" if number else text).encode()}
            here = [
                citation
                for citation in citations
                if start <= citation["generatedResponsePart"]["textResponsePart"]["span"]["start"] <= end
            ]
            if here:
                chunk["attribution"] = {"citations": here}
            yield {"chunk": chunk}
            start = end + 2


def _agent_traces(
    params: Mapping[str, Any], base_id: str, answer: CitedAnswer, started: datetime
) -> Iterator[dict[str, Any]]:
    trace_id = str(uuid4())[:13]
    usage = {name: answer.usage.get(name, 0) for name in ("inputTokens", "outputTokens")}
    ended = started + timedelta(seconds=answer.seconds)
    metadata = {
        "usage": usage,
        "startTime": started,
        "endTime": ended,
        "totalTimeMs": round(answer.seconds * 1000),
        "clientRequestId": str(uuid4()),
    }
    text = params["inputText"]
    yield {
        "invocationInput": {
            "traceId": trace_id,
            "invocationType": "KNOWLEDGE_BASE",
            "knowledgeBaseLookupInput": {"knowledgeBaseId": base_id, "text": text},
        }
    }
    yield {
        "observation": {
            "traceId": trace_id,
            "type": "KNOWLEDGE_BASE",
            "knowledgeBaseLookupOutput": {"retrievedReferences": list(answer.references)},
        }
    }
    yield {
        "modelInvocationInput": {
            "traceId": trace_id,
            "type": "ORCHESTRATION",
            "text": text,
            "foundationModel": _TRACED_MODEL_ID,
        }
    }
    yield {
        "modelInvocationOutput": {
            "traceId": trace_id,
            "metadata": metadata,
            "rawResponse": {"content": answer.text},
        }
    }
    yield {"observation": {"traceId": trace_id, "type": "FINISH", "finalResponse": {"text": answer.text}}}


def _flow_events(given: Mapping[str, Any], output: Any, *, trace: bool) -> Iterator[dict[str, Any]]:
    if trace:
        fields = [{"nodeOutputName": given.get("nodeOutputName", "document"), "content": given["content"]}]
        node = {"nodeName": given["nodeName"], "timestamp": datetime.now(UTC), "fields": fields}
        yield {"flowTraceEvent": {"trace": {"nodeOutputTrace": node}}}
    yield {
        "flowOutputEvent": {
            "nodeName": "FlowOutputNode",
            "nodeType": "FlowOutputNode",
            "content": {"document": output},
        }
    }
    yield {"flowCompletionEvent": {"completionReason": "SUCCESS"}}


def _conversation(model_id: str, text: str) -> dict[str, Any]:
    return {
        "modelId": model_id,
        "system": [{"text": _INSTRUCTION}],
        "messages": [{"role": "user", "content": [{"text": text}]}],
    }


def _passages(results: Sequence[Mapping[str, Any]], first: int) -> str:
    return "".join(
        f'<passage marker="{marker}" document={quoteattr(result["location"]["s3Location"]["uri"])}>'
        f"{escape(result['content']['text'])}</passage>"
        for marker, result in enumerate(results, first)
    )


def _reference(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("content", "location", "metadata")}


def _reply_text(reply: Mapping[str, Any]) -> str:
    blocks = reply["output"]["message"]["content"]
    return "\n".join(block["text"] for block in blocks if "text" in block)
