"""The outbox answers delivery as GitHub does, and shows what it was sent."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from countersign.github_comments import DISCUSSION_COMMENTS
from countersign.replies import ADD_DISCUSSION_COMMENT
from local.outbox import LONGEST_COMMENT, Outbox

COMMENTS = "/repos/acme/shop/issues/7/comments"
TOKEN = {"Authorization": "Bearer ghp_token"}


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    outbox = Outbox()
    yield outbox
    outbox.stop()


@pytest.fixture
def github(outbox: Outbox) -> Client:
    return Client(outbox.wsgi_app)


def comment(github: Client, text: Any, path: str = COMMENTS) -> TestResponse:
    return github.post(path, json={"body": text}, headers=TOKEN)


def graphql(github: Client, query: str, **variables: Any) -> Any:
    answer = github.post("/graphql", json={"query": query, "variables": variables}, headers=TOKEN)
    assert answer.status_code == 200
    return answer.json


def test_a_comment_is_created_and_listed(outbox: Outbox, github: Client) -> None:
    created = comment(github, "Ten times.")
    assert created.status_code == 201
    assert created.json is not None
    assert created.json["html_url"] == f"{outbox.url}/acme/shop/issues/7#issuecomment-1"
    assert created.headers["Location"] == created.json["url"]
    comment(github, "Elsewhere.", "/repos/acme/shop/issues/8/comments")
    assert github.get(COMMENTS, headers=TOKEN).json == [created.json]
    assert [c.body for c in outbox.comments] == ["Ten times.", "Elsewhere."]


def test_a_list_comes_in_pages_and_from_a_time_on(github: Client) -> None:
    for number in range(5):
        comment(github, f"{number}")

    def listed(**query: Any) -> list[str]:
        found = github.get(COMMENTS, query_string=query, headers=TOKEN).json
        assert found is not None
        return [each["body"] for each in found]

    assert listed(per_page=2) == ["0", "1"]
    assert listed(per_page=2, page=3) == ["4"]
    assert listed(per_page=2, page=4) == []
    now = datetime.now(UTC)
    assert len(listed(since=(now - timedelta(hours=1)).isoformat())) == 5
    assert listed(since=(now + timedelta(hours=1)).isoformat()) == []


def test_a_discussion_is_answered_and_read(github: Client) -> None:
    added = graphql(github, ADD_DISCUSSION_COMMENT, subject="D_1", body="Ten times.")
    assert added["data"]["addDiscussionComment"]["comment"]["id"]
    graphql(github, ADD_DISCUSSION_COMMENT, subject="D_2", body="Elsewhere.")
    found = graphql(github, DISCUSSION_COMMENTS, subject="D_1")
    assert found["data"]["node"]["comments"]["nodes"] == [{"body": "Ten times."}]


@pytest.mark.parametrize("subject", [None, "", 7])
def test_a_discussion_that_is_none_is_an_error_with_status_200(github: Client, subject: Any) -> None:
    answer = graphql(github, ADD_DISCUSSION_COMMENT, subject=subject, body="Ten times.")
    assert answer["errors"][0]["type"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": COMMENTS, "method": "POST", "json": {"body": "x"}}, 401),
        ({"path": COMMENTS, "method": "POST", "data": b"{", "headers": TOKEN}, 400),
        ({"path": COMMENTS, "method": "POST", "json": ["x"], "headers": TOKEN}, 400),
        ({"path": COMMENTS, "method": "POST", "json": {"body": " "}, "headers": TOKEN}, 422),
        (
            {
                "path": COMMENTS,
                "method": "POST",
                "json": {"body": "x" * (LONGEST_COMMENT + 1)},
                "headers": TOKEN,
            },
            422,
        ),
        ({"path": "/user", "method": "GET", "headers": TOKEN}, 404),
        ({"path": COMMENTS, "method": "DELETE", "headers": TOKEN}, 404),
    ],
)
def test_mistakes_are_answered_as_github_does(
    outbox: Outbox, github: Client, request_: dict[str, Any], status: int
) -> None:
    answer = github.open(**request_)
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["message"]
    assert outbox.comments == []
    assert outbox.sent[0].answer.status == status


def test_answers_can_be_scripted(outbox: Outbox, github: Client) -> None:
    outbox.answer_next(502, {"Retry-After": "7"}, b"<html>")
    outbox.answer_next(429, body={"message": "rate limit"}, times=2)
    first = comment(github, "Ten times.")
    assert (first.status_code, first.headers["Retry-After"], first.data) == (502, "7", b"<html>")
    assert [comment(github, "Ten times.").status_code for _ in range(3)] == [429, 429, 201]
    assert [sent.answer.status for sent in outbox.sent] == [502, 429, 429, 201]
    assert len(outbox.comments) == 1


def test_what_was_sent_is_kept_as_it_came(outbox: Outbox, github: Client) -> None:
    github.post(f"{COMMENTS}?a=b", data=b'{"body": "\xc3\xa4"}', headers=TOKEN)
    [sent] = outbox.sent
    assert (sent.method, sent.path, sent.query, sent.body) == (
        "POST",
        COMMENTS,
        "a=b",
        b'{"body": "\xc3\xa4"}',
    )
    assert sent.headers["authorization"] == "Bearer ghp_token"
    outbox.clear()
    assert (outbox.sent, outbox.comments) == ([], [])


def test_the_page_shows_what_was_sent_and_runs_none_of_it(outbox: Outbox, github: Client) -> None:
    assert "Nothing yet." in github.get("/", headers={"Accept": "text/html"}).text
    comment(github, "<script>alert(1)</script>")
    page = github.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert len(outbox.sent) == 1, "looking is not sending"


def test_the_page_is_json_to_whoever_asks_for_that(github: Client) -> None:
    comment(github, "Ten times.")
    shown = github.get("/")
    [sent] = json.loads(shown.data)
    assert (sent["method"], sent["path"], sent["body"]) == ("POST", COMMENTS, {"body": "Ten times."})
    assert sent["answer"]["status"] == 201
    assert "ghp_token" not in shown.text


SLACK = "/slack/api/chat.postMessage"
BOT = {"Authorization": "Bearer xoxb-token"}
MESSAGE = {"channel": "C0LAN2Q65", "thread_ts": "1793611799.000200", "text": "Ten times."}
THREAD = {"channel": "C0LAN2Q65", "ts": "1793611799.000200"}


def replies(github: Client, **query: Any) -> Any:
    return github.get("/slack/api/conversations.replies", query_string=THREAD | query, headers=BOT).json


def test_a_message_to_slack_is_kept_and_found_with_its_metadata(outbox: Outbox, github: Client) -> None:
    metadata = {"event_type": "countersign_reply", "event_payload": {"delivery_id": "c-1-a1"}}
    for text in ("Ten times.", "And then?", "Then a person looks."):
        posted = github.post(SLACK, json=MESSAGE | {"text": text, "metadata": metadata}, headers=BOT)
        assert (posted.status_code, posted.json["ok"]) == (200, True)  # type: ignore[index]
    github.post(SLACK, json=MESSAGE | {"thread_ts": "1793611800.000100"}, headers=BOT)
    assert [message.text for message in outbox.messages][:2] == ["Ten times.", "And then?"]
    first = replies(github, limit=2, include_all_metadata="true")
    assert [each["text"] for each in first["messages"][1:]] == ["Ten times.", "And then?"]
    assert first["messages"][1]["metadata"] == metadata
    cursor = first["response_metadata"]["next_cursor"]
    rest = replies(github, limit=2, cursor=cursor)
    assert [each["text"] for each in rest["messages"][1:]] == ["Then a person looks."]
    assert "metadata" not in rest["messages"][1]
    assert not rest["response_metadata"]["next_cursor"]
    assert replies(github, oldest="9999999999")["messages"][1:] == []
    assert "Ten times." in github.get("/", headers={"Accept": "text/html"}).text


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"path": SLACK, "json": MESSAGE}, "not_authed"),
        ({"path": SLACK, "json": MESSAGE, "headers": TOKEN}, "invalid_auth"),
        ({"path": SLACK, "data": b"{", "headers": BOT}, "invalid_json"),
        ({"path": SLACK, "json": MESSAGE | {"channel": "#general"}, "headers": BOT}, "channel_not_found"),
        ({"path": SLACK, "json": MESSAGE | {"thread_ts": "now"}, "headers": BOT}, "thread_not_found"),
        ({"path": SLACK, "json": MESSAGE | {"text": " "}, "headers": BOT}, "no_text"),
        ({"path": SLACK, "json": MESSAGE | {"text": "x" * 40_001}, "headers": BOT}, "msg_too_long"),
        ({"path": "/slack/api/chat.delete", "json": MESSAGE, "headers": BOT}, "unknown_method"),
    ],
)
def test_mistakes_are_answered_as_slack_does(
    outbox: Outbox, github: Client, request_: dict[str, Any], error: str
) -> None:
    answer = github.open(method="POST", **request_)
    assert (answer.status_code, answer.json) == (200, {"ok": False, "error": error})
    assert outbox.messages == []


def test_an_answer_can_be_lost_after_the_work_is_done(outbox: Outbox, github: Client) -> None:
    outbox.lose_next_answer(502)
    assert github.post(SLACK, json=MESSAGE, headers=BOT).status_code == 502
    assert github.post(SLACK, json=MESSAGE, headers=BOT).status_code == 200
    assert len(outbox.messages) == 2
