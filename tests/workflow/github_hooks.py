"""A stand-in for GitHub's webhooks and the API about their deliveries, in the shapes GitHub documents.

It tries each delivery once, keeps what was answered, and tries again only when the API is asked to: with the
same guid, under another id, some time later. A page has at most three deliveries here, so that a test sees
several.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.server import Server

PAGE = 3
TOKEN = "github_pat_of_a_test"
_ROUTES = Map(
    [
        Rule("/repos/<owner>/<repo>/hooks/<int:hook>/deliveries", endpoint="list", methods=["GET"]),
        Rule("/repos/<owner>/<repo>/hooks/<int:hook>/deliveries/<int:id>", endpoint="show", methods=["GET"]),
        Rule(
            "/repos/<owner>/<repo>/hooks/<int:hook>/deliveries/<int:id>/attempts",
            endpoint="attempt",
            methods=["POST"],
        ),
    ]
)

type Json = dict[str, Any]
type Receive = Callable[[Mapping[str, str], bytes], tuple[int, bytes]]
"""Takes headers and body of one request; returns status and body, or raises ConnectionError."""


@dataclass
class Attempt:
    """One try. `status` is 0 where nobody answered."""

    id: int
    guid: str
    event: str
    body: bytes
    at: datetime
    redelivery: bool
    status: int
    answer: str


@dataclass
class GitHubHooks:
    """The webhook 4711 of octo/help, whose secret is `secret`. `limited` answers are rate-limited first."""

    secret: str
    receive: Receive
    attempts: list[Attempt] = field(default_factory=list)
    waiting: list[Attempt] = field(default_factory=list)
    limited: int = 0
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = Server(self._app)
        self.url = self._server.url

    def __enter__(self) -> "GitHubHooks":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def happen(self, event: str, payload: Json) -> str:
        """Something that the webhook is told of, once; returns the delivery's guid."""
        guid = str(uuid.uuid4())
        self._try(guid, event, json.dumps(payload).encode(), redelivery=False)
        return guid

    def run_redeliveries(self) -> None:
        """Makes the attempts that were asked for."""
        while self.waiting:
            old = self.waiting.pop(0)
            self._try(old.guid, old.event, old.body, redelivery=True)

    def _try(self, guid: str, event: str, body: bytes, *, redelivery: bool) -> None:
        headers = {
            "content-type": "application/json",
            "x-github-delivery": guid,
            "x-github-event": event,
            "x-hub-signature-256": f"sha256={hmac.digest(self.secret.encode(), body, hashlib.sha256).hex()}",
        }
        try:
            status, answer = self.receive(headers, body)
        except ConnectionError:
            status, answer = 0, b""
        number, at = 10_000 + len(self.attempts), datetime.now(UTC)
        self.attempts.append(Attempt(number, guid, event, body, at, redelivery, status, answer.decode()))

    def _app(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.calls.append(f"{request.method} {request.path}")
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _json(401, {"message": "Bad credentials", "status": "401"})
        if self.limited:
            self.limited -= 1
            headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790000000"}
            return _json(403, {"message": "API rate limit exceeded"}, headers)
        try:
            endpoint, values = _ROUTES.bind_to_environ(request.environ).match()
        except HTTPException:
            endpoint, values = "", {}
        if (values.get("owner"), values.get("repo"), values.get("hook")) != ("octo", "help", 4711):
            return _json(404, {"message": "Not Found", "status": "404"})
        if endpoint == "list":
            return self._list(request)
        attempt = next((each for each in self.attempts if each.id == values["id"]), None)
        if attempt is None:
            return _json(404, {"message": "Not Found", "status": "404"})
        if endpoint == "show":
            return _json(200, _whole(attempt))
        self.waiting.append(attempt)
        return _json(202, {})

    def _list(self, request: Request) -> Response:
        size = min(int(request.args.get("per_page", 30)), PAGE)
        latest_first = list(reversed(self.attempts))
        cursor = request.args.get("cursor", "")
        first = int(cursor.removeprefix("v1_")) if cursor else 0
        headers = {}
        if first + size < len(latest_first):
            query = urlencode({"per_page": size, "cursor": f"v1_{first + size}"})
            headers["Link"] = f'<{request.base_url}?{query}>; rel="next"'
        return _json(200, [_line(each) for each in latest_first[first : first + size]], headers)


def _line(attempt: Attempt) -> Json:
    return {
        "id": attempt.id,
        "guid": attempt.guid,
        "delivered_at": attempt.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "redelivery": attempt.redelivery,
        "duration": 0.27,
        "status": {0: "failed to connect to host", 202: "Accepted"}.get(
            attempt.status, "Invalid HTTP Response"
        ),
        "status_code": attempt.status,
        "event": attempt.event,
        "action": json.loads(attempt.body).get("action"),
        "installation_id": None,
        "repository_id": 1_296_269,
        "throttled_at": None,
    }


def _whole(attempt: Attempt) -> Json:
    return _line(attempt) | {
        "url": "https://example.com/webhooks/github",
        "request": {"headers": {"X-GitHub-Event": attempt.event}, "payload": json.loads(attempt.body)},
        "response": {"headers": {}, "payload": attempt.answer or None},
    }


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        json.dumps(value), status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )
