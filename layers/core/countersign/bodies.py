"""The one reader of what comes over HTTP: from an API Gateway event to raw bytes, from bytes to an object.

It is stricter than Python's `json`, which takes UTF-16, a BOM, NaN, duplicate keys and lone surrogates, and
which a deep or long document can make fail in ways that are no JSONDecodeError. What is read here can be
encoded as UTF-8 and written as JSON again. Compressed bodies are refused, so none can inflate.
"""

import base64
import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import JsonValue

from countersign.errors import BodyTooLarge, UnreadableBody, WrongContentType

type JsonObject = dict[str, JsonValue]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
LIMIT = 1_048_576
"""Bytes of a body."""
MAX_DEPTH = 64
"""Objects and arrays within each other."""
MAX_FORM_FIELDS = 1_000
_MAX_INTEGER_DIGITS = 38
_MAX_FLOAT_CHARACTERS = 400

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']*)""", re.IGNORECASE)
# Also matches a string that never ends, so that no document makes the search start over at each quote.
_STRING = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[^\[\]{}]+")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def raw_body(event: Mapping[str, Any], *, limit: int = LIMIT) -> bytes:
    """The bytes a client sent, from an API Gateway event (payload 2.0): what a signature covers.

    Raises BodyTooLarge over `limit` bytes, UnreadableBody where the event's base64 is none.
    """
    text = event.get("body")
    if text is None:
        return b""
    if not isinstance(text, str):
        raise UnreadableBody("the event's body is not text")
    is_base64 = event.get("isBase64Encoded") is True
    if len(text) > (limit * 4 // 3 + 4 if is_base64 else limit):
        raise BodyTooLarge(f"the body is over {limit} bytes")
    try:
        body = base64.b64decode(text, validate=True) if is_base64 else text.encode()
    except ValueError:
        raise UnreadableBody("the event's body is not base64 or not text") from None
    _check_size(body, limit)
    return body


def event_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers of an API Gateway event: names in lower case, values without spaces around them.

    API Gateway joins the lines of one header with commas; names that differ in case alone are joined so too.
    """
    headers = event.get("headers")
    joined: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if isinstance(name, str) and isinstance(value, str):
            key, trimmed = name.lower(), value.strip(" \t")
            joined[key] = f"{joined[key]},{trimmed}" if key in joined else trimmed
    return joined


def path_parameter(event: Mapping[str, Any], name: str) -> str:
    """What stands in an API Gateway event's path for `name`; empty where nothing or no text does."""
    parameters = event.get("pathParameters")
    value = parameters.get(name) if isinstance(parameters, Mapping) else None
    return value if isinstance(value, str) else ""


def media_type(content_type: str | None) -> str:
    """`type/subtype` in lower case, without parameters; empty if there is no such header."""
    return (content_type or "").partition(";")[0].strip().lower()


def read_json(
    body: bytes, *, content_type: str | None, content_encoding: str | None = None, limit: int = LIMIT
) -> JsonObject:
    """The JSON object that `body` holds, in UTF-8 and at most `limit` bytes and `MAX_DEPTH` deep.

    `content_type` and `content_encoding` are the header values as they came. Raises WrongContentType,
    BodyTooLarge or UnreadableBody, and nothing else, whatever the bytes.
    """
    return _parse(_text(body, JSON, content_type, content_encoding, limit))


def read_form(
    body: bytes,
    *,
    content_type: str | None,
    content_encoding: str | None = None,
    field: str | None = None,
    limit: int = LIMIT,
) -> JsonObject:
    """The fields of a URL-encoded form, or the JSON object that its `field` holds where one is named.

    Every field is a text and may come once. Raises as `read_json` does.
    """
    text = _text(body, FORM, content_type, content_encoding, limit)
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:
        pairs = []
    if not pairs:
        raise UnreadableBody("the body is not a URL-encoded form in UTF-8")
    fields = _object(list(pairs))
    if field is None:
        return fields
    value = fields.get(field)
    if not isinstance(value, str):
        raise UnreadableBody(f"the form has no field {field}")
    return _parse(value)


def _text(
    body: bytes, expected: str, content_type: str | None, content_encoding: str | None, limit: int
) -> str:
    _check_size(body, limit)
    if media_type(content_type) != expected:
        raise WrongContentType(f"the content type is not {expected}")
    charset = _CHARSET.search(content_type or "")
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        raise WrongContentType("the character set is not UTF-8")
    if (content_encoding or "identity").strip().lower() != "identity":
        raise WrongContentType("compressed bodies are not read")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise UnreadableBody("the body is not UTF-8") from None


def _check_size(body: bytes, limit: int) -> None:
    if len(body) > limit:
        raise BodyTooLarge(f"the body is over {limit} bytes")


def _parse(text: str) -> JsonObject:
    _check_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        # Its text quotes nothing of the document: only what was expected and where.
        raise UnreadableBody(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UnreadableBody("the body is not a JSON object")
    if _SURROGATE_ESCAPE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UnreadableBody("a text holds half a surrogate pair") from None
    return value


def _check_depth(text: str) -> None:
    """Before parsing, as the parser recurses."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise UnreadableBody(f"the body is more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    value: JsonObject = dict(pairs)
    if len(value) != len(pairs):
        # Two readers may take different ones of two equal keys: what was checked is not what is used.
        raise UnreadableBody("a key comes twice in one object")
    return value


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > _MAX_INTEGER_DIGITS:
        raise UnreadableBody(f"a number has more than {_MAX_INTEGER_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > _MAX_FLOAT_CHARACTERS or not math.isfinite(number := float(digits)):
        raise UnreadableBody("a number is too long or too large")
    return number


def _constant(name: str) -> None:
    raise UnreadableBody(f"{name} is not JSON")
