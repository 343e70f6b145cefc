"""What a state machine's definition says: its states, where each leads, and what each expression needs.

Reads Amazon States Language with JSONata as the query language.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_EXPRESSION = re.compile(r"\{%(.*)%\}", re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)(?!\w)(?!\s*\()")

# Parts of a state that are states or ways out of their own, so no expressions of the state itself.
_APART = frozenset({"Choices", "Catch", "Retry", "ItemProcessor", "Branches", "Assign"})


@dataclass(frozen=True)
class Step:
    """One way out of a state: `kind` is next, choice, default or catch, `assign` what it sets on the way."""

    kind: str
    target: str | None
    assign: dict[str, Any]
    condition: str | None = None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """One state; `inside` names the Map or Parallel states around it, outermost first."""

    name: str
    definition: dict[str, Any]
    inside: tuple[str, ...]

    @property
    def type(self) -> str:
        return str(self.definition["Type"])

    @property
    def waits_for_token(self) -> bool:
        return str(self.definition.get("Resource", "")).endswith(".waitForTaskToken")

    @property
    def function(self) -> str | None:
        """The substitution that names the function a task invokes; None where it invokes none."""
        name = self.definition.get("Arguments", {}).get("FunctionName")
        return name.removeprefix("${").removesuffix("}") if name else None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Every way out; one without a target ends the machine or the branch."""
        return tuple(self._steps())

    def _steps(self) -> Iterator[Step]:
        given, assign = self.definition, self.definition.get("Assign", {})
        if self.type == "Choice":
            for choice in given["Choices"]:
                yield Step("choice", choice["Next"], choice.get("Assign", {}), choice["Condition"])
            # A choice's own Assign is that of the default: a rule that matches has its own.
            yield Step("default", given.get("Default"), assign)
            return
        yield Step("next", given.get("Next"), assign)
        for catch in given.get("Catch", []):
            yield Step("catch", catch["Next"], catch.get("Assign", {}), errors=tuple(catch["ErrorEquals"]))

    @property
    def processors(self) -> list[dict[str, Any]]:
        """The machines inside a Map or a Parallel."""
        inner = [self.definition["ItemProcessor"]] if "ItemProcessor" in self.definition else []
        return [*self.definition.get("Branches", []), *inner]

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Where an expression stands (as `Arguments.Payload.round`) and its text, ways out included."""
        for key, value in self.definition.items():
            if key not in _APART:
                yield from expressions(value, key)
        for step in self.steps:
            yield from expressions(step.assign, f"{step.kind}.Assign")
            if step.condition is not None:
                yield from expressions(step.condition, "Condition")


@dataclass(frozen=True)
class Machine:
    path: Path
    definition: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(".asl.json")

    @cached_property
    def states(self) -> dict[str, State]:
        """Every state by its name, those inside of Map and Parallel states too, in the file's order."""
        return dict(self._states(self.definition, ()))

    def _states(self, machine: dict[str, Any], inside: tuple[str, ...]) -> Iterator[tuple[str, State]]:
        for name, definition in machine["States"].items():
            state = State(name, definition, inside)
            yield name, state
            for inner in state.processors:
                yield from self._states(inner, (*inside, name))

    def reachable(self) -> frozenset[str]:
        return frozenset(self.known())

    def known(self) -> dict[str, frozenset[str]]:
        """For each state that can be reached: the variables that are assigned on every path to it."""
        known: dict[str, frozenset[str]] = {}
        waiting = [(self.definition["StartAt"], frozenset[str]())]
        while waiting:
            name, assigned = waiting.pop()
            before = known.get(name)
            now = assigned if before is None else before & assigned
            state = self.states.get(name)
            if now == before or state is None:
                continue
            known[name] = now
            # What a branch assigns stays in the branch.
            waiting += [(inner["StartAt"], now) for inner in state.processors]
            waiting += [(step.target, now | step.assign.keys()) for step in state.steps if step.target]
        return known


def read(path: Path) -> Machine:
    """Raises OSError, or ValueError where the file is not JSON."""
    return Machine(path, json.loads(path.read_text()))


def expressions(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Where each JSONata expression in a JSON value stands, and its text without the `{% %}`."""
    if isinstance(value, str):
        match = _EXPRESSION.fullmatch(value.strip())
        if match:
            yield at, match[1].strip()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from expressions(item, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from expressions(item, f"{at}[{index}]")


def variables(expression: str) -> frozenset[str]:
    """Names of the variables (without the `$`) that an expression reads; `states` is Step Functions' own."""
    return frozenset(_VARIABLE.findall(_TEXT.sub("''", expression)))
