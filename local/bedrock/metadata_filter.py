"""The filter language of Retrieve: which passages a query may see at all."""

from collections.abc import Callable, Mapping
from typing import Any

from local.bedrock.errors import ValidationError

Metadata = Mapping[str, Any]


def allows(condition: Mapping[str, Any] | None, metadata: Metadata) -> bool:
    """Whether a passage with this metadata may be seen. Raises ValidationError for a filter that is none.

    A passage without the attribute fits `notEquals` and `notIn`, and nothing else.
    """
    if condition is None:
        return True
    if len(condition) != 1:
        raise ValidationError("A filter has exactly one operator")
    ((operator, operand),) = condition.items()
    if operator in ("andAll", "orAll"):
        if len(operand) < 2:
            raise ValidationError(f"{operator} needs at least two filters")
        # A list, so that every one of them is checked to be a filter.
        results = [allows(part, metadata) for part in operand]
        return all(results) if operator == "andAll" else any(results)
    if operator not in _OPERATORS:
        raise ValidationError(f"{operator} is no operator of a filter")
    expected = operand["value"]
    kind, test = _OPERATORS[operator]
    if not _is_operand(kind, expected):
        raise ValidationError(f"The value of {operator} must be {kind}")
    if operand["key"] not in metadata:
        return operator in ("notEquals", "notIn")
    return test(metadata[operand["key"]], expected)


def _is_operand(kind: str, value: Any) -> bool:
    if kind == "a list":
        return isinstance(value, list)
    if kind == "a string":
        return isinstance(value, str)
    if kind == "a number":
        return _is_number(value)
    return isinstance(value, str | bool | int | float)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    # In Python True equals 1; in a filter it does not.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _within(value: Any, options: Any) -> bool:
    return any(_same(value, option) for option in options)


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, list):
        return any(part in item for item in value if isinstance(item, str))
    return isinstance(value, str) and part in value


_OPERATORS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "equals": ("a string, number or boolean", _same),
    "notEquals": ("a string, number or boolean", lambda value, other: not _same(value, other)),
    "greaterThan": ("a number", lambda value, other: _is_number(value) and value > other),
    "greaterThanOrEquals": ("a number", lambda value, other: _is_number(value) and value >= other),
    "lessThan": ("a number", lambda value, other: _is_number(value) and value < other),
    "lessThanOrEquals": ("a number", lambda value, other: _is_number(value) and value <= other),
    "in": ("a list", _within),
    "notIn": ("a list", lambda value, options: not _within(value, options)),
    "startsWith": ("a string", lambda value, other: isinstance(value, str) and value.startswith(other)),
    "listContains": ("a string", lambda value, other: isinstance(value, list) and _within(other, value)),
    "stringContains": ("a string", _contains),
}
