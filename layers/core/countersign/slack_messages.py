"""Replies as messages in a thread of Slack. It takes no idempotency key, so a message is looked for by its
metadata before a second try.

Slack answers 200 also where it did nothing: what counts is `ok`, and `error` where it is false
(https://docs.slack.dev/reference/methods/chat.postMessage).
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
from countersign.models import canonical_json
from countersign.outbound import Answer, Network, PinnedTarget
from countersign.replies import LONGEST, SLACK_METADATA

PAGE = 100
MAX_PAGES = 20
MAX_PAGE_BYTES = 16 * 1_048_576
RATE_LIMITED_S = 30
"""What we wait at least where Slack says to slow down, but not for how long."""
CLOCK_MARGIN = timedelta(minutes=10)

# Trying again would change nothing. Everything else may pass, or an operator can mend it while we try: the
# bot is not in the channel, the token was withdrawn or lacks a scope, Slack itself is in trouble.
_PERMANENT = frozenset(
    {
        "cannot_reply_to_message",
        "channel_not_found",
        "invalid_arguments",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "is_archived",
        "message_not_found",
        "metadata_too_large",
        "msg_too_long",
        "no_text",
        "thread_not_found",
    }
)
_REFUSED = frozenset({"invalid_auth", "not_authed", "token_expired", "token_revoked", "account_inactive"})
_LIMITED = frozenset({"ratelimited", "rate_limited"})
_CODE = re.compile(r"[a-z_]{1,60}")


@dataclass(frozen=True)
class Slack:
    """Slack's API for one attempt. `until` is the attempt's end on `time.monotonic`'s clock.

    `api` is resolved from the configured address, whose path the methods' names are added to.
    """

    network: Network
    api: PinnedTarget
    token: str
    until: float
    now: datetime

    def post_message(self, message: dict[str, Any]) -> Outcome:
        """Posts a message of `replies.compose_reply`. Raises NoAnswer, ConfigurationError."""
        if len(message["text"]) > LONGEST["slack_thread"]:
            # Slack would cut it off, and half is not what was signed.
            return Outcome(outcome="failed", reason="msg_too_long")
        headers = {**self._headers(), "Content-Type": "application/json; charset=utf-8"}
        answer = self.network.post(
            self._method("chat.postMessage"), canonical_json(message), headers, deadline_s=self._left()
        )
        given = _given(answer)
        if answer.status == HTTPStatus.OK and given.get("ok") is True:
            return Outcome(outcome="delivered", status=answer.status)
        return self._failure(answer, given)

    def find_message(self, address: str, delivery_id: str, since: datetime) -> Outcome | None:
        """Delivered if a reply in the thread since then has the id; None if none does; else why nobody can
        tell. Raises NoAnswer, ConfigurationError.
        """
        channel, _, thread = address.partition("/")
        query: dict[str, Any] = {
            "channel": channel,
            "ts": thread,
            "oldest": f"{(since - CLOCK_MARGIN).timestamp():.6f}",
            "include_all_metadata": "true",
            "limit": PAGE,
        }
        for _ in range(MAX_PAGES):
            answer = self.network.get(
                self._method(f"conversations.replies?{urlencode(query)}"),
                self._headers(),
                deadline_s=self._left(),
                max_bytes=MAX_PAGE_BYTES,
            )
            given = _given(answer)
            messages = given.get("messages")
            if (
                answer.status != HTTPStatus.OK
                or given.get("ok") is not True
                or not isinstance(messages, list)
            ):
                return self._failure(answer, given)
            if any(_delivery_id(message) == delivery_id for message in messages):
                return Outcome(outcome="delivered", status=answer.status, reason="found")
            cursor = _at(given, "response_metadata", "next_cursor")
            if not isinstance(cursor, str) or not cursor:
                return None
            query["cursor"] = cursor
        return Outcome(outcome="retry", reason="not_looked_through")

    def _method(self, name: str) -> PinnedTarget:
        return self.api.at(f"{self.api.url.path.rstrip('/')}/{name}")

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}

    def _left(self) -> float:
        return self.until - time.monotonic()

    def _failure(self, answer: Answer, given: dict[str, Any]) -> Outcome:
        """A list that cannot be read proves nothing, so nothing is sent after it either."""
        code = given.get("error")
        reason = code if isinstance(code, str) and _CODE.fullmatch(code) else "unreadable"
        if reason in _PERMANENT:
            return Outcome(outcome="failed", status=answer.status, reason=reason)
        wait = retry_after_s(answer.headers, self.now)
        if reason in _LIMITED or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = wait or RATE_LIMITED_S
        outcome = read_answer(answer, self.now)
        if outcome.outcome == "failed":
            return outcome
        return Outcome(outcome="retry", status=answer.status, retry_after_s=wait, reason=reason)


def token_refused(outcome: Outcome) -> bool:
    """Whether Slack did not take the token: it may have been replaced."""
    return outcome.status == HTTPStatus.UNAUTHORIZED or outcome.reason in _REFUSED


def _given(answer: Answer) -> dict[str, Any]:
    """What the answer's body holds; nothing where it is cut off or no JSON object."""
    try:
        given = json.loads(answer.body) if answer.complete else None
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _delivery_id(message: Any) -> Any:
    if _at(message, "metadata", "event_type") != SLACK_METADATA:
        return None
    return _at(message, "metadata", "event_payload", "delivery_id")


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
