"""A case's way through its state machine, read from Step Functions' own history of the execution."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

type HistoryEvent = Mapping[str, Any]


@dataclass
class Visit:
    """One stay in a state. `result` is what its task returned, `errors` what its attempts failed with.

    `times` counts the items of a Map state; `seconds` is None while the case is still there.
    """

    state: str
    kind: str
    entered_at: datetime
    left_at: datetime | None = None
    times: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    succeeded: bool = False

    @property
    def seconds(self) -> float | None:
        return None if self.left_at is None else (self.left_at - self.entered_at).total_seconds()

    @property
    def is_task(self) -> bool:
        """Whether work is done in it: choices and passes only lead on."""
        return self.kind in {"Task", "Map", "Parallel", "Wait"}


def visits(history: Iterable[HistoryEvent], states: Iterable[str]) -> list[Visit]:
    """The visits to `states`, the machine's own, in order; states inside a Map count as its items."""
    known, seen = set(states), list[Visit]()
    for event in history:
        kind: str = event["type"]
        current = seen[-1] if seen else None
        if kind.endswith("StateEntered"):
            name = event["stateEnteredEventDetails"]["name"]
            if name in known:
                seen.append(Visit(name, kind.removesuffix("StateEntered"), event["timestamp"]))
            elif current is not None:
                current.times += 1
        elif current is None:
            continue
        elif kind.endswith("StateExited") and event["stateExitedEventDetails"]["name"] == current.state:
            current.left_at = event["timestamp"]
        elif kind == "TaskSucceeded" and current.kind == "Task":
            current.succeeded = True
            current.result = _payload(event["taskSucceededEventDetails"].get("output", ""))
        elif kind == "TaskFailed":
            current.errors.append(str(event["taskFailedEventDetails"].get("error", "")))
        elif kind == "TaskTimedOut":
            current.errors.append("States.Timeout")
    # A state that an error leads out of is never exited: the next one's entry ends it.
    for visit, following in pairwise(seen):
        visit.left_at = visit.left_at or following.entered_at
    return seen


def _payload(output: str) -> dict[str, Any]:
    """What a function returned, out of Step Functions' envelope where there is one."""
    try:
        parsed = json.loads(output)
    except ValueError:
        return {}
    payload = parsed.get("Payload", parsed) if isinstance(parsed, dict) else {}
    return payload if isinstance(payload, dict) else {}
