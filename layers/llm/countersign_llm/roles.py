"""The roles over one model: planner, writer, reviewer.

Each takes what it needs to know, asks for one typed answer, and returns it with every call it paid for. An
answer that fits no schema is asked for once more, with what was wrong. All raise ModelThrottled,
ModelUnavailable, ModelRefused and ModelOutputInvalid; the `calls` of the error were paid for as well.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ValidationError

from countersign.errors import ModelOutputInvalid, ModelRefused, StepError
from countersign.excerpts import asked, excerpt
from countersign.models import Draft, ModelCall, Passage, Plan, PlanStep, Recollection, Request
from countersign_llm.allowance import Allowance, worst_usd
from countersign_llm.model import answering, may_be_billed, named_errors
from countersign_llm.prompts import Markup, Prompt, element, lines, load_prompt
from countersign_llm.schemas import DraftReview, WorkPlan, WrittenDraft
from countersign_llm.usage import from_langchain

_ATTEMPTS = 2
_REFUSALS = frozenset({"guardrail_intervened", "content_filtered", "model_context_window_exceeded"})
_LONGEST_DRAFT = 24_000
_LONGEST_PASSAGE = 8_000
_LONGEST_RECOLLECTION = 2_000
_LONGEST_FEEDBACK = 8_000
_LONGEST_PROBLEM = 800
"""Characters. What a prompt may hold is bounded whatever came in; a case file keeps all of it."""

_LONGEST_COMPLAINT = "&amp;" * (_LONGEST_PROBLEM + 200)
"""Longer than any complaint about an answer, whatever has to be escaped in it."""

UNBOUNDED = Allowance()
"""For calls outside of a case, which no budget pays for."""


def plan(
    model: BaseChatModel,
    request: Request,
    memory: Sequence[Recollection],
    *,
    allowance: Allowance = UNBOUNDED,
) -> tuple[Plan, list[ModelCall]]:
    """What to search for, and how risky a reply is."""
    values = {**_asked(request), "memory": _memory(memory)}
    answer, calls = _ask(model, load_prompt("plan_work"), values, WorkPlan, allowance)
    steps = [PlanStep(query=step.query, purpose=step.purpose) for step in answer.steps]
    return Plan(steps=steps, risk=answer.risk, risk_reason=answer.risk_reason), calls


def write(
    model: BaseChatModel,
    request: Request,
    passages: Sequence[Passage],
    memory: Sequence[Recollection] = (),
    feedback: str | None = None,
    previous: Draft | None = None,
    *,
    allowance: Allowance = UNBOUNDED,
) -> tuple[WrittenDraft, list[ModelCall]]:
    """A draft from `passages`. The answer is streamed where the model can, to measure its first token.

    `feedback` is what `previous` was asked to change. Markers in the draft are the model's and unchecked.
    """
    values = {**writing_values(request, memory, feedback, previous), "passages": _passages(passages)}
    return _ask(model, load_prompt("write_draft"), values, WrittenDraft, allowance, streamed=True)


def writing_values(
    request: Request, memory: Sequence[Recollection], feedback: str | None, previous: Draft | None
) -> dict[str, str]:
    """What fills the prompt of a writer, evidence apart, in its bounded length."""
    return {
        **_asked(request),
        "memory": _memory(memory),
        "previous": excerpt(previous.text, _LONGEST_DRAFT) if previous else "",
        "feedback": excerpt(feedback or "", _LONGEST_FEEDBACK),
    }


def review(
    model: BaseChatModel,
    request: Request,
    passages: Sequence[Passage],
    draft: Draft,
    *,
    allowance: Allowance = UNBOUNDED,
) -> tuple[DraftReview, list[ModelCall]]:
    """The model's view of `draft`. Sentences are numbered from 1 in the order of its claims."""
    values = {**_asked(request), "passages": _passages(passages), "draft": _sentences(draft)}
    return _ask(model, load_prompt("review_draft"), values, DraftReview, allowance)


def _ask[Answer: BaseModel](
    model: BaseChatModel,
    prompt: Prompt,
    values: Mapping[str, str],
    schema: type[Answer],
    allowance: Allowance,
    *,
    streamed: bool = False,
) -> tuple[Answer, list[ModelCall]]:
    messages = _messages(model, prompt, values)
    first, second = (_worst(model, messages, schema, complaint) for complaint in ("", _LONGEST_COMPLAINT))
    structured = answering(model, schema, streamed=streamed)
    calls: list[ModelCall] = []
    problem = ""
    for _ in range(_ATTEMPTS):
        first_token = _FirstToken()
        started = time.perf_counter()
        said = [*messages, HumanMessage(_complaint(problem, schema))] if problem else messages
        worst = second if problem else first
        allowance.check(worst, _sum(first, second) if problem else first, calls)
        with _paid(calls, worst), named_errors():
            result = structured.invoke(said, config={"callbacks": [first_token]})
        latency_ms = (time.perf_counter() - started) * 1000
        raw: AIMessage = result["raw"]
        calls.append(_call(model, prompt, raw, latency_ms, first_token.after_ms(started)))
        stop = raw.response_metadata.get("stopReason")
        if stop in _REFUSALS:
            raise ModelRefused(f"the {prompt.header.role}'s answer ended with {stop}", calls=calls)
        parsed = result["parsed"]
        if isinstance(parsed, schema):
            return parsed, calls
        problem = _problem(result["parsing_error"], stop)
    raise ModelOutputInvalid(f"no {schema.__name__} from the {prompt.header.role}: {problem}", calls=calls)


@contextmanager
def _paid(calls: Sequence[ModelCall], worst: Decimal | None) -> Iterator[None]:
    """Put what was paid for before on an error, and the call itself where it may be on the bill."""
    try:
        yield
    except StepError as error:
        error.calls = tuple(calls)
        error.assumed_usd = worst if may_be_billed(error) else None
        raise


def _worst(
    model: BaseChatModel, messages: Sequence[BaseMessage], schema: type[BaseModel], complaint: str
) -> Decimal | None:
    """The most that a call with these messages, and a complaint about the answer before, can cost.

    None where no price is known, or nothing bounds the answer.
    """
    longest = getattr(model, "max_tokens", None)
    if not longest:
        return None
    texts = [*(str(message.content) for message in messages), complaint]
    return worst_usd(_priced_as(model), texts, schema, longest)


def _sum(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else first + second


def _priced_as(model: BaseChatModel) -> str:
    return str(getattr(model, "base_model_id", None) or getattr(model, "model_id", ""))


def _messages(model: BaseChatModel, prompt: Prompt, values: Mapping[str, str]) -> list[BaseMessage]:
    system: list[str | dict[Any, Any]] = [{"type": "text", "text": prompt.system}]
    if getattr(model, "prompt_caching", False):
        system.append({"cachePoint": {"type": "default"}})
    return [SystemMessage(system), HumanMessage(prompt.render(values))]


def _call(
    model: BaseChatModel, prompt: Prompt, raw: AIMessage, latency_ms: float, ttft_ms: float | None
) -> ModelCall:
    model_id = str(getattr(model, "model_id", "") or raw.response_metadata.get("model_name", ""))
    return from_langchain(
        raw.usage_metadata,
        role=prompt.header.role,
        model_id=model_id,
        priced_as=getattr(model, "base_model_id", None),
        prompt=prompt.label,
        latency_ms=latency_ms,
        ttft_ms=ttft_ms,
    )


def _problem(error: BaseException | None, stop: object) -> str:
    """What was wrong with an answer, without repeating any of it."""
    if stop == "max_tokens":
        return "the answer was cut off: it must be shorter"
    while error is not None and not isinstance(error, ValidationError):
        error = error.__cause__ or error.__context__
    if error is None:
        return "the tool was not called with valid JSON"
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    named = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:8])
    return excerpt(named, _LONGEST_PROBLEM)


def _complaint(problem: str, schema: type[BaseModel]) -> str:
    return (
        f"<invalid_answer>{escape(problem)}</invalid_answer>\n"
        f"Your last answer to this could not be used. Call the tool {schema.__name__} again and mend what "
        "<invalid_answer> says."
    )


def _asked(request: Request) -> dict[str, str]:
    subject, text = asked(request)
    return {"subject": subject, "text": text}


def _passages(passages: Sequence[Passage]) -> Markup:
    return lines(
        element(
            "passage",
            excerpt(passage.text, _LONGEST_PASSAGE),
            marker=passage.marker,
            document=passage.document,
        )
        for passage in passages
    )


def _memory(memory: Sequence[Recollection]) -> Markup:
    return lines(
        element(
            "earlier",
            lines(
                [
                    element("subject", excerpt(earlier.subject, _LONGEST_RECOLLECTION)),
                    element("answer", excerpt(earlier.answer, _LONGEST_RECOLLECTION)),
                ]
            ),
            at=earlier.at,
        )
        for earlier in memory
    )


def _sentences(draft: Draft) -> Markup:
    return lines(
        element(
            "sentence",
            " ".join(draft.text[claim.start : claim.end].split()),
            number=number,
            citations=",".join(map(str, claim.markers)),
        )
        for number, claim in enumerate(draft.claims, 1)
    )


class _FirstToken(BaseCallbackHandler):
    """Notes when the first part of an answer came in."""

    def __init__(self) -> None:
        self._at: float | None = None

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        """The stream opens with an event that holds nothing yet; that one is no token."""
        if self._at is None and (token or (chunk is not None and chunk.message.content)):
            self._at = time.perf_counter()

    def after_ms(self, started: float) -> float | None:
        """Milliseconds from `started`, or None for an answer that came at once."""
        return None if self._at is None else (self._at - started) * 1000
