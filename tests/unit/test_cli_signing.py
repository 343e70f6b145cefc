"""What `send` sends: every scheme's signature as the receiver verifies it, and events out of files."""

import base64
import json

import pytest

from countersign.signatures import SCHEMES, verify
from local.cli.signing import Event, Unsendable, github_kind, read_event, shopify_topic, sign

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
NOW = 1_790_000_000.25
BODY = json.dumps({"action": "opened", "issue": {"title": "Ümlaut"}}).encode()
ORDER = json.dumps({"line_items": [], "order_number": 7}).encode()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_receiver_accepts_what_is_signed(scheme: str) -> None:
    body = ORDER if scheme == "shopify" else BODY
    headers = sign(scheme, SECRET, Event(body), NOW)
    verify(scheme, headers, body, [SECRET], NOW)
    assert headers["content-type"] == "application/json"


def test_an_unknown_scheme_is_said() -> None:
    with pytest.raises(Unsendable, match="signs as morse"):
        sign("morse", SECRET, Event(BODY), NOW)


def test_ids_are_new_unless_given() -> None:
    ids = {sign("github", SECRET, Event(BODY), NOW)["x-github-delivery"] for _ in range(2)}
    assert len(ids) == 2
    again = sign("standard-webhooks", SECRET, Event(BODY), NOW, event_id="msg_1")
    assert again["webhook-id"] == "msg_1"


@pytest.mark.parametrize(("scheme", "place"), [("stripe", "id"), ("slack", "event_id"), ("zendesk", "id")])
def test_an_id_in_the_body_is_not_given_beside_it(scheme: str, place: str) -> None:
    with pytest.raises(Unsendable, match=f"its id is the body's {place}"):
        sign(scheme, SECRET, Event(BODY), NOW, event_id="evt_1")


@pytest.mark.parametrize(
    ("keys", "topic"),
    [
        ({"line_items": [], "order_number": 7, "customer": {}}, "orders/create"),
        ({"return_line_items": [], "order": {}}, "returns/request"),
        ({"data_request": {}, "customer": {}}, "customers/data_request"),
        ({"line_items": []}, None),
    ],
)
def test_a_body_of_shopify_tells_its_topic(keys: object, topic: str | None) -> None:
    assert shopify_topic(json.dumps(keys).encode()) == topic


def test_a_topic_that_nobody_tells_is_asked_for() -> None:
    with pytest.raises(Unsendable, match="--event"):
        sign("shopify", SECRET, Event(BODY), NOW)
    headers = sign("shopify", SECRET, Event(BODY), NOW, kind="orders/paid", event_id="e-1")
    assert (headers["x-shopify-topic"], headers["x-shopify-event-id"]) == ("orders/paid", "e-1")


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"action": "opened", "issue": {}}, "issues"),
        ({"action": "created", "issue": {}, "comment": {}}, "issue_comment"),
        ({"action": "created", "discussion": {}}, "discussion"),
        ({"action": "created", "discussion": {}, "comment": {}}, "discussion_comment"),
        ({"action": "opened", "pull_request": {}}, "pull_request"),
        ({"zen": "Keep it logically awesome.", "hook_id": 1}, "ping"),
        ({"action": "started"}, None),
        ([], None),
    ],
)
def test_a_github_body_tells_its_kind(keys: object, kind: str | None) -> None:
    assert github_kind(json.dumps(keys).encode()) == kind


def test_the_kind_comes_from_who_says_it_most_plainly() -> None:
    said = Event(BODY, "issues")
    assert sign("github", SECRET, said, NOW, kind="label")["x-github-event"] == "label"
    assert sign("github", SECRET, said, NOW)["x-github-event"] == "issues"
    with pytest.raises(Unsendable, match="--event"):
        sign("github", SECRET, Event(b'{"action": "started"}'), NOW)


def test_a_body_is_sent_as_it_stands_in_the_file() -> None:
    content = b'{"b": 1,  "a": "\xc3\xbc"}\n'
    assert read_event(content) == Event(content)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_event_of_api_gateway_gives_its_body(encoded: bool) -> None:
    body = base64.b64encode(BODY).decode() if encoded else BODY.decode()
    event = {
        "version": "2.0",
        "requestContext": {},
        "headers": {"X-GitHub-Event": "issues"},
        "body": body,
        "isBase64Encoded": encoded,
    }
    assert read_event(json.dumps(event).encode()) == Event(BODY, "issues")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"requestContext": {}, "body": "*", "isBase64Encoded": true}', "not base64"),
    ],
)
def test_what_is_no_event_is_said(content: bytes, says: str) -> None:
    with pytest.raises(Unsendable, match=says):
        read_event(content)
