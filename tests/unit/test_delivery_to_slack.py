"""Delivery to Slack: what is posted, what Slack's answers mean, and that nothing is posted twice."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from moto import mock_aws

from countersign.answers import Outcome
from countersign.decisions import Proposal
from countersign.models import Destination
from countersign.outbound import Answer, NoAnswer
from countersign.replies import LONGEST, compose_reply
from countersign.slack_messages import RATE_LIMITED_S, Slack
from tests.unit.deliveries import APPROVAL, DECIDED, REF, Desk, FakeSecrets, answer

SLACK = Destination(channel="slack_thread", address="C0LAN2Q65/1793611799.000200", source="slack")
POST = "https://slack.com/api/chat.postMessage"
METADATA = {"event_type": "countersign_reply", "event_payload": {"delivery_id": APPROVAL}}
POSTED = answer(200, {"ok": True, "channel": "C0LAN2Q65", "ts": "1793611900.000100"})


def error(code: str, status: int = 200, **headers: str) -> Answer:
    return answer(status, {"ok": False, "error": code}, **headers)


def replies(*messages: dict[str, Any], cursor: str = "") -> Answer:
    parent = {"type": "message", "user": "U0G9QF9C6", "text": "?", "ts": "1793611799.000200"}
    page = {"ok": True, "messages": [parent, *messages], "response_metadata": {"next_cursor": cursor}}
    return answer(200, page)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with mock_aws():
        desk = Desk()
        desk.secrets.token = "xoxb-token\n"
        desk.sign(SLACK)
        yield desk


def test_a_first_attempt_posts_at_once_into_the_thread(desk: Desk) -> None:
    assert desk.deliver(POSTED) == Outcome(outcome="delivered", status=200)
    (sent,) = desk.network.sent
    assert (sent.method, sent.url) == ("POST", POST)
    assert sent.headers["Authorization"] == "Bearer xoxb-token"
    assert sent.json() == {
        "channel": "C0LAN2Q65",
        "thread_ts": "1793611799.000200",
        "text": "It is tried ten times. [1]",
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": METADATA,
    }


def test_the_message_goes_to_the_configured_api_alone(desk: Desk) -> None:
    desk.courier = desk.another_courier(slack_api_url="https://slack-gov.com/api/")
    assert desk.deliver(POSTED).outcome == "delivered"
    assert desk.network.sent[0].url == "https://slack-gov.com/api/chat.postMessage"


def composed(desk: Desk, text: str) -> dict[str, Any]:
    """The message of the signed proposal, had it another text."""
    (approval,) = desk.ledger.history(REF)[2]
    proposal = Proposal.model_validate_json(desk.files.get(str(approval.signed_key)))
    changed = proposal.model_copy(update={"text": text})
    return compose_reply(changed, "", "https://slack.com/api", "maria", "2026-09-21T13:29:00.000Z").body


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("<!channel> urgent", "&lt;!channel&gt; urgent"),
        ("<https://evil.example|https://bank.example>", "&lt;https://evil.example|https://bank.example&gt;"),
        ("a & b < c > d", "a &amp; b &lt; c &gt; d"),
        ("&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;"),
        ("*bold* `code` @here", "*bold* `code` @here"),
    ],
)
def test_nothing_in_the_text_is_markup(desk: Desk, text: str, sent: str) -> None:
    assert composed(desk, text)["text"] == sent


@pytest.mark.parametrize(
    "code",
    ["channel_not_found", "is_archived", "msg_too_long", "thread_not_found", "cannot_reply_to_message"],
)
def test_what_no_later_try_could_change_ends_it(desk: Desk, code: str) -> None:
    assert desk.deliver(error(code)) == Outcome(outcome="failed", status=200, reason=code)


@pytest.mark.parametrize(
    "code", ["not_in_channel", "missing_scope", "internal_error", "fatal_error", "service_unavailable"]
)
def test_what_may_pass_or_be_mended_is_tried_again(desk: Desk, code: str) -> None:
    assert desk.deliver(error(code)) == Outcome(outcome="retry", status=200, reason=code)
    assert desk.secrets.refreshed == []


@pytest.mark.parametrize(
    "given",
    [
        error("invalid_auth"),
        error("token_revoked"),
        error("account_inactive"),
        error("not_authed", status=401),
    ],
)
def test_a_refused_token_is_read_again_for_the_next_attempt(desk: Desk, given: Answer) -> None:
    assert desk.deliver(given).outcome == "retry"
    assert desk.secrets.refreshed == ["slack"]


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (error("ratelimited", status=429, retry_after="90"), 90),
        (error("ratelimited", status=429), RATE_LIMITED_S),
        (error("rate_limited"), RATE_LIMITED_S),
        (answer(429, b"<html>", retry_after="5"), 5),
        (error("internal_error", status=503, retry_after="7"), 7),
    ],
)
def test_slack_s_rate_limits_are_waited_for(desk: Desk, given: Answer, wait: int) -> None:
    outcome = desk.deliver(given)
    assert (outcome.outcome, outcome.retry_after_s) == ("retry", wait)


@pytest.mark.parametrize(
    "given",
    [
        answer(200, b"<html>"),
        answer(200, b"[]"),
        answer(200, {"ok": "true"}),
        answer(200, {"ok": False}),
        answer(200, {"ok": False, "error": "You have <b>failed</b>"}),
        answer(200, b"[" * 100_000),
        Answer(200, {}, b'{"ok": true}', complete=False),
        answer(302, b"", location="https://elsewhere.example/"),
        answer(500),
    ],
)
def test_an_answer_that_says_nothing_is_no_delivery(desk: Desk, given: Answer) -> None:
    outcome = desk.deliver(given)
    assert (outcome.outcome, outcome.status, outcome.reason) == ("retry", given.status, "unreadable")


@pytest.mark.parametrize("lost", [NoAnswer("broken"), NoAnswer("timed_out"), error("internal_error")])
def test_a_message_is_looked_for_before_it_is_posted_again(desk: Desk, lost: Any) -> None:
    assert desk.deliver(lost).outcome == "retry"
    found = replies({"bot_id": "B1", "text": "It is tried ten times. [1]", "metadata": METADATA})
    assert desk.deliver(found, attempt=2) == Outcome(outcome="delivered", status=200, reason="found")
    look = desk.network.sent[1]
    query = {name: values[0] for name, values in parse_qs(urlsplit(look.url).query).items()}
    assert (look.method, urlsplit(look.url).path) == ("GET", "/api/conversations.replies")
    assert (query["channel"], query["ts"]) == ("C0LAN2Q65", "1793611799.000200")
    assert query["include_all_metadata"] == "true"
    assert float(query["oldest"]) == DECIDED.timestamp() - 600


@pytest.mark.parametrize(
    "other",
    [
        {"text": "It is tried ten times. [1]"},
        {"metadata": {"event_type": "countersign_reply", "event_payload": {"delivery_id": "c-other-a1"}}},
        {"metadata": {"event_type": "task_created", "event_payload": {"delivery_id": APPROVAL}}},
        {"metadata": "countersign_reply"},
    ],
)
def test_a_message_that_is_not_there_is_posted(desk: Desk, other: dict[str, Any]) -> None:
    desk.deliver(NoAnswer("broken"))
    assert desk.deliver(replies(other), POSTED, attempt=2).outcome == "delivered"
    assert [sent.method for sent in desk.network.sent] == ["POST", "GET", "POST"]


def test_a_thread_is_looked_through_page_by_page(desk: Desk) -> None:
    desk.deliver(NoAnswer("broken"))
    pages = [replies(cursor="bmV4dDox&x"), replies({"metadata": METADATA})]
    assert desk.deliver(*pages, attempt=2).reason == "found"
    assert parse_qs(urlsplit(desk.network.sent[2].url).query)["cursor"] == ["bmV4dDox&x"]


def test_a_thread_without_an_end_is_given_up_for_this_time(desk: Desk) -> None:
    desk.deliver(NoAnswer("broken"))
    outcome = desk.deliver(*[replies(cursor="again")] * 20, attempt=2)
    assert outcome == Outcome(outcome="retry", reason="not_looked_through")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (error("missing_scope"), "missing_scope"),
        (answer(200, {"ok": True}), "unreadable"),
        (answer(500), "unreadable"),
        (error("ratelimited", status=429), "ratelimited"),
    ],
)
def test_nothing_is_posted_where_nobody_can_tell_whether_it_is_there(
    desk: Desk, given: Answer, reason: str
) -> None:
    desk.deliver(NoAnswer("broken"))
    outcome = desk.deliver(given, attempt=2)
    assert (outcome.outcome, outcome.reason) == ("retry", reason)
    assert len(desk.network.sent) == 2


def test_a_text_that_slack_would_cut_off_is_not_posted(desk: Desk) -> None:
    body = composed(desk, "&" * (LONGEST["slack_thread"] // 5))
    assert len(body["text"]) == LONGEST["slack_thread"]
    too_long = {**body, "text": body["text"] + "x"}
    target = desk.network.resolve_target("https://slack.com/api")
    slack = Slack(desk.network, target, "xoxb-token", until=0, now=DECIDED)
    assert slack.post_message(too_long) == Outcome(outcome="failed", reason="msg_too_long")
    assert desk.network.sent == []


def test_without_a_token_nothing_can_be_posted(desk: Desk) -> None:
    desk.courier = desk.another_courier(secrets=FakeSecrets(token=None))
    assert desk.deliver() == Outcome(outcome="failed", reason="ConfigurationError")


def test_the_ledger_holds_codes_and_no_text(desk: Desk) -> None:
    desk.deliver(answer(200, {"ok": False, "error": "the text was: secret"}))
    desk.deliver(error("not_in_channel"), attempt=2)
    said = json.dumps([line.model_dump() for line in desk.lines()])
    assert "secret" not in said
    assert "xoxb" not in said
    assert "not_in_channel" in said
