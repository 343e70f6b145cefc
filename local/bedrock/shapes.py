"""Checks and converts values by botocore's service models, in both directions of the wire.

`read` turns parsed JSON into what boto3 would hand over (blobs as bytes, timestamps as datetimes) and lists
everything wrong with it, in the words AWS uses; `write` does the reverse.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

_NUMBERS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}
_LENGTHS = {"string": "length", "blob": "length", "list": "length", "map": "length"}


class Violations(ValueError):
    """A value that breaks its service model; the message is AWS's report."""

    def __init__(self, problems: list[str]) -> None:
        count = len(problems)
        errors = "error" if count == 1 else "errors"
        super().__init__(f"{count} validation {errors} detected: {'; '.join(problems)}")


def read(shape: Shape, value: Any) -> Any:
    """The value of a request's JSON. Raises Violations."""
    return _convert(shape, value, _from_wire)


def write(shape: Shape, value: Any) -> Any:
    """The JSON for a value of ours. Raises Violations."""
    return _convert(shape, value, _to_wire)


def required_problem(name: str) -> str:
    """What AWS says about a member that is missing."""
    return f"Value null at '{name}' failed to satisfy constraint: Member must not be null"


def _failed(name: str) -> str:
    return f"Value at '{name}' failed to satisfy constraint:"


_Scalar = Callable[[Shape, Any], Any]


def _convert(shape: Shape, value: Any, scalar: _Scalar) -> Any:
    problems: list[str] = []
    converted = _walk(shape, value, "", problems, scalar)
    if problems:
        raise Violations(problems)
    return converted


def _walk(shape: Shape, value: Any, name: str, problems: list[str], scalar: _Scalar) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    if isinstance(shape, StructureShape):
        if not isinstance(value, Mapping):
            return _mistyped(name, "an object", problems)
        return _walk_structure(shape, value, name, problems, scalar)
    if isinstance(shape, ListShape):
        if not isinstance(value, list | tuple):
            return _mistyped(name, "a list", problems)
        _check_bounds(shape, len(value), name, problems)
        return [
            _walk(shape.member, item, f"{name}.{index}", problems, scalar)
            for index, item in enumerate(value, 1)
        ]
    if isinstance(shape, MapShape):
        if not isinstance(value, Mapping):
            return _mistyped(name, "an object", problems)
        return {
            key: _walk(shape.value, item, f"{name}.{key}", problems, scalar) for key, item in value.items()
        }
    try:
        converted = scalar(shape, value)
    except (TypeError, ValueError, binascii.Error):
        return _mistyped(name, f"a {shape.type_name}", problems)
    size = len(converted) if shape.type_name in _LENGTHS and hasattr(converted, "__len__") else converted
    _check_bounds(shape, size, name, problems)
    if shape.type_name == "string":
        _check_string(shape, converted, name, problems)
    return converted


def _walk_structure(
    shape: StructureShape, value: Mapping[str, Any], name: str, problems: list[str], scalar: _Scalar
) -> dict[str, Any]:
    members = shape.members
    prefix = f"{name}." if name else ""
    converted = {}
    for key, item in value.items():
        if item is None:
            continue
        if key not in members:
            problems.append(f"{_failed(prefix + key)} Member is not known")
            continue
        converted[key] = _walk(members[key], item, f"{prefix}{key}", problems, scalar)
    problems += [required_problem(f"{prefix}{key}") for key in shape.required_members if key not in converted]
    if shape.is_tagged_union and len(converted) != 1:
        known = ", ".join(members)
        problems.append(f"{_failed(name)} Member must have exactly one of: {known}")
    return converted


def _mistyped(name: str, wanted: str, problems: list[str]) -> None:
    problems.append(f"{_failed(name)} Member must be {wanted}")


def _check_bounds(shape: Shape, size: Any, name: str, problems: list[str]) -> None:
    metadata = shape.metadata
    if not isinstance(size, int | float) or isinstance(size, bool):
        return
    what = "have length" if shape.type_name in _LENGTHS else "have value"
    low, high = metadata.get("min"), metadata.get("max")
    if low is not None and size < low:
        problems.append(f"{_failed(name)} Member must {what} greater than or equal to {low}")
    if high is not None and size > high:
        problems.append(f"{_failed(name)} Member must {what} less than or equal to {high}")


def _check_string(shape: Shape, value: Any, name: str, problems: list[str]) -> None:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        problems.append(f"{_failed(name)} Member must satisfy enum value set: [{', '.join(allowed)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and isinstance(value, str) and not _pattern(pattern)(value):
        problems.append(f"{_failed(name)} Member must satisfy regular expression pattern: {pattern}")


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> Callable[[str], Any]:
    """The pattern's match function; one that Python's syntax can't express allows everything."""
    try:
        return re.compile(pattern).fullmatch
    except re.error:
        return lambda _: True


def _from_wire(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if kind == "blob":
        return base64.b64decode(value, validate=True)
    if kind == "timestamp":
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        return datetime.fromisoformat(value)
    return _checked(kind, value)


def _to_wire(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if kind == "blob":
        return base64.b64encode(value).decode("ascii")
    if kind == "timestamp":
        moment: datetime = value.astimezone(UTC)
        if shape.serialization.get("timestampFormat") == "iso8601":
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return moment.timestamp()
    return _checked(kind, value)


def _checked(kind: str, value: Any) -> Any:
    if kind == "boolean":
        valid = isinstance(value, bool)
    elif kind in _NUMBERS:
        valid = isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    else:
        valid = isinstance(value, str)
    if not valid:
        raise TypeError(kind)
    return value
