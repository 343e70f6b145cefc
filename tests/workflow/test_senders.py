"""A case of each sender, end to end: its sample event comes in, a person approves, its reply goes out."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from countersign.replies import SLACK_METADATA
from countersign.signatures import verify
from local.cli.signing import read_event, sign
from tests.unit.senders import SAMPLES
from tests.workflow.conftest import Answer, Desk

THREAD = {"channel": "C0LAN2Q65", "thread_ts": "1793611799.000200"}


def send(desk: Desk, name: str, source: str) -> Answer:
    """What a sample event is answered, signed as its sender does."""
    event = read_event((SAMPLES / f"{name}.json").read_bytes())
    scheme = "standard-webhooks" if source == "webhook" else source
    headers = sign(scheme, desk.app.secret(source), event, desk.stack.clock.now(), kind=event.kind)
    return desk.stack.request("POST", f"/webhooks/{source}", headers=headers, body=event.body)


def opened(desk: Desk, name: str, source: str) -> str:
    answer = send(desk, name, source)
    assert answer.status == 202, answer.body
    case_id: str = answer.json()["case_id"]
    desk.waiting(case_id)
    return case_id


def approve(desk: Desk, case_id: str) -> dict[str, Any]:
    card = desk.card(case_id)
    if card["draft"]["text"].strip():
        assert desk.decide(case_id, "approve").status == 200
    else:
        assert desk.decide(case_id, "edit", text="A person wrote this.").status == 200
    desk.until_status(case_id, "delivered", days=1)
    return card


@pytest.mark.parametrize(
    ("name", "source", "event_id"),
    [
        ("stripe_dispute_created", "stripe", "du_1SQx9cLkdIwHu7ixT4a7eVbN"),
        ("zendesk_ticket_created", "zendesk", "5158"),
        ("shopify_order_with_note", "shopify", "5196695273621"),
    ],
)
def test_a_reply_to_a_fixed_address_is_signed_with_its_own_secret(
    desk: Desk, name: str, source: str, event_id: str
) -> None:
    case_id = opened(desk, name, source)
    assert desk.card(case_id)["destination"] == {
        "channel": "callback",
        "address": desk.app.outbox.replies_url,
        "off_since": None,
    }
    approve(desk, case_id)
    (sent,) = desk.app.outbox.sent
    assert sent.path == "/replies"
    reply = json.loads(sent.body)
    assert (reply["type"], reply["data"]["id"]) == ("case.replied", event_id)
    verify(
        "standard-webhooks",
        sent.headers,
        sent.body,
        [desk.app.reply_secret(source)],
        float(sent.headers["webhook-timestamp"]),
    )
    assert send(desk, name, source).json() == {
        "case_id": case_id,
        "status_url": f"/cases/{case_id}",
        "duplicate": True,
    }


def test_a_mention_in_slack_is_answered_in_its_thread(desk: Desk) -> None:
    case_id = opened(desk, "slack_app_mention", "slack")
    assert desk.card(case_id)["destination"] == {
        "channel": "slack_thread",
        "address": "C0LAN2Q65/1793611799.000200",
        "off_since": None,
    }
    card = approve(desk, case_id)
    (message,) = desk.app.outbox.messages
    assert (message.channel, message.thread_ts) == (THREAD["channel"], THREAD["thread_ts"])
    assert message.metadata == {
        "event_type": SLACK_METADATA,
        "event_payload": {"delivery_id": card["approval_id"]},
    }
    read = message.text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert read == card["will_send"]
    (sent,) = desk.app.outbox.sent
    posted = json.loads(sent.body)
    assert (posted["unfurl_links"], posted["unfurl_media"], posted["mrkdwn"]) == (False, False, False)


def test_a_message_whose_answer_was_lost_is_looked_for_and_not_posted_twice(desk: Desk) -> None:
    case_id = opened(desk, "slack_mention_in_thread", "slack")
    outbox = desk.app.outbox
    outbox.lose_next_answer(200, body={"ok": False, "error": "internal_error"})
    approve(desk, case_id)
    assert len(outbox.messages) == 1
    assert [sent.path.rpartition("/")[2] for sent in outbox.sent] == [
        "chat.postMessage",
        "conversations.replies",
    ]
    query = parse_qs(outbox.sent[1].query)
    assert query["ts"] == [THREAD["thread_ts"]]
    assert query["include_all_metadata"] == ["true"]


def test_slack_is_waited_for_as_long_as_it_asks(desk: Desk) -> None:
    case_id = opened(desk, "slack_direct_message", "slack")
    outbox = desk.app.outbox
    outbox.answer_next(429, {"Retry-After": "90"}, {"ok": False, "error": "ratelimited"})
    before = desk.stack.clock.now()
    approve(desk, case_id)
    assert desk.stack.clock.now() - before >= 90
    assert len(outbox.messages) == 1


def test_slack_is_shown_the_challenge_and_nothing_is_kept(desk: Desk) -> None:
    answer = send(desk, "slack_url_verification", "slack")
    assert (answer.status, answer.json()) == (
        200,
        {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"},
    )
