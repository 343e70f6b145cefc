"""API Gateway's HTTP API: a request becomes a payload-2.0 event for the function of its route, and back.

Routes, integrations and authorizers are read from the OpenAPI body that SAM makes of the template, which is
what AWS gets as well. Answers that API Gateway gives by itself have its shape: `{"message": ...}`.
"""

import base64
import binascii
import json
import re
import secrets
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.clock import Clock
from local.environment import current_caller
from local.functions import PAYLOAD_LIMIT, CallerTimedOut, FunctionFailed, FunctionRunner

BODY_LIMIT = 10 * 1024 * 1024
"""Bytes of a request's body; API Gateway refuses more."""
TIMEOUT_S = 30.0
"""How long API Gateway waits for a function."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_TEXT_TYPES = re.compile(r"^(text/.*|application/(json|javascript|xml|.*\+json|.*\+xml)|"
                         r"application/x-www-form-urlencoded)\s*(;|$)", re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True)
class Response:
    """What a client gets. Names of `headers` are lower case; `set-cookie` may come more than once."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def json(self) -> Any:
        """The body, parsed. Raises ValueError if it is not JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of this name (any case)."""
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass(frozen=True)
class Route:
    """One route: `path` as in the template (`/cases/{case_id}`, `/{proxy+}`), `method` upper case or ANY."""

    method: str
    path: str
    function_arn: str
    is_public: bool
    pattern: re.Pattern[str] = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """API Gateway's routeKey."""
        return "$default" if self.path == "$default" else f"{self.method} {self.path}"

    @property
    def priority(self) -> tuple[int, int, int, int]:
        """Smallest first: literal paths, then variables, greedy ones, $default; methods before ANY."""
        greedy = "+}" in self.path
        return (
            2 if self.path == "$default" else int(greedy),
            self.path.count("{"),
            -self.path.count("/"),
            int(self.method == "ANY"),
        )


def read_routes(body: Mapping[str, Any]) -> list[Route]:
    """The routes of a resolved OpenAPI body of an HTTP API, most specific first."""
    # SAM writes `Authorizer: NONE` as a scheme that is defined nowhere.
    schemes = body.get("components", {}).get("securitySchemes", {}).keys()
    routes = []
    for path, operations in body.get("paths", {}).items():
        for method, operation in operations.items():
            if method not in (*_METHODS, "x-amazon-apigateway-any-method"):
                continue
            uri = str(operation["x-amazon-apigateway-integration"]["uri"])
            match = re.search(r"functions/(arn:[^/]+)/invocations", uri)
            if match is None:
                continue
            routes.append(
                Route(
                    method="ANY" if method.startswith("x-") else method.upper(),
                    path=path if path.startswith(("/", "$")) else f"/{path}",
                    function_arn=match[1],
                    is_public=not any(schemes & needed.keys() for needed in operation.get("security", [])),
                    pattern=_pattern(path),
                )
            )
    return sorted(routes, key=lambda route: route.priority)


def _pattern(path: str) -> re.Pattern[str]:
    if path == "$default":
        return re.compile(".*", re.DOTALL)
    parts = []
    for segment in path.strip("/").split("/"):
        if segment.startswith("{") and segment.endswith("+}"):
            parts.append(f"(?P<{segment[1:-2]}>.+)")
        elif segment.startswith("{") and segment.endswith("}"):
            parts.append(f"(?P<{segment[1:-1]}>[^/]+)")
        else:
            parts.append(re.escape(segment))
    return re.compile("/" + "/".join(parts), re.DOTALL)


@dataclass(frozen=True)
class Person:
    """Whom a bearer token stands for; `claims` are texts, as API Gateway passes them on."""

    claims: Mapping[str, str]

    @property
    def scopes(self) -> list[str] | None:
        """The scopes of the claim `scope`, if there is one."""
        return self.claims["scope"].split() if "scope" in self.claims else None


class Gateway:
    """Answers requests for the routes of one HTTP API."""

    def __init__(
        self, routes: list[Route], *, runner: FunctionRunner, clock: Clock, api_id: str, account: str
    ) -> None:
        self.routes = routes
        self._runner = runner
        self._clock = clock
        self._api_id = api_id
        self._account = account
        self._people: dict[str, Person] = {}

    def add_person(self, claims: Mapping[str, str]) -> str:
        """A new bearer token for somebody with these JWT claims."""
        token = secrets.token_urlsafe(24)
        self._people[token] = Person(dict(claims))
        return token

    def handle(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        source_ip: str = "127.0.0.1",
    ) -> Response:
        """Answer a request; `target` is its path with the query, as on the request line."""
        token = current_caller.set("gateway")
        try:
            with self._clock.work():
                return self._handle(method.upper(), target, headers, body, source_ip)
        finally:
            current_caller.reset(token)

    def _handle(
        self, method: str, target: str, header_list: list[tuple[str, str]], body: bytes, source_ip: str
    ) -> Response:
        if len(body) > BODY_LIMIT:
            return message(413, "Request Entity Too Large")
        try:
            split = urlsplit("//host" + target if target.startswith("/") else target)
        except ValueError:
            return message(400, "Bad Request")
        # API Gateway matches and passes on the decoded path.
        path = unquote(split.path) or "/"
        route, variables = self._route(method, path)
        if route is None:
            return message(404, "Not Found")
        headers = _join_headers(header_list)
        person = None
        if not route.is_public:
            person = self._authenticate(headers)
            if person is None:
                return Response(
                    401,
                    (("content-type", "application/json"), ("www-authenticate", "Bearer")),
                    b'{"message":"Unauthorized"}',
                )
        event = self._event(method, path, split.query, headers, body, source_ip, route, variables, person)
        if len(json.dumps(event)) > PAYLOAD_LIMIT:
            return message(500, "Internal Server Error")
        try:
            answer = self._runner.invoke(route.function_arn, event, caller_timeout_s=TIMEOUT_S)
        except FunctionFailed:
            return message(500, "Internal Server Error")
        except CallerTimedOut:
            return message(503, "Service Unavailable")
        return _to_response(answer)

    def _route(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        for route in self.routes:
            if route.method in (method, "ANY") and (match := route.pattern.fullmatch(path)):
                return route, match.groupdict()
        return None, {}

    def _authenticate(self, headers: Mapping[str, str]) -> Person | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not token:  # API Gateway takes a bare token as well
            scheme, token = "bearer", scheme
        return self._people.get(token.strip()) if scheme.lower() == "bearer" else None

    def _event(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: bytes,
        source_ip: str,
        route: Route,
        variables: dict[str, str],
        person: Person | None,
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        cookies = [cookie for cookie in headers.pop("cookie", "").split("; ") if cookie]
        domain = headers.get("host", f"{self._api_id}.execute-api.us-east-1.amazonaws.com")
        context: dict[str, Any] = {
            "accountId": self._account,
            "apiId": self._api_id,
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex[:16],
            "routeKey": route.key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        }
        if person is not None:
            context["authorizer"] = {"jwt": {"claims": dict(person.claims), "scopes": person.scopes}}
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": route.key,
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": context,
            "isBase64Encoded": False,
        }
        if cookies:
            event["cookies"] = cookies
        if query:
            event["queryStringParameters"] = _join_query(query)
        if variables:
            event["pathParameters"] = variables
        if body:
            event["body"], event["isBase64Encoded"] = _encode_body(body, headers.get("content-type", ""))
        return event


def message(status: int, text: str) -> Response:
    """An answer of API Gateway's own."""
    body = json.dumps({"message": text}, separators=(",", ":")).encode()
    return Response(status, (("content-type", "application/json"),), body)


def _join_headers(headers: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for any_case, value in headers:
        name = any_case.lower()
        separator = "; " if name == "cookie" else ","
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _join_query(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _encode_body(body: bytes, content_type: str) -> tuple[str, bool]:
    if _TEXT_TYPES.match(content_type) or not content_type:
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


def _to_response(answer: Any) -> Response:
    """A function's result as a response; without a statusCode it is the JSON body of a 200."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        body = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
        return Response(200, (("content-type", "application/json"),), body.encode())
    try:
        return Response(int(answer["statusCode"]), tuple(_response_headers(answer)), _response_body(answer))
    except (TypeError, ValueError, AttributeError, binascii.Error):
        return message(500, "Internal Server Error")


def _response_headers(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    headers = {str(name).lower(): value for name, value in (answer.get("headers") or {}).items()}
    headers |= {
        str(name).lower(): ",".join(map(str, values))
        for name, values in (answer.get("multiValueHeaders") or {}).items()
    }
    headers.setdefault("content-type", "text/plain; charset=utf-8")
    for name, value in headers.items():
        yield name, _header_text(value)
    for cookie in answer.get("cookies") or []:
        yield "set-cookie", str(cookie)


def _header_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _response_body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise TypeError("a body is text")
    return base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
