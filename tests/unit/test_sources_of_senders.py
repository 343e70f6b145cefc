"""The sources of Slack, Stripe, Zendesk and Shopify: what opens a case, what does not, what is refused."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from countersign.errors import InvalidRequest
from countersign.models import Request
from countersign.sources import Challenged, Ignored, event_key, load_source, read_event
from tests.unit.senders import GITHUB_API, REPLY_URL, SOURCES, sample

Json = dict[str, Any]
Change = Callable[[Json], Any]
AT = "2026-11-02T09:30:02.000Z"
THREAD = "C0LAN2Q65/1793611799.000200"
PAYMENT = "pi_3SQwuRLkdIwHu7ix1hIjKlMn"


def read(event: Json, change: Change | None = None, **options: Any) -> Request | Ignored | Challenged:
    body = json.loads(event["body"])
    if change:
        change(body)
    source = load_source(event["pathParameters"]["source"], SOURCES)
    options = {"reply_url": REPLY_URL, **options}
    return read_event(source, event["headers"], json.dumps(body).encode(), AT, GITHUB_API, **options)


def opened(event: Json, change: Change | None = None, **options: Any) -> Request:
    request = read(event, change, **options)
    assert isinstance(request, Request), request
    return request


@pytest.mark.parametrize(
    ("name", "event_id", "subject", "text", "author", "thread", "address"),
    [
        (
            "slack_app_mention",
            "1793611799.000200",
            "Mention in Slack channel C0LAN2Q65",
            "<@U07R0COUNTR> How often is the delivery of a signed reply tried,"
            " and is it retried for > 1 day?",
            "U0G9QF9C6",
            f"T024BE7LD/{THREAD}",
            THREAD,
        ),
        (
            "slack_mention_in_thread",
            "1793611860.000400",
            "Mention in Slack channel C0LAN2Q65",
            "<@U07R0COUNTR> and what happens after the last try?",
            "U0G9QF9C6",
            f"T024BE7LD/{THREAD}",
            THREAD,
        ),
        (
            "slack_direct_message",
            "1793611790.000100",
            "Direct message in Slack",
            "How long does an approval wait before it expires?",
            "U0G9QF9C6",
            "T024BE7LD/D024BE91L/1793611790.000100",
            "D024BE91L/1793611790.000100",
        ),
        (
            "stripe_early_fraud_warning",
            "issfr_1SQxAbLkdIwHu7ixQwErTyUi",
            "Early fraud warning (made_with_stolen_card)",
            "A card issuer warns that a payment may be fraudulent. Should it be refunded before"
            " it is disputed?"
            f"\n\nType: made_with_stolen_card\nCharge: ch_3SQwuRLkdIwHu7ix1aBcDeFg\nPayment: {PAYMENT}",
            "Stripe",
            PAYMENT,
            REPLY_URL,
        ),
        (
            "zendesk_comment_added",
            "5158",
            "Are replies retried?",
            "And what happens after the last try?",
            "A. Reader",
            "5158",
            REPLY_URL,
        ),
        (
            "shopify_order_with_note",
            "5196695273621",
            "Note on order #1106",
            "Please send it after 9 November, I am away until then. Is that possible, and is a gift box?"
            "\n\nOrder: #1106, 48.80 EUR\nItems: 2 x Notebook, ruled",
            "reader@example.com",
            "5196695273621",
            REPLY_URL,
        ),
        (
            "shopify_return_requested",
            "2147483650",
            "Return #1106-R1 was asked for",
            "A customer asks to return items. Is the return approved or declined, and what"
            " is the customer told?"
            "\n\n1 x line item 12695210000533, reason: defective, note: Half of the pages are blank.",
            "customer of order 5196695273621",
            "5196695273621",
            REPLY_URL,
        ),
        (
            "shopify_data_request",
            "9999",
            "Request for customer data (example-shop.myshopify.com)",
            "A customer asks for the data that is kept of them: it has to be given to the shop within"
            " 30 days."
            "\n\nOrders asked for: 5196695273621, 5196695273000",
            "reader@example.com",
            "7029431102139",
            REPLY_URL,
        ),
    ],
)
def test_what_opens_a_case(
    name: str, event_id: str, subject: str, text: str, author: str, thread: str, address: str
) -> None:
    request = opened(sample(name))
    assert (request.event_id, request.subject, request.text) == (event_id, subject, text)
    assert (request.author, request.thread, request.destination.address) == (author, thread, address)
    slack = name.startswith("slack")
    assert request.destination.channel == ("slack_thread" if slack else "callback")


@pytest.mark.parametrize(
    ("name", "says", "event_id", "link"),
    [
        ("stripe_dispute_created", "4900 eur", "du_1SQx9cLkdIwHu7ixT4a7eVbN", "disputes/du_1SQx9c"),
        (
            "stripe_review_opened",
            "approved or refunded",
            "prv_1SQxBaLkdIwHu7ixPoIuYtRe",
            "payments/pi_3SQxB9",
        ),
        ("stripe_refund_failed", "1900 eur", "re_3SQwuRLkdIwHu7ix1rStUvWx", "payments/pi_3SQwuR"),
        ("zendesk_ticket_created", "how often is the delivery", "5158", None),
    ],
)
def test_what_else_opens_a_case(name: str, says: str, event_id: str, link: str | None) -> None:
    request = opened(sample(name))
    assert says.lower() in request.text.lower()
    assert request.event_id == event_id
    assert (request.link is None) if link is None else (link in str(request.link))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("slack_own_message", None, "it is a bot's message"),
        ("slack_message_changed", None, "it is an edit of a message"),
        ("slack_app_mention", lambda b: b["event"].update(bot_id="B1"), "it is a bot's message"),
        ("slack_direct_message", lambda b: b["event"].update(user="USLACKBOT"), "it is a bot's message"),
        (
            "slack_app_mention",
            lambda b: b["event"].update(edited={}, hidden=True),
            "it is an edit of a message",
        ),
        (
            "slack_direct_message",
            lambda b: b["event"].update(subtype="channel_join"),
            "of messages only what somebody wrote opens a case",
        ),
        (
            "slack_direct_message",
            lambda b: b["event"].update(channel_type="channel"),
            "of messages only direct ones with a text open a case",
        ),
        ("slack_app_mention", lambda b: b["event"].update(text=""), "there is no text in it"),
        (
            "slack_app_mention",
            lambda b: b["event"].update(type="pin_added"),
            "events of this type open no case",
        ),
        (
            "slack_app_mention",
            lambda b: (b.pop("event"), b.update(type="app_rate_limited")),
            "events of this type",
        ),
        ("stripe_payment_succeeded", None, "events of this type open no case"),
        (
            "stripe_early_fraud_warning",
            lambda b: b["data"]["object"].update(actionable=False),
            "nothing can be done about it any more",
        ),
        ("zendesk_first_comment", None, "of comments only later public ones"),
        ("zendesk_agent_comment", None, "of comments only later public ones"),
        (
            "zendesk_comment_added",
            lambda b: b["event"]["comment"].update(is_public=False),
            "of comments only later public ones",
        ),
        ("zendesk_ticket_created", lambda b: b["detail"].update(is_public=False), "of tickets only those"),
        ("shopify_order_without_note", None, "of orders only those with a note open a case"),
    ],
)
def test_what_opens_none_says_why(name: str, change: Change | None, reason: str) -> None:
    # Also where the operator has not said yet where replies go.
    read_as = read(sample(name), change, reply_url=None)
    assert isinstance(read_as, Ignored)
    assert read_as.reason.startswith(reason)


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast"])
def test_what_somebody_wrote_beside_a_file_or_to_all_opens_a_case(subtype: str) -> None:
    opened(sample("slack_direct_message"), lambda body: body["event"].update(subtype=subtype))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("slack_app_mention", lambda b: b["event"].pop("text"), "event.text is missing"),
        (
            "slack_app_mention",
            lambda b: b["event"].update(text=["a"]),
            "event.text is not of the type string",
        ),
        ("slack_app_mention", lambda b: b["event"].update(channel="C1/../x"), "not what its channel needs"),
        (
            "slack_app_mention",
            lambda b: b["event"].update(thread_ts="1793611799.0002/x"),
            "not what its channel",
        ),
        ("slack_app_mention", lambda b: b["event"].update(ts=7), "wrong types"),
        ("stripe_dispute_created", lambda b: b.pop("data"), "data.object is missing"),
        ("stripe_dispute_created", lambda b: b["data"]["object"].update(reason=None), "wrong types"),
        ("zendesk_ticket_created", lambda b: b.pop("detail"), "detail is missing"),
        ("shopify_order_with_note", lambda b: b.pop("line_items"), "line_items is missing"),
        ("shopify_return_requested", lambda b: b.update(order=None), "order is missing"),
    ],
)
def test_an_event_of_another_shape_is_refused_with_the_field(name: str, change: Change, says: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(says)):
        read(sample(name), change)


def test_a_case_is_renamed_by_no_header_of_a_sender_that_signs_its_id() -> None:
    signs = {
        name: load_source(name, SOURCES).signs_event_key for name in ("slack", "stripe", "zendesk", "shopify")
    }
    assert signs == {"slack": True, "stripe": True, "zendesk": True, "shopify": False}
    retried = sample("slack_mention_in_thread")
    assert retried["headers"]["x-slack-retry-num"] == "1"
    source = load_source("slack", SOURCES)
    assert event_key(source, retried["headers"], retried["body"].encode()) == "Ev07RJ4R2H7C"


class TestEscapedText:
    @pytest.mark.parametrize(
        ("sent", "meant"),
        [
            ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
            ("how to write &amp;lt;?", "how to write &lt;?"),
            ("<@U07R0COUNTR> &copy;", "<@U07R0COUNTR> &copy;"),
        ],
    )
    def test_is_read_as_it_was_typed(self, sent: str, meant: str) -> None:
        request = opened(sample("slack_app_mention"), lambda body: body["event"].update(text=sent))
        assert request.text == meant

    def test_only_where_the_sender_escapes(self) -> None:
        text = opened(
            sample("zendesk_ticket_created"), lambda b: b["detail"].update(description="&lt;b&gt;")
        ).text
        assert text == "&lt;b&gt;"


class TestChallenge:
    EVENT = sample("slack_url_verification")

    def test_is_echoed(self) -> None:
        assert read(self.EVENT) == Challenged("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")

    @pytest.mark.parametrize(
        "challenge",
        ["<script>alert(1)</script>", "a b", "a\r\nset-cookie: x", "é", "", "x" * 257, 7, None, ["a"]],
    )
    def test_is_a_short_token_or_refused(self, challenge: Any) -> None:
        with pytest.raises(InvalidRequest, match="challenge"):
            read(self.EVENT, lambda body: body.update(challenge=challenge))


class TestReplyUrl:
    @pytest.mark.parametrize(
        "name", ["stripe_dispute_created", "zendesk_ticket_created", "shopify_data_request"]
    )
    def test_must_be_there(self, name: str) -> None:
        source = name.partition("_")[0]
        says = f"there is nowhere to reply to: the secret of source {source} has no reply_url"
        with pytest.raises(InvalidRequest, match=says):
            read(sample(name), reply_url=None)

    @pytest.mark.parametrize(
        "url",
        ["http://desk.example.com/", "https://10.0.0.1/", "https://desk.internal/", "https://a@b.example/"],
    )
    def test_is_held_to_the_policy_of_all_addresses(self, url: str) -> None:
        with pytest.raises(InvalidRequest, match=re.escape("the reply address (reply_url) cannot be used")):
            read(sample("stripe_dispute_created"), reply_url=url)

    def test_is_loopback_only_where_that_is_allowed(self) -> None:
        local = "http://127.0.0.1:9000/replies"
        with pytest.raises(InvalidRequest):
            read(sample("stripe_dispute_created"), reply_url=local)
        request = opened(sample("stripe_dispute_created"), reply_url=local, allow_loopback=True)
        assert request.destination.address == local

    def test_changes_nothing_where_events_name_their_address(self) -> None:
        assert opened(sample("webhook_case_opened")).destination.address == "https://help.example.com/replies"
