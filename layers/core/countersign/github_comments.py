"""Replies as comments on GitHub. It takes no idempotency key, so a comment is looked for before a second try.

REST for issues, GraphQL for discussions, which answers 200 also where it did nothing. Rate limits of both
kinds are read from their headers (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
"""

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from countersign.answers import Outcome, read_answer, retry_after_s
from countersign.clock import instant
from countersign.models import canonical_json
from countersign.outbound import Answer, Network, PinnedTarget

PAGE = 50
MAX_PAGES = 20
MAX_PAGE_BYTES = 16 * 1_048_576
"""A page of comments of the greatest length GitHub takes (65,536 characters) fits."""
RATE_LIMITED_S = 60
"""What GitHub asks clients to wait at least where a rate limit comes without a time."""
CLOCK_MARGIN = timedelta(minutes=10)

DISCUSSION_COMMENTS = (
    "query Comments($subject: ID!) { node(id: $subject) { ... on Discussion"
    f" {{ comments(last: {PAGE}) {{ nodes {{ body }} }} }} }} }}"
)
_LIMITED = re.compile(rb"rate limit|abuse detection", re.IGNORECASE)
_CODE = re.compile(r"[A-Z_]{1,40}")


@dataclass(frozen=True)
class GitHub:
    """GitHub's API for one attempt. `until` is the attempt's end on `time.monotonic`'s clock."""

    network: Network
    token: str
    until: float
    now: datetime

    def comment_on_issue(self, comments: PinnedTarget, body: dict[str, Any]) -> Outcome:
        """Posts to an issue's comments. Raises NoAnswer, ConfigurationError."""
        return self._read(self._post(comments, body))

    def find_on_issue(self, comments: PinnedTarget, marker: str, since: datetime) -> Outcome | None:
        """Delivered if a comment since then holds the marker; None if none does; else why nobody can tell.

        Raises NoAnswer, ConfigurationError.
        """
        for page in range(1, MAX_PAGES + 1):
            query = {"since": instant(since - CLOCK_MARGIN), "per_page": PAGE, "page": page}
            answer = self.network.get(
                comments.at(f"{comments.url.path}?{urlencode(query)}"),
                self._headers(),
                deadline_s=self._left(),
                max_bytes=MAX_PAGE_BYTES,
            )
            found = _json(answer) if answer.status == HTTPStatus.OK else None
            if not isinstance(found, list):
                return self._unseen(answer)
            if _holds(found, marker):
                return Outcome(outcome="delivered", status=answer.status, reason="found")
            if len(found) < PAGE:
                return None
        return Outcome(outcome="retry", reason="not_looked_through")

    def comment_on_discussion(self, graphql: PinnedTarget, body: dict[str, Any]) -> Outcome:
        """Runs the mutation of `replies.ADD_DISCUSSION_COMMENT`. Raises NoAnswer, ConfigurationError."""
        answer = self._post(graphql, body)
        if answer.status != HTTPStatus.OK:
            return self._read(answer)
        data = _json(answer)
        if _at(data, "data", "addDiscussionComment", "comment", "id"):
            return Outcome(outcome="delivered", status=answer.status)
        return self._graphql_failure(answer, data)

    def find_on_discussion(self, graphql: PinnedTarget, subject: str, marker: str) -> Outcome | None:
        """As `find_on_issue`, among the last comments. Raises NoAnswer, ConfigurationError."""
        answer = self._post(
            graphql, {"query": DISCUSSION_COMMENTS, "variables": {"subject": subject}}, MAX_PAGE_BYTES
        )
        data = _json(answer) if answer.status == HTTPStatus.OK else None
        found = _at(data, "data", "node", "comments", "nodes")
        if not isinstance(found, list):
            return self._unseen(answer) if data is None else self._graphql_failure(answer, data)
        if _holds(found, marker):
            return Outcome(outcome="delivered", status=answer.status, reason="found")
        return None

    def _post(self, target: PinnedTarget, body: dict[str, Any], max_bytes: int = 1_048_576) -> Answer:
        headers = {**self._headers(), "Content-Type": "application/json"}
        return self.network.post(
            target, canonical_json(body), headers, deadline_s=self._left(), max_bytes=max_bytes
        )

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def _left(self) -> float:
        return self.until - time.monotonic()

    def _read(self, answer: Answer) -> Outcome:
        outcome = read_answer(answer, self.now)
        limited = answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS} and _LIMITED.search(
            answer.body
        )
        if outcome.outcome == "retry" and limited:
            return _slower(outcome)
        return outcome

    def _unseen(self, answer: Answer) -> Outcome:
        """A list that cannot be read proves nothing, so nothing is sent this time."""
        outcome = self._read(answer)
        if outcome.outcome == "delivered":
            return Outcome(outcome="retry", status=answer.status, reason="unreadable")
        return outcome

    def _graphql_failure(self, answer: Answer, data: Any) -> Outcome:
        errors = _at(data, "errors")
        code = _at(errors[0], "type") if isinstance(errors, list) and errors else None
        outcome = Outcome(
            outcome="retry",
            status=answer.status,
            retry_after_s=retry_after_s(answer.headers, self.now),
            reason=code if isinstance(code, str) and _CODE.fullmatch(code) else "unreadable",
        )
        return _slower(outcome) if code == "RATE_LIMITED" else outcome


def _slower(outcome: Outcome) -> Outcome:
    return outcome.model_copy(update={"retry_after_s": outcome.retry_after_s or RATE_LIMITED_S})


def _json(answer: Answer) -> Any:
    """None where the body is cut off or no JSON."""
    try:
        return json.loads(answer.body) if answer.complete else None
    except (ValueError, RecursionError):
        return None


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _holds(comments: list[Any], marker: str) -> bool:
    return any(marker in str(_at(comment, "body") or "") for comment in comments)
