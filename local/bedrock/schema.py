"""Fills a tool's JSON schema: with given values where they fit, else with the smallest valid ones."""

import re
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

_DEPTH = 24
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "nobody@example.com",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Schema = Mapping[str, Any]


def fill(schema: Schema, given: Any = None, text: str = "") -> Any:
    """A value that fits the schema, as far as types, required members, enums, constants and bounds go.

    `given` is used wherever it fits (its unknown members are left out if the schema forbids them), `text` for
    strings of which nothing is known. Patterns beyond a few usual ones are not solved.
    """
    return _Filler(schema, text).fill(schema, given, _DEPTH)


def properties(schema: Schema) -> frozenset[str]:
    """The names of the top-level properties."""
    return frozenset(_resolve(schema, schema).get("properties", {}))


def _resolve(root: Schema, schema: Any) -> Schema:
    for _ in range(_DEPTH):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        target: Any = root
        for step in reference[2:].split("/"):
            target = target.get(step, {}) if isinstance(target, Mapping) else {}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **rest}
    return {}


class _Filler:
    def __init__(self, root: Schema, text: str) -> None:
        self._root = root
        self._text = text

    def fill(self, raw: Any, given: Any, depth: int) -> Any:
        schema = _resolve(self._root, raw)
        for part in schema.get("allOf", ()):
            schema = _merged(schema, _resolve(self._root, part))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            options = schema["enum"]
            return given if given in options else schema.get("default", options[0])
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return self._fill_branch(schema, branches, given, depth)
        if given is None and "default" in schema:
            return schema["default"]
        kind = _kind(schema, given)
        if kind == "object":
            return self._fill_object(schema, given, depth)
        if kind == "array":
            return self._fill_array(schema, given, depth)
        if kind == "string":
            return self._fill_string(schema, given)
        if kind in ("integer", "number"):
            return _fill_number(schema, given, whole=kind == "integer")
        if kind == "boolean":
            return given if isinstance(given, bool) else False
        return None

    def _fill_branch(self, schema: Schema, branches: Sequence[Any], given: Any, depth: int) -> Any:
        if given is None and "default" in schema:
            return schema["default"]
        resolved = [_resolve(self._root, branch) for branch in branches]
        fitting = [branch for branch in resolved if given is not None and _accepts(branch, given)]
        solid = [branch for branch in resolved if branch.get("type") != "null"]
        return self.fill((fitting or solid or resolved)[0], given, depth)

    def _fill_object(self, schema: Schema, given: Any, depth: int) -> dict[str, Any]:
        known: Mapping[str, Any] = schema.get("properties", {})
        values: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        required = set(schema.get("required", ()))
        filled = {}
        for name, part in known.items():
            if name in values or (name in required and depth > 0):
                filled[name] = self.fill(part, values.get(name), depth - 1)
        for name in required - set(known):
            filled[name] = self._text
        if schema.get("additionalProperties", not known) is not False:
            filled |= {name: value for name, value in values.items() if name not in filled}
        return filled

    def _fill_array(self, schema: Schema, given: Any, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        values = list(given) if isinstance(given, list | tuple) else []
        part = schema.get("items", {})
        if depth <= 0:
            return []
        items = [self.fill(part, value, depth - 1) for value in values[:most]]
        while len(items) < least:
            items.append(
                self._distinct(part, items, depth)
                if schema.get("uniqueItems")
                else self.fill(part, None, depth - 1)
            )
        return items

    def _distinct(self, part: Any, items: list[Any], depth: int) -> Any:
        schema = _resolve(self._root, part)
        for option in schema.get("enum", ()):
            if option not in items:
                return option
        for number in range(len(items) + 1):
            guess = (
                number
                if _kind(schema, None) in ("integer", "number")
                else f"{self._text or 'item'} {number + 1}"
            )
            value = self.fill(part, guess, depth - 1)
            if value not in items:
                return value
        return self.fill(part, None, depth - 1)

    def _fill_string(self, schema: Schema, given: Any) -> str:
        if given is not None and not isinstance(given, str | Mapping | list):
            given = str(given)
        value = given if isinstance(given, str) else _FORMATS.get(schema.get("format", ""), self._text)
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if len(value) < least:
            value = (value + " " if value else "").ljust(least, "-")
        value = value[:most]
        pattern = schema.get("pattern")
        if pattern and not re.search(pattern, value):
            usual = ("a", "A", "0", "1", "a" * max(least, 8), "0" * max(least, 8), "a-1", "A1", "2026-01-01")
            value = next((guess for guess in usual if re.search(pattern, guess)), value)
        return value


def _fill_number(schema: Schema, given: Any, *, whole: bool) -> float:
    value: float = given if isinstance(given, int | float) and not isinstance(given, bool) else 0
    step = schema.get("multipleOf") or (1 if whole else 0)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    nudge = step or 1e-6
    if above is not None:
        low = max(low if low is not None else above + nudge, above + nudge)
    if below is not None:
        high = min(high if high is not None else below - nudge, below - nudge)
    if high is not None:
        value = min(value, high)
    if low is not None:
        value = max(value, low)
    if step and value % step:
        upper = ceil(value / step) * step
        value = upper if high is None or upper <= high else upper - step
    return round(value) if whole else value


def _kind(schema: Schema, given: Any) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        fitting = [each for each in kind if given is not None and _accepts({"type": each}, given)]
        kind = (fitting or [each for each in kind if each != "null"] or ["null"])[0]
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    if "items" in schema:
        return "array"
    if isinstance(given, Mapping):
        return "object"
    return "array" if isinstance(given, list) else "string"


def _accepts(schema: Schema, value: Any) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema.get("type")
    kinds: dict[str, type | tuple[type, ...]] = {
        "object": Mapping,
        "array": (list, tuple),
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(kind, str) and kind in kinds and isinstance(value, kinds[kind])


def _merged(one: Schema, other: Schema) -> Schema:
    merged = {**one, **other}
    merged["properties"] = {**one.get("properties", {}), **other.get("properties", {})}
    merged["required"] = [*one.get("required", ()), *other.get("required", ())]
    if not merged["properties"]:
        del merged["properties"]
    return merged
