"""JMESPath expressions that are checked when they are loaded, not when the first event meets them."""

from dataclasses import dataclass, field
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from pydantic import JsonValue

from countersign.bodies import JsonObject
from countersign.errors import InvalidRequest


@dataclass(frozen=True)
class Expression:
    """A compiled JMESPath expression. Its `text` is how errors name the field."""

    text: str
    _parsed: Any = field(repr=False, compare=False)

    @classmethod
    def compile(cls, text: Any) -> "Expression":
        """Raises ValueError where the expression cannot be parsed or calls what does not exist."""
        if isinstance(text, Expression):
            return text
        if not isinstance(text, str):
            raise ValueError("a JMESPath expression is a text")
        try:
            parsed = jmespath.compile(text)
        except JMESPathError as error:
            raise ValueError(f"{text!r} is no JMESPath expression: {str(error).splitlines()[0]}") from None
        _check_calls(parsed.parsed)
        return cls(text, parsed)

    def search(self, event: JsonObject) -> JsonValue:
        """Raises InvalidRequest where the event has the wrong types for it."""
        try:
            found: JsonValue = self._parsed.search(event)
        except JMESPathError:
            raise InvalidRequest(f"the event has the wrong types for {self.text}") from None
        return found


def _check_calls(node: Any) -> None:
    """JMESPath itself looks functions up only when they are called."""
    if isinstance(node, list):
        for part in node:
            _check_calls(part)
    elif isinstance(node, dict):
        if node["type"] == "function_expression":
            known = Functions.FUNCTION_TABLE.get(node["value"])
            if known is None:
                raise ValueError(f"JMESPath has no function {node['value']}")
            takes, given = len(known["signature"]), len(node["children"])
            if given < takes or (given > takes and not known["signature"][-1].get("variadic")):
                raise ValueError(f"JMESPath's {node['value']} takes {takes} arguments, not {given}")
        _check_calls(node["children"])
