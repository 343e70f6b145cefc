"""Answers that a test queues in front of the model, and the requests that came.

bedrock.script(Throttle(), times=2)
bedrock.script(Use({"sentences": [], "answered": True}), tool="WrittenDraft")
bedrock.requests[-1].params
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_REQUESTS_KEPT = 200
_MODEL_OPERATIONS = frozenset({"Converse", "ConverseStream"})


@dataclass(frozen=True)
class Throttle:
    """Answer ThrottlingException."""


@dataclass(frozen=True)
class Fail:
    """Answer an error by its name in AWS's models, such as `ModelTimeoutException`."""

    code: str
    message: str = "scripted"


@dataclass(frozen=True)
class Stall:
    """Let `seconds` pass, then answer as usual."""

    seconds: float


@dataclass(frozen=True)
class BreakStream:
    """Answer as usual, and stop after so many events of the stream.

    With a `code` the stream ends in that exception (such as `ModelStreamErrorException`), without one the
    connection breaks. An operation without a stream breaks at once.
    """

    after_events: int = 2
    code: str | None = None


@dataclass(frozen=True)
class Refuse:
    """Answer `text` with a stop reason that means a refusal."""

    reason: Literal["guardrail_intervened", "content_filtered"] = "content_filtered"
    text: str = "Sorry, the model cannot answer this."


@dataclass(frozen=True)
class Say:
    """Answer this text, whatever was asked for: also in place of a tool call."""

    text: str


@dataclass(frozen=True)
class Use:
    """Call a tool with exactly this input, whether it fits the tool's schema or not.

    The tool is the one that the request forces, else its first, else `tool`: so a model is played that
    obeys an attacker, or talks nonsense.
    """

    input: Any
    tool: str | None = None


ScriptedAnswer = Throttle | Fail | Stall | BreakStream | Refuse | Say | Use


@dataclass(frozen=True)
class RecordedRequest:
    """A request that came: the operation, its parameters, and the tool it forces, if it does."""

    operation: str
    params: Mapping[str, Any]
    tool: str | None


@dataclass
class _Line:
    answer: ScriptedAnswer
    tool: str | None
    operation: str | None
    left: float = field(default=1)

    def fits(self, request: RecordedRequest) -> bool:
        if self.tool is not None and self.tool != request.tool:
            return False
        if self.operation is not None:
            return self.operation == request.operation
        return request.operation in _MODEL_OPERATIONS


class Script:
    """The queue of answers. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self.requests: deque[RecordedRequest] = deque(maxlen=_REQUESTS_KEPT)

    def add(
        self, answer: ScriptedAnswer, *, tool: str | None, operation: str | None, times: int | None
    ) -> None:
        """Queue an answer; see `LocalBedrock.script`."""
        line = _Line(answer, tool, operation, float("inf") if times is None else times)
        with self._lock:
            self._lines.append(line)

    def clear(self) -> None:
        """Forget the answers that are left."""
        with self._lock:
            self._lines.clear()

    def next_answer(self, operation: str, params: Mapping[str, Any]) -> ScriptedAnswer | None:
        """Record a request; the first answer queued for it, if there is one."""
        request = RecordedRequest(operation, params, forced_tool(params))
        with self._lock:
            self.requests.append(request)
            for line in self._lines:
                if line.fits(request):
                    line.left -= 1
                    if line.left <= 0:
                        self._lines.remove(line)
                    return line.answer
        return None


def forced_tool(params: Mapping[str, Any]) -> str | None:
    """The name of the tool that a Converse request forces, if it does."""
    config = params.get("toolConfig")
    if not isinstance(config, Mapping):
        return None
    name: str | None = config.get("toolChoice", {}).get("tool", {}).get("name")
    return name
