"""The engine `bedrock-agent`: a Bedrock agent searches the knowledge base itself and writes the draft.

It answers in a stream of text, attributions and traces. An attribution says which stretch of the text rests
on which references; they become passages and markers, so that a draft of this engine is checked, reviewed and
signed like any other. The agent gets the tenant's filter with each call, and each reference is checked again.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from countersign.errors import ModelOutputInvalid, ModelRefused, StepError
from countersign.models import CaseFile, ModelCall, Passage, Round
from countersign_llm.allowance import Allowance, worst_usd
from countersign_llm.model import may_be_billed, named_errors
from countersign_llm.prompts import Prompt, load_prompt
from countersign_llm.roles import writing_values
from countersign_llm.schemas import WrittenDraft, WrittenSentence
from countersign_llm.usage import cost_usd

_LONGEST_ANSWER = 48_000
_GUARDED = "INTERVENED"
_TURNS, _TURN_TOKENS, _FOUND_BYTES = 3, 2_048, 12_000
"""Two searches and an answer; what an agent's model answers at most by default; what two searches find."""

type ReadReference = Callable[[Mapping[str, Any]], Passage | None]
"""A retrieved reference as a passage, None where it is not the tenant's."""


class AgentClient(Protocol):
    """The one call of boto3's `bedrock-agent-runtime` client that is made here."""

    def invoke_agent(self, **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Agent:
    """Which agent, the model it runs on (for the price), and how it may search: `knowledge_base_id` with a
    `retrievalConfiguration`.
    """

    agent_id: str
    alias_id: str
    model_id: str
    knowledge_base_id: str
    search: Mapping[str, Any]


@dataclass
class Answer:
    """What came through the stream. Times in seconds of `time.perf_counter`."""

    started: float
    first_text: float | None = None
    ended: float = 0.0
    text: str = ""
    citations: list[Mapping[str, Any]] = field(default_factory=list)
    traces: list[Mapping[str, Any]] = field(default_factory=list)


def write(
    client: AgentClient,
    agent: Agent,
    file: CaseFile,
    round_: Round,
    read: ReadReference,
    allowance: Allowance,
) -> tuple[WrittenDraft, list[Passage], list[ModelCall], bytes]:
    """What the agent wrote, the passages with those it found, what it took, and its trace as JSON.

    Passages of the case keep their markers. Raises ModelThrottled, ModelUnavailable; ModelRefused also where
    a guardrail stepped in; ModelOutputInvalid where the agent gave no text; BudgetExhausted.
    """
    prompt, answer = load_prompt("ask_agent"), Answer(time.perf_counter())
    request = _request(agent, prompt, file, round_)
    likely = _likely_usd(agent, request["inputText"])
    allowance.check(likely, likely, ())
    try:
        with named_errors():
            _listen(client.invoke_agent(**request), answer)
        call = _call(agent, prompt, answer)
        if any(_guarded(trace) for trace in answer.traces):
            raise ModelRefused("a guardrail stepped in", calls=[call])
        if not answer.text.strip():
            raise ModelOutputInvalid("the agent gave no text", calls=[call])
    except StepError as error:
        spent = _call(agent, prompt, answer)
        # What was used up before a stream broke has been paid for.
        error.calls = error.calls or ((spent,) if spent.input_tokens or spent.output_tokens else ())
        error.assumed_usd = likely if may_be_billed(error) and not error.calls else None
        raise
    passages = list(file.passages)
    sentences = _sentences(answer, lambda references: _markers(references, passages, read))
    written = WrittenDraft.model_construct(
        sentences=sentences, actions=[], answered=any(sentence.citations for sentence in sentences)
    )
    return written, passages, [call], json.dumps(answer.traces, default=str, ensure_ascii=False).encode()


def _likely_usd(agent: Agent, text: str) -> Decimal | None:
    """What the agent's turns will hardly pass. The API bounds neither their number nor what each reads."""
    turn = worst_usd(agent.model_id, [text, "x" * _FOUND_BYTES], None, _TURN_TOKENS)
    return None if turn is None else turn * _TURNS


def _request(agent: Agent, prompt: Prompt, file: CaseFile, round_: Round) -> dict[str, Any]:
    before = file.round(round_.number - 1)
    values = writing_values(file.request, file.memory, round_.feedback, before.draft if before else None)
    return {
        "agentId": agent.agent_id,
        "agentAliasId": agent.alias_id,
        # A session of its own for each round: the prompt carries what the agent has to remember.
        "sessionId": f"{file.case_id}-{round_.number}",
        "inputText": f"{prompt.system}\n\n{prompt.render(values)}",
        "enableTrace": True,
        "streamingConfigurations": {"streamFinalResponse": True},
        "sessionState": {
            "knowledgeBaseConfigurations": [
                {
                    "knowledgeBaseId": agent.knowledge_base_id,
                    "retrievalConfiguration": dict(agent.search),
                }
            ]
        },
    }


def _listen(response: Mapping[str, Any], answer: Answer) -> None:
    try:
        for event in response["completion"]:
            if "chunk" in event:
                answer.first_text = answer.first_text or time.perf_counter()
                answer.text += event["chunk"].get("bytes", b"").decode("utf-8", "replace")
                answer.citations += event["chunk"].get("attribution", {}).get("citations", ())
            elif "trace" in event:
                answer.traces.append(event["trace"])
    finally:
        answer.ended = time.perf_counter()


def _call(agent: Agent, prompt: Prompt, answer: Answer) -> ModelCall:
    used = [usage for trace in answer.traces for usage in _usages(trace)]
    tokens = {
        "input_tokens": sum(int(usage.get("inputTokens") or 0) for usage in used),
        "output_tokens": sum(int(usage.get("outputTokens") or 0) for usage in used),
    }
    first = answer.first_text
    return ModelCall(
        role=prompt.header.role,
        model_id=agent.model_id,
        prompt=prompt.label,
        latency_ms=max(0.0, answer.ended - answer.started) * 1000,
        ttft_ms=None if first is None else (first - answer.started) * 1000,
        cost_usd=cost_usd(agent.model_id, **tokens),
        **tokens,
    )


def _usages(trace: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The usage of each model call in a trace; which kind of trace it is in does not matter."""
    for kind in trace.get("trace", {}).values():
        output = kind.get("modelInvocationOutput", {}) if isinstance(kind, Mapping) else {}
        usage = output.get("metadata", {}).get("usage")
        if usage:
            yield usage


def _guarded(trace: Mapping[str, Any]) -> bool:
    return bool(trace.get("trace", {}).get("guardrailTrace", {}).get("action") == _GUARDED)


def _markers(
    references: Iterable[Mapping[str, Any]], passages: list[Passage], read: ReadReference
) -> list[int]:
    """The markers of the references; one that the case does not have yet is added to its passages."""
    markers = []
    for passage in filter(None, map(read, references)):
        same = (p for p in passages if passage.passage_id == p.passage_id or passage.text == p.text)
        known = next(same, None)
        if known is None:
            known = passage.model_copy(update={"marker": max((p.marker for p in passages), default=0) + 1})
            passages.append(known)
        markers.append(known.marker)
    return list(dict.fromkeys(markers))


def _sentences(
    answer: Answer, markers: Callable[[Sequence[Mapping[str, Any]]], list[int]]
) -> list[WrittenSentence]:
    """The text in stretches, attributed and not; white space goes with what follows it."""
    text, place = answer.text[:_LONGEST_ANSWER], 0
    pieces: list[tuple[str, list[int]]] = []
    for citation in answer.citations:
        start, end = _span(text, place, citation.get("generatedResponsePart", {}).get("textResponsePart", {}))
        if start is None:
            continue
        before = text[place:start]
        if before.strip():
            pieces.append((before.rstrip(), []))
            before = before[len(before.rstrip()) :]
        pieces.append((before + text[start:end], markers(citation.get("retrievedReferences", ()))))
        place = end
    pieces.append((text[place:], []))
    return [
        WrittenSentence.model_construct(text=piece, citations=cited)
        for piece, cited in pieces
        if piece.strip()
    ]


def _span(text: str, place: int, part: Mapping[str, Any]) -> tuple[int | None, int]:
    """Where the attributed text stands, not before `place`. It is looked for first: what a span counts from
    depends on whether the answer was streamed.
    """
    said = str(part.get("text", "")).strip()
    found = text.find(said, place) if said else -1
    if found >= 0:
        return found, found + len(said)
    span = part.get("span", {})
    start, end = int(span.get("start", -1)), int(span.get("end", -1)) + 1
    return (start, min(end, len(text))) if place <= start < min(end, len(text)) else (None, 0)
