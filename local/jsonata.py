"""JSONata for moto's Step Functions engine.

moto writes the values of variables into the expression as text (a quote in one breaks it) and parses every
expression anew. Here values are bound, and a parsed expression is kept and lent to one evaluation at a time.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from jsonata import jexception
from jsonata.jsonata import Jsonata
from jsonata.utils import Utils
from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.query_language import QueryLanguageMode
from moto.stepfunctions.parser.asl.component.common.string import string_expression
from moto.stepfunctions.parser.asl.component.intrinsic.jsonata import get_intrinsic_functions_declarations
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.jsonata.jsonata import extract_jsonata_variable_references

from local.replacement import replaced

_LARGEST_EXACT_FLOAT = 2.0**53


class EvaluationError(Exception):
    """An expression that can't be parsed, fails, or gives nothing or something that is not JSON."""


class _Expression:
    """One expression text and its idle parsed copies; an evaluation keeps state in its copy."""

    def __init__(self, text: str) -> None:
        try:
            references = extract_jsonata_variable_references(text)
        except ValueError as error:
            raise EvaluationError("$ and $$ can't be used here") from error
        self.references = frozenset(references)
        self._text = f"({get_intrinsic_functions_declarations(references)}{text})"
        self._idle: list[Jsonata] = []
        self._lock = threading.Lock()

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        with self._lock:
            parsed = self._idle.pop() if self._idle else None
        try:
            if parsed is None:
                parsed = Jsonata(self._text)
                parsed.set_output_convert_nulls(False)
            # Where the library looks for the expression of this thread ($now, $eval, higher-order functions).
            Jsonata.CURRENT.jsonata = parsed
            bound = {name: Utils.NULL_VALUE if value is None else value for name, value in values.items()}
            result = parsed.evaluate(None, bound)
        except (jexception.JException, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise EvaluationError(str(error)) from error
        if result is None:
            raise EvaluationError("returned nothing (undefined)")
        plain = _to_json(result)
        with self._lock:
            self._idle.append(parsed)
        return plain


@lru_cache(maxsize=4096)
def _expression(text: str) -> _Expression:
    return _Expression(text)


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The JSON value of the expression `text` with `values` (by name, without the $) as its variables.

    The result shares nothing with `values`. Raises EvaluationError.
    """
    return _expression(text).evaluate(values)


def _to_json(value: Any) -> Any:
    """A copy in plain JSON types; numbers without a fraction become whole numbers, as AWS writes them."""
    if value is Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _LARGEST_EXACT_FLOAT else value
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_to_json(item) for item in value]
    raise EvaluationError("returned an unsupported result type")


def _context(data: Mapping[str, Any]) -> dict[str, Any]:
    """The context object with its times as AWS writes them (ISO 8601, milliseconds, Z)."""
    context = dict(data)
    execution = dict(context["Execution"])
    started = execution.get("StartTime")
    if started is not None and not isinstance(started, str):
        execution["StartTime"] = started.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    context["Execution"] = execution
    return context


def _variables(env: Environment, references: frozenset[str], *, with_states: bool) -> dict[str, Any]:
    store = env.variable_store
    values: dict[str, Any] = {**store._outer_scope, **store._inner_scope}
    if with_states and any(reference.startswith("$states") for reference in references):
        states: dict[str, Any] = {**env.states._states_data}
        if "$states" in references or any(name.startswith("$states.context") for name in references):
            states["context"] = _context(states["context"])
        else:
            del states["context"]
        values["states"] = states
    return values


@contextmanager
def _failures_are_query_errors(env: Environment, text: str) -> Iterator[None]:
    try:
        yield
    except EvaluationError as error:
        name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
        details = EvaluationFailedEventDetails(
            error=name.error_name,
            cause=f"The JSONata expression '{text}' failed: {error}",
            state=env.next_state_name or "",
        )
        event = FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),  # type: ignore[typeddict-item]
        )
        raise FailureEventException(failure_event=event) from error


def _eval_jsonata_string(self: string_expression.StringJSONata, env: Environment) -> None:
    with _failures_are_query_errors(env, self.expression):
        expression = _expression(self.expression)
        env.stack.append(expression.evaluate(_variables(env, expression.references, with_states=True)))


def _eval_variable_sample(self: string_expression.StringVariableSample, env: Environment) -> None:
    is_jsonata = self.query_language_mode == QueryLanguageMode.JSONata
    with _failures_are_query_errors(env, self.expression):
        expression = _expression(self.expression)
        env.stack.append(expression.evaluate(_variables(env, expression.references, with_states=is_jsonata)))


@contextmanager
def jsonata_in_moto() -> Iterator[None]:
    """Evaluate moto's JSONata strings here while the block runs."""
    with (
        replaced(string_expression.StringJSONata, "_eval_body", _eval_jsonata_string),
        replaced(string_expression.StringVariableSample, "_eval_body", _eval_variable_sample),
    ):
        yield
