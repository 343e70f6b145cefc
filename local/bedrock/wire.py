"""Bedrock's REST: which operation a request is, its parameters, and the bytes of an answer.

Everything comes from botocore's service models; nothing about an operation is repeated here.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

import botocore.session
from botocore.model import OperationModel, Shape, StructureShape

from local.bedrock import eventstream, shapes
from local.bedrock.errors import ServiceError, ValidationError

SERVICES = ("bedrock-runtime", "bedrock-agent-runtime", "bedrock-agent")
"""The services spoken here, by boto3's names. All of them sign as `bedrock`; only their hosts differ."""

Answer = tuple[int, dict[str, str], Iterable[bytes]]
"""Status, headers and body of an HTTP answer."""


@dataclass(frozen=True)
class Call:
    """A request that was understood: the operation's model and its checked parameters."""

    operation: OperationModel
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """The operation, such as `Converse`."""
        return str(self.operation.name)


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    operation: OperationModel


class Router:
    """Finds the operation of a request among the named ones."""

    def __init__(self, operations: Iterable[str]) -> None:
        wanted = set(operations)
        self._routes: list[_Route] = []
        for service in SERVICES:
            model = _service_model(service)
            for name in sorted(wanted.intersection(model.operation_names)):
                operation = model.operation_model(name)
                path = _path_pattern(operation.http["requestUri"])
                self._routes.append(_Route(operation.http["method"], path, operation))

    def read(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Call:
        """The call that a request is; `path` as it came, percent-encoded. Raises ServiceError."""
        for route in self._routes:
            match = route.path.fullmatch(path)
            if match is not None and route.method == method:
                return Call(route.operation, _read_params(route.operation, match, query, headers, body))
        raise ServiceError("UnknownOperationException", f"The offline Bedrock does not know {method} {path}")


def result(operation: OperationModel, output: Mapping[str, Any]) -> Answer:
    """The answer of an operation that has no event stream. Raises shapes.Violations for an invalid output."""
    shape = operation.output_shape
    if not isinstance(shape, StructureShape):
        return operation.http.get("responseCode", 200), _headers("application/json"), [b"{}"]
    payload_name = shape.serialization.get("payload")
    headers, fields = _split_headers(shape, output)
    if payload_name and shape.members[payload_name].type_name == "blob":
        body: bytes = fields[payload_name]
        content_type = headers.pop("Content-Type", "application/json")
    else:
        body = json.dumps(shapes.write(shape, fields), ensure_ascii=False).encode()
        content_type = "application/json"
    answer_headers = _headers(content_type) | headers | {"Content-Length": str(len(body))}
    return operation.http.get("responseCode", 200), answer_headers, [body]


def stream(operation: OperationModel, output: Mapping[str, Any], events: Iterable[dict[str, Any]]) -> Answer:
    """The answer of an operation with an event stream; each event is `{member: value}`.

    A ServiceError raised by `events` becomes an exception inside the stream, as on AWS.
    """
    shape = operation.output_shape
    assert isinstance(shape, StructureShape)
    headers, _ = _split_headers(shape, output)
    return 200, _headers(eventstream.CONTENT_TYPE) | headers, _event_bytes(_event_shape(shape), events)


def error(problem: ServiceError) -> Answer:
    """The answer for an error."""
    body = json.dumps({"message": problem.message}).encode()
    headers = _headers("application/json") | {
        "x-amzn-ErrorType": problem.code,
        "Content-Length": str(len(body)),
    }
    return problem.status, headers, [body]


def is_stream(operation: OperationModel) -> bool:
    """Whether the operation answers with an event stream."""
    return bool(operation.has_event_stream_output)


@cache
def _service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _event_bytes(shape: StructureShape, events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    try:
        for event in events:
            ((name, value),) = event.items()
            yield eventstream.event(name, shapes.write(shape.members[name], value))
    except ServiceError as problem:
        # The model of a stream names its exceptions with a small first letter.
        name = problem.code[0].lower() + problem.code[1:]
        yield eventstream.exception(name, problem.message)


def _event_shape(shape: StructureShape) -> StructureShape:
    for member in shape.members.values():
        if member.serialization.get("eventstream") and isinstance(member, StructureShape):
            return member
    raise TypeError(f"{shape.name} has no event stream")


def _headers(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type, "x-amzn-RequestId": str(uuid4())}


def _split_headers(shape: StructureShape, output: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    headers, fields = {}, {}
    for name, value in output.items():
        if name.startswith("X-Amzn-"):
            headers[name] = str(value)  # AWS sends some headers that its models don't name
            continue
        member = shape.members[name]
        if member.serialization.get("location") == "header":
            headers[member.serialization["name"]] = str(value)
        else:
            fields[name] = value
    return headers, fields


def _path_pattern(uri: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\+?\}", uri.rstrip("/"))
    pattern = "".join(
        re.escape(piece) if index % 2 == 0 else f"(?P<{piece}>[^/]+)" for index, piece in enumerate(pieces)
    )
    return re.compile(pattern + "/?")


def _read_params(
    operation: OperationModel, match: re.Match[str], query: str, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    shape = operation.input_shape
    assert isinstance(shape, StructureShape)
    params: dict[str, Any] = {}
    lower = {name.lower(): value for name, value in headers.items()}
    queried = parse_qs(query)
    payload = shape.serialization.get("payload")
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location == "uri" and wire_name in match.groupdict():
            params[name] = unquote(match[wire_name])
        elif location == "header" and wire_name.lower() in lower:
            params[name] = lower[wire_name.lower()]
        elif location == "querystring" and wire_name in queried:
            params[name] = _typed(member, queried[wire_name][0])
    if payload and shape.members[payload].type_name == "blob":
        blob = {payload: body}
    else:
        blob = {}
        params |= _json_object(body)
    try:
        return shapes.read(shape, params) | blob  # type: ignore[no-any-return]
    except shapes.Violations as problem:
        raise ValidationError(str(problem)) from problem


def _typed(member: Shape, text: str) -> Any:
    return int(text) if member.type_name in ("integer", "long") and text.isdecimal() else text


def _json_object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise ServiceError("SerializationException", "The request's body is no JSON") from problem
    if not isinstance(value, dict):
        raise ServiceError("SerializationException", "The request's body is no JSON object")
    return value
