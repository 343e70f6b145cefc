"""API Gateway's own behaviour: routes, events, answers."""

import base64
import json
from typing import Any

import pytest

from local.clock import Clock
from local.functions import CallerTimedOut, FunctionFailed
from local.gateway import BODY_LIMIT, Gateway, Response, read_routes

ARN = "arn:aws:lambda:us-east-1:1:function:"


class FakeRunner:
    """Answers with what it is told; keeps the events."""

    def __init__(self) -> None:
        self.answer: Any = {"statusCode": 204}
        self.calls: list[tuple[str, Any]] = []

    def invoke(self, name: str, event: Any, *, caller_timeout_s: float | None = None) -> Any:
        self.calls.append((name.removeprefix(ARN), event))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def event(self) -> Any:
        return self.calls[-1][1]


def _operation(function: str, public: bool = False) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}{function}/invocations"
    security = [{"NONE": []}] if public else [{"Reader": []}]
    return {"x-amazon-apigateway-integration": {"uri": uri}, "security": security}


BODY = {
    "components": {"securitySchemes": {"Reader": {"type": "oauth2"}}},
    "paths": {
        "/webhooks/{source}": {"post": _operation("receive", public=True)},
        "/{proxy+}": {"x-amazon-apigateway-any-method": _operation("api"), "parameters": []},
        "/cases/{case_id}": {"get": _operation("case")},
        "/cases/mine": {"get": _operation("mine")},
        "/": {"get": _operation("page", public=True)},
    },
}


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def gateway(runner: FakeRunner) -> Gateway:
    return Gateway(read_routes(BODY), runner=runner, clock=Clock(), api_id="api", account="1")


def _send(gateway: Gateway, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
    token = gateway.add_person({"sub": "ada", "tenant": "default"})
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return gateway.handle(method, target, [("Authorization", f"Bearer {token}"), *pairs], body)


@pytest.mark.parametrize(
    ("method", "target", "function", "key", "variables"),
    [
        ("POST", "/webhooks/github", "receive", "POST /webhooks/{source}", {"source": "github"}),
        ("GET", "/webhooks/github", "api", "ANY /{proxy+}", {"proxy": "webhooks/github"}),
        ("GET", "/cases/abc", "case", "GET /cases/{case_id}", {"case_id": "abc"}),
        ("GET", "/cases/mine", "mine", "GET /cases/mine", None),
        ("GET", "/cases/a%20b%2Fc", "api", "ANY /{proxy+}", {"proxy": "cases/a b/c"}),
        ("GET", "/cases/%C3%BC?x=1", "case", "GET /cases/{case_id}", {"case_id": "ü"}),
        ("DELETE", "/cases/a/b", "api", "ANY /{proxy+}", {"proxy": "cases/a/b"}),
        ("GET", "/?q=1", "page", "GET /", None),
        ("GET", "//evil.example/x", "api", "ANY /{proxy+}", {"proxy": "/evil.example/x"}),
    ],
)
def test_the_most_specific_route_wins(gateway, runner, method, target, function, key, variables) -> None:
    assert _send(gateway, method, target).status == 204
    name, event = runner.calls[-1]
    assert (name, event["routeKey"], event.get("pathParameters")) == (function, key, variables)


def test_an_event_has_payload_two(gateway: Gateway, runner: FakeRunner) -> None:
    token = gateway.add_person({"sub": "ada", "tenant": "acme", "scope": "read write"})
    headers = [
        ("Authorization", f"Bearer {token}"),
        ("Host", "localhost:8080"),
        ("X-Twice", "1"),
        ("x-twice", "2"),
        ("Cookie", "a=1; b=2"),
        ("Content-Type", "application/json"),
    ]
    gateway.handle("get", "/cases/x?limit=5&tag=a&tag=b&empty=", headers, '{"ü":1}'.encode())
    event = runner.event
    assert event["version"] == "2.0"
    assert event["rawQueryString"] == "limit=5&tag=a&tag=b&empty="
    assert event["queryStringParameters"] == {"limit": "5", "tag": "a,b", "empty": ""}
    assert event["headers"]["x-twice"] == "1,2"
    assert "cookie" not in event["headers"]
    assert event["cookies"] == ["a=1", "b=2"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"ü":1}', False)
    context = event["requestContext"]
    assert context["http"]["method"] == "GET"
    assert context["domainName"] == "localhost:8080"
    jwt = context["authorizer"]["jwt"]
    assert jwt["claims"] == {"sub": "ada", "tenant": "acme", "scope": "read write"}
    assert jwt["scopes"] == ["read", "write"]


@pytest.mark.parametrize(
    ("body", "content_type", "encoded"),
    [
        (b"\xff\x00", "application/json", True),
        (b"plain", "application/octet-stream", True),
        (b"plain", "text/plain; charset=utf-8", False),
        (b"<x/>", "application/atom+xml", False),
        (b"plain", "", False),
    ],
)
def test_bodies_that_are_not_text_are_base64(gateway, runner, body, content_type, encoded) -> None:
    headers = [("content-type", content_type)] if content_type else []
    gateway.handle("POST", "/webhooks/x", headers, body)
    assert runner.event["isBase64Encoded"] is encoded
    sent = runner.event["body"]
    assert (base64.b64decode(sent) if encoded else sent.encode()) == body


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer nobody", "Basic x", "bearer  ", "Bearer a b"]
)
def test_strangers_are_unauthorized(gateway, runner, authorization) -> None:
    headers = [] if authorization is None else [("authorization", authorization)]
    response = gateway.handle("GET", "/cases/x", headers, b"")
    assert (response.status, response.json()) == (401, {"message": "Unauthorized"})
    assert not runner.calls


def test_public_routes_ask_nobody(gateway: Gateway, runner: FakeRunner) -> None:
    assert gateway.handle("POST", "/webhooks/x", [], b"").status == 204
    assert "authorizer" not in runner.event["requestContext"]


def test_a_target_that_is_none_is_refused(gateway: Gateway) -> None:
    assert gateway.handle("GET", "http://[bad/cases/x", [], b"").status == 400


def test_what_has_no_route_is_not_found(runner: FakeRunner) -> None:
    paths = {"/a": {"get": _operation("a", public=True)}}
    gateway = Gateway(read_routes({"paths": paths}), runner=runner, clock=Clock(), api_id="x", account="1")
    for method, path in (("POST", "/a"), ("GET", "/b"), ("GET", "/a/")):
        response = gateway.handle(method, path, [], b"")
        assert (response.status, response.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize(
    ("answer", "status", "content_type", "body"),
    [
        ({"ok": 1}, 200, "application/json", b'{"ok":1}'),
        ("text", 200, "application/json", b"text"),
        (None, 200, "application/json", b"null"),
        ({"statusCode": 201, "body": "ü"}, 201, "text/plain; charset=utf-8", "ü".encode()),
        ({"statusCode": "202", "headers": {"Content-Type": "a/b"}}, 202, "a/b", b""),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "AP8="}, 200, None, b"\x00\xff"),
        ({"statusCode": "many"}, 500, "application/json", b'{"message":"Internal Server Error"}'),
        ({"statusCode": 200, "body": {"a": 1}}, 500, "application/json", None),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "?"}, 500, "application/json", None),
        (FunctionFailed("ValueError", "no"), 500, "application/json", b'{"message":"Internal Server Error"}'),
        (CallerTimedOut("f"), 503, "application/json", b'{"message":"Service Unavailable"}'),
    ],
)
def test_answers(gateway, runner, answer, status, content_type, body) -> None:
    runner.answer = answer
    response = _send(gateway, "GET", "/cases/x")
    assert response.status == status
    assert content_type is None or response.header("content-type") == content_type
    assert body is None or response.body == body


def test_cookies_and_headers_of_an_answer(gateway: Gateway, runner: FakeRunner) -> None:
    runner.answer = {
        "statusCode": 200,
        "headers": {"X-A": 1, "X-B": True},
        "multiValueHeaders": {"X-C": ["1", "2"]},
        "cookies": ["a=1", "b=2"],
    }
    headers = _send(gateway, "GET", "/cases/x").headers
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert {("x-a", "1"), ("x-b", "true"), ("x-c", "1,2")} <= set(headers)


@pytest.mark.parametrize(
    ("size", "status"), [(1024, 204), (5 * 1024 * 1024, 204), (7 * 1024 * 1024, 500), (BODY_LIMIT + 1, 413)]
)
def test_sizes(gateway: Gateway, runner: FakeRunner, size: int, status: int) -> None:
    response = gateway.handle("POST", "/webhooks/x", [("content-type", "text/plain")], b"x" * size)
    assert response.status == status
    assert bool(runner.calls) is (status == 204)
    if status == 413:
        assert json.loads(response.body) == {"message": "Request Entity Too Large"}
