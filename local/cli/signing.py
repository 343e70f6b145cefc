"""What a sender does: the headers with which each signature scheme signs a body, and the sample events."""

import base64
import binascii
import hmac
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from countersign.signatures import sign_standard_webhook

type Headers = dict[str, str]


class Unsendable(ValueError):
    """A file that is no event, or not one that can be sent like this."""


@dataclass(frozen=True)
class Event:
    """A body to send, and the sender's name of its kind where a header has it (`x-github-event`)."""

    body: bytes
    kind: str | None = None


def read_event(content: bytes) -> Event:
    """An event from a file: a body as it is sent, or API Gateway's event around one. Raises Unsendable."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unsendable(f"it is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise Unsendable("it is not a JSON object")
    if "requestContext" not in document:
        return Event(content)
    headers = {name.lower(): value for name, value in document.get("headers", {}).items()}
    body = document.get("body") or ""
    try:
        raw = base64.b64decode(body, validate=True) if document.get("isBase64Encoded") else body.encode()
    except binascii.Error:
        raise Unsendable("its body is not base64") from None
    return Event(raw, headers.get("x-github-event") or headers.get("x-shopify-topic"))


def sign(
    scheme: str,
    secret: str,
    event: Event,
    now: float,
    *,
    kind: str | None = None,
    event_id: str | None = None,
) -> Headers:
    """The headers of one sending. `now` is in Unix seconds, `event_id` the sender's id (a new one without).

    `kind` is what an event of GitHub or Shopify is called; without it the body tells. Raises Unsendable, also
    where the sender's id stands in the body.
    """
    if scheme not in _SIGNERS:
        raise Unsendable(f"nobody here signs as {scheme}")
    if event_id is not None and scheme in _IDS_IN_BODY:
        raise Unsendable(f"its id is the body's {_IDS_IN_BODY[scheme]}: change it there instead of by --id")
    sending = _Sending(secret, event.body, int(now), event_id or str(uuid.uuid4()), kind or event.kind)
    return {"content-type": "application/json", **_SIGNERS[scheme](sending)}


def github_kind(body: bytes) -> str | None:
    """The `x-github-event` of a body, by the objects in it; None where they don't tell."""
    return _kind(_GITHUB_KINDS, body)


def shopify_topic(body: bytes) -> str | None:
    """The `x-shopify-topic` of a body, as `github_kind` tells it."""
    return _kind(_SHOPIFY_TOPICS, body)


def _kind(kinds: Sequence[tuple[str, set[str]]], body: bytes) -> str | None:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for kind, keys in kinds:
        if isinstance(document, dict) and keys <= document.keys():
            return kind
    return None


# The most telling first: a comment's event holds what it comments on as well.
_GITHUB_KINDS: tuple[tuple[str, set[str]], ...] = (
    ("issue_comment", {"issue", "comment"}),
    ("discussion_comment", {"discussion", "comment"}),
    ("pull_request_review_comment", {"pull_request", "comment"}),
    ("pull_request_review", {"pull_request", "review"}),
    ("issues", {"issue"}),
    ("discussion", {"discussion"}),
    ("pull_request", {"pull_request"}),
    ("ping", {"zen"}),
    ("push", {"commits", "ref"}),
)
_SHOPIFY_TOPICS: tuple[tuple[str, set[str]], ...] = (
    ("customers/data_request", {"data_request", "customer"}),
    ("returns/request", {"return_line_items", "order"}),
    ("orders/create", {"line_items", "order_number"}),
)
_IDS_IN_BODY = {"stripe": "id", "slack": "event_id", "zendesk": "id"}


@dataclass(frozen=True)
class _Sending:
    secret: str
    body: bytes
    at: int
    event_id: str
    kind: str | None

    def digest(self, content: bytes) -> bytes:
        return hmac.digest(self.secret.encode(), content, sha256)


def _standard_webhooks(sending: _Sending) -> Headers:
    return sign_standard_webhook(sending.secret, sending.event_id, sending.at, sending.body)


def _github(sending: _Sending) -> Headers:
    kind = sending.kind or github_kind(sending.body)
    if kind is None:
        raise Unsendable("the body does not tell what GitHub event it is: say so with --event")
    return {
        "x-github-event": kind,
        "x-github-delivery": sending.event_id,
        "x-hub-signature-256": f"sha256={sending.digest(sending.body).hex()}",
    }


def _stripe(sending: _Sending) -> Headers:
    digest = sending.digest(b"%d.%s" % (sending.at, sending.body))
    return {"stripe-signature": f"t={sending.at},v1={digest.hex()}"}


def _slack(sending: _Sending) -> Headers:
    digest = sending.digest(b"v0:%d:%s" % (sending.at, sending.body))
    return {
        "x-slack-request-timestamp": str(sending.at),
        "x-slack-signature": f"v0={digest.hex()}",
    }


def _zendesk(sending: _Sending) -> Headers:
    at = datetime.fromtimestamp(sending.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = sending.digest(at.encode() + sending.body)
    return {
        "x-zendesk-webhook-signature-timestamp": at,
        "x-zendesk-webhook-signature": base64.b64encode(digest).decode(),
    }


def _shopify(sending: _Sending) -> Headers:
    topic = sending.kind or shopify_topic(sending.body)
    if topic is None:
        raise Unsendable("the body does not tell what topic of Shopify it is: say so with --event")
    digest = sending.digest(sending.body)
    return {
        "x-shopify-topic": topic,
        "x-shopify-event-id": sending.event_id,
        "x-shopify-webhook-id": str(uuid.uuid4()),
        "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
    }


_SIGNERS: dict[str, Callable[[_Sending], Headers]] = {
    "standard-webhooks": _standard_webhooks,
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "zendesk": _zendesk,
    "shopify": _shopify,
}
