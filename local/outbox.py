"""A stand-in for the parts of GitHub's and Slack's APIs that delivery uses, which keeps what it was sent.

with Outbox() as outbox:
    outbox.answer_next(502)       # scripts the answer to the next request
    ...                           # GITHUB_API_URL=outbox.url, SLACK_API_URL=outbox.slack_url
    outbox.sent                   # every request with its answer, oldest first

Issues, discussions and threads need not be made first: any number and any id has a list of comments.
`/replies` takes callbacks for whoever has no listener of their own. `GET /` shows everything to a browser, or
as JSON to whoever asks for that.
"""

import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.server import Server
from local.slack_api import Message, SlackApi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONGEST_COMMENT = 65_536
"""Characters; GitHub refuses longer ones."""
_ROUTES = Map(
    [
        Rule("/", endpoint="page", methods=["GET"]),
        Rule("/repos/<owner>/<repo>/issues/<int:number>/comments", endpoint="list_comments", methods=["GET"]),
        Rule("/repos/<owner>/<repo>/issues/<int:number>/comments", endpoint="add_comment", methods=["POST"]),
        Rule("/graphql", endpoint="graphql", methods=["POST"]),
        Rule("/replies", endpoint="reply", methods=["POST"]),
        Rule("/slack/api/<method>", endpoint="slack", methods=["GET", "POST"]),
    ]
)
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STYLE = (
    "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:50rem;padding:0 1rem}"
    "article{border-top:1px solid #8888;padding:.5rem 0}pre{white-space:pre-wrap;overflow-wrap:anywhere}"
)


@dataclass(frozen=True)
class SentAnswer:
    """What a request was answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class SentRequest:
    """A request that came in. Header names are in lower case."""

    at: datetime
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    answer: SentAnswer


@dataclass(frozen=True)
class Comment:
    """A comment that was posted. `subject` is the path of its list, or the node id of its discussion."""

    id: int
    subject: str
    body: str
    at: datetime


class Outbox:
    """Listens on a port of this machine from the moment it is made; answers from `start` to `stop`."""

    def __init__(self, *, port: int = 0) -> None:
        """`port` 0 takes a free one. Raises PortTaken."""
        self._lock = threading.Lock()
        self._sent: list[SentRequest] = []
        self._comments: list[Comment] = []
        self._scripted: deque[SentAnswer] = deque()
        self._lost: deque[SentAnswer] = deque()
        self._slack = SlackApi()
        self._server = Server(self.wsgi_app, port=port)
        self.url = self._server.url
        self.slack_url = f"{self.url}/slack/api"
        self.replies_url = f"{self.url}/replies"

    def start(self) -> Self:
        """Begin to answer."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Answer no more."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def sent(self) -> list[SentRequest]:
        """Every request so far, oldest first."""
        with self._lock:
            return list(self._sent)

    @property
    def comments(self) -> list[Comment]:
        """Every comment that was posted so far, oldest first."""
        with self._lock:
            return list(self._comments)

    @property
    def messages(self) -> list[Message]:
        """Every message that was posted to Slack so far, oldest first."""
        with self._lock:
            return list(self._slack.messages)

    def answer_next(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: Any = b"",
        *,
        times: int = 1,
    ) -> None:
        """Scripts the answers to the next requests, which then change nothing here.

        `body` is sent as it is if it is bytes, as JSON otherwise.
        """
        with self._lock:
            self._scripted.extend([_scripted(status, headers, body)] * times)

    def lose_next_answer(
        self, status: int, headers: Mapping[str, str] | None = None, body: Any = b""
    ) -> None:
        """The next request does what it asks, but is answered with this, as where the real answer is lost."""
        with self._lock:
            self._lost.append(_scripted(status, headers, body))

    def clear(self) -> None:
        """Forget requests, comments, messages and scripted answers."""
        with self._lock:
            self._sent.clear()
            self._comments.clear()
            self._slack.messages.clear()
            self._lost.clear()
            self._scripted.clear()

    @property
    def wsgi_app(self) -> "WSGIApplication":
        """The API without the port."""

        def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            request = Request(environ)
            try:
                endpoint, _ = _ROUTES.bind_to_environ(environ).match()
            except HTTPException:
                endpoint = "unknown"
            if endpoint == "page":
                return self._page(request)(environ, start_response)
            answer = self._take(request, endpoint)
            response = Response(answer.body, status=answer.status, headers=dict(answer.headers))
            return response(environ, start_response)

        return app

    def _take(self, request: Request, endpoint: str) -> SentAnswer:
        body = request.get_data()
        with self._lock:
            at = datetime.now(UTC)
            answer = self._scripted.popleft() if self._scripted else self._answer(request, body, endpoint, at)
            answer = self._lost.popleft() if self._lost else answer
            self._sent.append(
                SentRequest(
                    at=at,
                    method=request.method,
                    path=request.path,
                    query=request.query_string.decode(),
                    headers={name.lower(): value for name, value in request.headers.items()},
                    body=body,
                    answer=answer,
                )
            )
        return answer

    def _answer(self, request: Request, body: bytes, endpoint: str, at: datetime) -> SentAnswer:
        """What GitHub or Slack answers, down to the shape of its errors."""
        if endpoint == "unknown":
            return _json(404, {"message": "Not Found", "status": "404"})
        if endpoint == "reply":
            return SentAnswer(204)
        if endpoint == "slack":
            method, sender = request.path.rpartition("/")[2], request.headers.get("Authorization", "")
            answer = self._slack.answer(method, sender, request.args, body, at)
            return SentAnswer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())
        if not request.headers.get("Authorization", "").startswith(("Bearer ", "token ")):
            return _json(401, {"message": "Requires authentication", "status": "401"})
        if endpoint == "list_comments":
            return self._list(request, request.path)
        try:
            given = json.loads(body)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            return _json(400, {"message": "Problems parsing JSON", "status": "400"})
        if endpoint == "graphql":
            return self._graphql(given, at)
        text = given.get("body")
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_COMMENT:
            error = {"resource": "IssueComment", "field": "body", "code": "unprocessable"}
            return _json(422, {"message": "Validation Failed", "errors": [error], "status": "422"})
        comment = self._add(request.path, text, at)
        shown = _as_rest(comment, self.url)
        return _json(201, shown, {"Location": shown["url"]})

    def _list(self, request: Request, subject: str) -> SentAnswer:
        since = request.args.get("since", "")
        size = min(max(request.args.get("per_page", 30, type=int), 1), 100)
        first = (max(request.args.get("page", 1, type=int), 1) - 1) * size
        found = [c for c in self._comments if c.subject == subject and _instant(c.at) >= since]
        return _json(200, [_as_rest(comment, self.url) for comment in found[first : first + size]])

    def _graphql(self, given: Mapping[str, Any], at: datetime) -> SentAnswer:
        """The mutation and the query that delivery uses; they are told apart by the fields they name."""
        query, variables = str(given.get("query")), given.get("variables")
        variables = variables if isinstance(variables, dict) else {}
        subject = variables.get("subject")
        if not isinstance(subject, str) or not subject:
            return _graphql_error("NOT_FOUND", "Could not resolve to a node with the global id of ''")
        if "addDiscussionComment" in query:
            text = variables.get("body")
            if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_COMMENT:
                return _graphql_error("UNPROCESSABLE", "Body is blank or too long")
            comment = self._add(subject, text, at)
            return _json(
                200, {"data": {"addDiscussionComment": {"comment": {"id": f"DC_local{comment.id}"}}}}
            )
        if "comments(" in query:
            nodes = [{"body": c.body} for c in self._comments if c.subject == subject]
            return _json(200, {"data": {"node": {"comments": {"nodes": nodes[-100:]}}}})
        return _graphql_error("undefinedField", "The outbox knows no such field")

    def _add(self, subject: str, text: str, at: datetime) -> Comment:
        comment = Comment(id=1 + len(self._comments), subject=subject, body=text, at=at)
        self._comments.append(comment)
        return comment

    def _page(self, request: Request) -> Response:
        sent = self.sent
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return Response(_html(sent), mimetype="text/html", headers=_PAGE_HEADERS)
        shown = json.dumps([_as_json(each) for each in sent], indent=2)
        return Response(shown, mimetype="application/json", headers=_PAGE_HEADERS)


def _scripted(status: int, headers: Mapping[str, str] | None, body: Any) -> SentAnswer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return SentAnswer(status, dict(headers or {}), raw)


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> SentAnswer:
    kind = {"Content-Type": "application/json; charset=utf-8", "X-GitHub-Media-Type": "github.v3"}
    return SentAnswer(status, {**kind, **(headers or {})}, json.dumps(value).encode())


def _graphql_error(kind: str, message: str) -> SentAnswer:
    return _json(200, {"data": None, "errors": [{"type": kind, "message": message}]})


def _as_rest(comment: Comment, api: str) -> dict[str, Any]:
    _, _, owner, repo, _, number, _ = comment.subject.split("/")
    return {
        "id": comment.id,
        "node_id": f"IC_local{comment.id}",
        "url": f"{api}/repos/{owner}/{repo}/issues/comments/{comment.id}",
        "html_url": f"{api}/{owner}/{repo}/issues/{number}#issuecomment-{comment.id}",
        "issue_url": f"{api}/repos/{owner}/{repo}/issues/{number}",
        "body": comment.body,
        "user": {"login": "countersign[bot]", "type": "Bot"},
        "created_at": _instant(comment.at),
        "updated_at": _instant(comment.at),
        "author_association": "NONE",
    }


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_json(sent: SentRequest) -> dict[str, Any]:
    return {
        "at": _instant(sent.at),
        "method": sent.method,
        "path": f"{sent.path}?{sent.query}" if sent.query else sent.path,
        "headers": {n: v for n, v in sent.headers.items() if n != "authorization"},
        "body": _readable(sent.body),
        "answer": {"status": sent.answer.status, "body": _readable(sent.answer.body)},
    }


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _html(sent: list[SentRequest]) -> str:
    items = "".join(
        f"<article><b>{escape(each.method)} {escape(each.path)}</b> "
        f"<small>{_instant(each.at)}, answered {each.answer.status}</small>"
        f"<pre>{escape(_words(each.body))}</pre></article>"
        for each in reversed(sent)
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Outbox</title>"
        '<meta name=viewport content="width=device-width">'
        f"<style>{_STYLE}</style><h1>Outbox</h1><p>What was sent, the newest first.</p>"
        f"{items or '<p>Nothing yet.</p>'}"
    )


def _words(body: bytes) -> str:
    """The words of a comment or message, or the whole request where there are none."""
    given = _readable(body)
    fields = given if isinstance(given, dict) else {}
    inner = fields.get("variables") or fields.get("data") or {}
    inner = inner if isinstance(inner, dict) else {}
    text = fields.get("body") or fields.get("text") or inner.get("body") or inner.get("text")
    return text if isinstance(text, str) else body.decode("utf-8", "replace")
