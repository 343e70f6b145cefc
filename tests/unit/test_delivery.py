"""Delivery: only what was signed leaves, an attempt is made once, and its answer says what comes next."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from moto import mock_aws

from countersign.answers import MAX_RETRY_AFTER_S, Outcome, read_answer, retry_after_s
from countersign.attempts import LEASE_S
from countersign.clock import instant
from countersign.decisions import ApprovalStatus
from countersign.delivery import ATTEMPT_S
from countersign.errors import DestinationDenied, DestinationUnresolved
from countersign.ledger import approval_closed
from countersign.models import (
    Destination,
    canonical_json,
    sha256_hex,
)
from countersign.outbound import Answer, NoAnswer
from countersign.signatures import verify
from tests.unit.deliveries import (
    API,
    APPROVAL,
    CALLBACK,
    DECIDED,
    DISCUSSION,
    ISSUE,
    LIMITED,
    MARKER,
    NOW,
    REF,
    SECRET,
    Cut,
    Desk,
    FakeSecrets,
    answer,
    message,
)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with mock_aws():
        yield Desk()


# What an answer means


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, "delivered") for status in (200, 201, 202, 204, 299)),
        (410, "failed"),
        *((status, "retry") for status in (101, 300, 301, 302, 303, 307, 308)),
        *((status, "retry") for status in (400, 401, 403, 404, 405, 408, 409, 422, 425, 429)),
        *((status, "retry") for status in (500, 502, 503, 504, 599)),
    ],
)
def test_the_meaning_of_a_status(status: int, outcome: str) -> None:
    assert read_answer(answer(status), NOW) == Outcome(outcome=outcome, status=status)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({"retry-after": "30"}, 30),
        ({"retry-after": " 30 "}, 30),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-30"}, 0),
        ({"retry-after": "1.5"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "1000000000"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "9" * 5_000}, MAX_RETRY_AFTER_S),
        ({"retry-after": "٣٠"}, 0),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=60), usegmt=True)}, 60),
        ({"retry-after": "Mon, 21 Sep 2026 15:31:00 +0200"}, 60),
        ({"retry-after": "Mon, 21 Sep 2026 13:31:00 -0000"}, 60),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -1400"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "Mon, 21 Sep 2026 13:31:00 +9999"}, 0),
        ({"retry-after": "Mon, 99 Sep 2026 13:31:00 GMT"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW.timestamp() + 90:.0f}"}, 90),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{NOW.timestamp() + 90:.0f}"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 5_000}, MAX_RETRY_AFTER_S),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "tomorrow"}, 0),
        ({"x-ratelimit-remaining": "0"}, 0),
        ({"retry-after": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}, 5),
    ],
)
def test_the_wait_a_receiver_asks_for_is_bounded(headers: dict[str, str], expected: int) -> None:
    assert retry_after_s(headers, NOW) == expected


# Callbacks


def test_a_callback_is_signed_and_its_outcome_told(desk: Desk) -> None:
    desk.sign()
    assert desk.deliver(answer(204)).outcome == "delivered"
    [sent] = desk.network.sent
    assert (sent.method, sent.url) == ("POST", CALLBACK.address)
    verify("standard-webhooks", sent.headers, sent.body, [SECRET], NOW.timestamp())
    assert sent.headers["webhook-id"] == APPROVAL
    assert sent.json() == {
        "type": "case.replied",
        "timestamp": instant(DECIDED),
        "data": {
            "case_id": REF.case_id,
            "id": "ticket-4711",
            "text": "It is tried ten times. [1]",
            "citations": [],
            "decided_by": "maria",
        },
    }
    told = {"outcome": "delivered", "retry_after_s": 0, "status": 204, "error": None}
    assert desk.tasks.told == [("token-1", told)]
    [line] = desk.lines()
    assert {k: line.detail[k] for k in ("attempt", "outcome", "status")} == {
        "attempt": 1,
        "outcome": "delivered",
        "status": 204,
    }


def test_a_delivered_reply_costs_three_calls_and_the_task_s(desk: Desk) -> None:
    desk.sign()
    desk.switches.is_off(REF.tenant, CALLBACK)  # once a minute for all of a tenant's
    desk.deliver(answer(200))
    assert desk.calls == ["UpdateItem", "GetObject", "TransactWriteItems"]
    assert len(desk.tasks.told) == 1


def test_every_attempt_sends_the_same_bytes_under_the_same_id(desk: Desk) -> None:
    desk.sign()
    assert desk.deliver(NoAnswer("broken")) == Outcome(outcome="retry", reason="broken")
    assert desk.deliver(answer(503, retry_after="7"), attempt=2).retry_after_s == 7
    assert desk.deliver(answer(200), attempt=3).outcome == "delivered"
    assert len({(sent.headers["webhook-id"], sent.body) for sent in desk.network.sent}) == 1
    assert sorted(line.detail["attempt"] for line in desk.lines()) == [1, 2, 3]
    assert [told["outcome"] for _, told in desk.tasks.told] == ["retry", "retry", "delivered"]


@pytest.mark.parametrize("first", [answer(200), answer(503, retry_after="7"), answer(404)])
def test_a_message_that_comes_again_repeats_only_the_answer(desk: Desk, first: Answer) -> None:
    desk.sign()
    desk.tasks.down = True
    with pytest.raises(ConnectionError):
        desk.deliver(first)
    desk.tasks.down = False
    outcome = desk.deliver(repeated=True)
    assert (outcome.status, outcome) == (first.status, read_answer(first, NOW))
    assert len(desk.network.sent) == 1
    assert len(desk.lines()) == 1
    assert desk.tasks.told[-1][1]["outcome"] == outcome.outcome


def test_a_redriven_case_sends_again_what_nobody_took_and_never_what_somebody_did(desk: Desk) -> None:
    desk.sign()
    assert desk.deliver(answer(503), token="first run").outcome == "retry"
    assert desk.deliver(answer(200), token="second run").outcome == "delivered"
    assert desk.deliver(token="third run").outcome == "delivered"
    assert len(desk.network.sent) == 2


def test_that_nobody_waits_any_more_is_fine(desk: Desk) -> None:
    desk.sign()
    desk.tasks.waiting = False
    assert desk.deliver(answer(200)).outcome == "delivered"


def test_the_look_up_takes_its_time_from_the_attempt_s(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.sign()
    clock = [100.0]
    monkeypatch.setattr("countersign.delivery.time.monotonic", lambda: clock[0])
    resolve, exchange, left = desk.network.resolve_target, desk.network.post, []

    def slowly(url: str, **options: Any) -> Any:
        clock[0] += 9
        return resolve(url, **options)

    def timed(*given: Any, deadline_s: float, **options: Any) -> Answer:
        left.append(deadline_s)
        return exchange(*given, deadline_s=deadline_s, **options)

    monkeypatch.setattr(desk.network, "resolve_target", slowly)
    monkeypatch.setattr(desk.network, "post", timed)
    desk.deliver(answer(200))
    assert left == [ATTEMPT_S - 9]


# What is not sent


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": ApprovalStatus.PENDING}, "ApprovalMissing"),
        ({"status": ApprovalStatus.EXPIRED}, "ApprovalMissing"),
        ({"verdict": "reject"}, "ApprovalMissing"),
        ({"verdict": "respond"}, "ApprovalMissing"),
        ({"signed_key": None}, "ApprovalMissing"),
        ({"signed_sha256": None}, "ApprovalMissing"),
        ({"signed_sha256": "0" * 64}, "SignedBytesChanged"),
        ({"signed_key": "cases/default/elsewhere.json"}, "CaseFileMissing"),
    ],
)
def test_what_was_not_signed_is_not_sent(desk: Desk, changes: dict[str, Any], reason: str) -> None:
    desk.sign(**changes)
    assert desk.deliver() == Outcome(outcome="failed", reason=reason)
    assert desk.network.sent == []
    assert [line.detail["reason"] for line in desk.lines()] == [reason]
    assert desk.tasks.told[0][1]["outcome"] == "failed"


def test_bytes_that_were_changed_in_the_store_are_not_sent(desk: Desk) -> None:
    key = str(desk.sign().signed_key)
    body = desk.files.get(key).replace(b"ten times", b"two times")
    desk.s3.put_object(Bucket="files", Key=key, Body=body)
    assert desk.deliver() == Outcome(outcome="failed", reason="SignedBytesChanged")
    assert desk.network.sent == []


def test_the_signed_bytes_of_another_case_are_not_sent(desk: Desk) -> None:
    other = canonical_json(json.loads(desk.files.get(str(desk.sign().signed_key))) | {"tenant": "another"})
    desk.files.put_once("other.json", other)
    columns = {"signed_key": "other.json", "signed_sha256": sha256_hex(other)}
    item = approval_closed(REF.tenant, instant(NOW), status="decided", **columns)
    desk.ledger.commit([desk.ledger._update(REF, f"approval#{APPROVAL}", item, "attribute_exists(pk)", {})])
    assert desk.deliver() == Outcome(outcome="failed", reason="SignedBytesChanged")


def test_an_approval_that_is_not_there_fails(desk: Desk) -> None:
    assert desk.deliver() == Outcome(outcome="failed", reason="ApprovalMissing")


@pytest.mark.parametrize(
    ("denied", "outcome"),
    [(DestinationDenied("private"), "failed"), (DestinationUnresolved("no address"), "retry")],
)
def test_an_address_that_is_denied_ends_it_and_a_name_without_one_does_not(
    desk: Desk, denied: Exception, outcome: str
) -> None:
    desk.sign()
    desk.network.denied = denied
    assert desk.deliver() == Outcome(outcome=outcome, reason=type(denied).__name__)


@pytest.mark.parametrize("reason", ["unreachable", "tls", "timed_out", "broken"])
def test_no_answer_is_tried_again(desk: Desk, reason: Any) -> None:
    desk.sign()
    assert desk.deliver(NoAnswer(reason)) == Outcome(outcome="retry", reason=reason)


@pytest.mark.parametrize(
    ("destination", "secrets", "expected"),
    [
        (CALLBACK, FakeSecrets(keys=[]), ("failed", "ConfigurationError")),
        (CALLBACK, FakeSecrets(keys=["%%%"]), ("failed", "ConfigurationError")),
        (CALLBACK, FakeSecrets(down=True), ("retry", "SecretsUnavailable")),
        (ISSUE, FakeSecrets(token=None), ("failed", "ConfigurationError")),
        (ISSUE, FakeSecrets(down=True), ("retry", "SecretsUnavailable")),
    ],
)
def test_secrets_that_are_missing_or_out_of_reach(
    desk: Desk, destination: Destination, secrets: FakeSecrets, expected: tuple[str, str]
) -> None:
    desk.sign(destination)
    desk.courier = desk.another_courier(secrets=secrets)
    outcome = desk.deliver()
    assert (outcome.outcome, outcome.reason) == expected
    assert desk.network.sent == []


# GitHub


def comments(*bodies: str) -> Answer:
    return answer(200, [{"body": body} for body in bodies])


def thread(*bodies: str) -> Answer:
    return answer(200, {"data": {"node": {"comments": {"nodes": [{"body": body} for body in bodies]}}}})


CREATED = answer(201, {"id": 1, "body": "…"})
ADDED = answer(200, {"data": {"addDiscussionComment": {"comment": {"id": "DC_1"}}}})


def test_a_first_attempt_on_github_posts_at_once(desk: Desk) -> None:
    desk.sign(ISSUE)
    assert desk.deliver(CREATED) == Outcome(outcome="delivered", status=201)
    [sent] = desk.network.sent
    assert (sent.method, sent.url) == ("POST", ISSUE.address)
    assert sent.headers["Authorization"] == "Bearer ghp_token"
    assert sent.json() == {"body": f"It is tried ten times. [1]\n\n{MARKER}"}


def test_a_discussion_is_answered_by_graphql(desk: Desk) -> None:
    desk.sign(DISCUSSION)
    assert desk.deliver(ADDED) == Outcome(outcome="delivered", status=200)
    [sent] = desk.network.sent
    assert sent.url == f"{API}/graphql"
    assert sent.json()["variables"] == {
        "subject": "D_kwDOA",
        "body": f"It is tried ten times. [1]\n\n{MARKER}",
    }


def second_attempt(desk: Desk, *answers: Answer) -> Outcome:
    return desk.deliver(*answers, attempt=2)


def received_again(desk: Desk, *answers: Answer) -> Outcome:
    return desk.deliver(*answers, repeated=True)


def redriven(desk: Desk, *answers: Answer) -> Outcome:
    """A new task for attempt 1, after one whose answer got lost."""
    desk.deliver(NoAnswer("timed_out"), token="earlier")
    desk.network.sent.clear()
    return desk.deliver(*answers, token="now")


@pytest.mark.parametrize("again", [second_attempt, received_again, redriven])
@pytest.mark.parametrize(
    ("destination", "seen", "created"),
    [(ISSUE, comments, CREATED), (DISCUSSION, thread, ADDED)],
    ids=["issue", "discussion"],
)
def test_a_comment_is_looked_for_before_it_is_posted_again(
    desk: Desk,
    destination: Destination,
    seen: Callable[..., Answer],
    created: Answer,
    again: Callable[..., Outcome],
) -> None:
    desk.sign(destination)
    assert again(desk, seen("Thanks!", f"Ten times.\n{MARKER}")).reason == "found"
    assert len(desk.network.sent) == 1
    assert desk.tasks.told[-1][1]["outcome"] == "delivered"


@pytest.mark.parametrize(
    ("destination", "seen", "created"),
    [(ISSUE, comments, CREATED), (DISCUSSION, thread, ADDED)],
    ids=["issue", "discussion"],
)
def test_a_comment_that_is_not_there_is_posted(
    desk: Desk, destination: Destination, seen: Callable[..., Answer], created: Answer
) -> None:
    desk.sign(destination)
    other = MARKER.replace("-a1", "-a11")
    assert desk.deliver(seen("Thanks!", other), created, attempt=2).outcome == "delivered"
    assert len(desk.network.sent) == 2


def test_a_rerun_looks_even_if_no_line_was_left(desk: Desk) -> None:
    desk.sign(ISSUE)
    desk.network.answers = [Cut()]
    with pytest.raises(Cut):
        desk.courier.deliver(message(token="first run"), NOW, repeated=False)
    desk.now += timedelta(seconds=LEASE_S + 1)
    assert desk.deliver(comments(MARKER), token="second run").reason == "found"


def test_only_comments_since_the_decision_are_looked_through_page_by_page(desk: Desk) -> None:
    desk.sign(ISSUE)
    outcome = desk.deliver(comments(*["+1"] * 50), comments("+1", MARKER), attempt=2)
    assert outcome == Outcome(outcome="delivered", status=200, reason="found")
    since = "since=2026-09-21T13%3A19%3A00.000Z&per_page=50"
    assert [sent.url for sent in desk.network.sent] == [
        f"{ISSUE.address}?{since}&page=1",
        f"{ISSUE.address}?{since}&page=2",
    ]


@pytest.mark.parametrize(
    "unreadable",
    [
        answer(500),
        answer(404, {"message": "Not Found"}),
        answer(200, b"[{"),
        answer(200, b"[" * 100_000),
        answer(200, {"message": "?"}),
        Answer(200, {}, b"[]", complete=False),
    ],
)
@pytest.mark.parametrize("destination", [ISSUE, DISCUSSION], ids=["issue", "discussion"])
def test_nothing_is_posted_where_nobody_can_tell_whether_it_is_there(
    desk: Desk, destination: Destination, unreadable: Answer
) -> None:
    desk.sign(destination)
    assert desk.deliver(unreadable, attempt=2).outcome == "retry"
    assert len(desk.network.sent) == 1


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (answer(403, LIMITED, retry_after="90"), 90),
        (answer(403, LIMITED), 60),
        (answer(429, LIMITED), 60),
        (answer(403, x_ratelimit_remaining="0", x_ratelimit_reset=f"{NOW.timestamp() + 90:.0f}"), 90),
        (answer(403, {"message": "Unable to create comment because issue is locked."}), 0),
        (answer(404, {"message": "Not Found"}), 0),
    ],
)
def test_github_s_rate_limits_are_waited_for(desk: Desk, given: Answer, wait: int) -> None:
    desk.sign(ISSUE)
    assert desk.deliver(given) == Outcome(outcome="retry", status=given.status, retry_after_s=wait)


@pytest.mark.parametrize(
    ("given", "reason", "wait"),
    [
        (answer(200, {"errors": [{"type": "RATE_LIMITED", "message": "…"}]}), "RATE_LIMITED", 60),
        (
            answer(200, {"errors": [{"type": "RATE_LIMITED"}]}, retry_after="120"),
            "RATE_LIMITED",
            120,
        ),
        (answer(200, {"data": None, "errors": [{"type": "NOT_FOUND"}]}), "NOT_FOUND", 0),
        (answer(200, {"errors": [{"message": "Something went wrong"}]}), "unreadable", 0),
        (answer(200, {"errors": [{"type": "Dear customer,"}]}), "unreadable", 0),
        (answer(200, {"data": {"addDiscussionComment": None}}), "unreadable", 0),
        (answer(200, {"errors": [7]}), "unreadable", 0),
        (answer(200, [1]), "unreadable", 0),
        (answer(200, b"<html>"), "unreadable", 0),
        (answer(502, b"<html>"), None, 0),
    ],
)
def test_graphql_says_200_also_where_it_did_nothing(
    desk: Desk, given: Answer, reason: str | None, wait: int
) -> None:
    desk.sign(DISCUSSION)
    assert desk.deliver(given) == Outcome(
        outcome="retry", status=given.status, reason=reason, retry_after_s=wait
    )


def test_a_refused_token_is_read_again_for_the_next_attempt(desk: Desk) -> None:
    desk.sign(ISSUE)
    assert desk.deliver(answer(401)).outcome == "retry"
    assert desk.secrets.refreshed == ["github"]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/repos/acme/shop/issues/7/comments",
        "https://api.github.com.evil.example/repos/acme/shop/issues/7/comments",
        "https://api.github.com/user/repos",
    ],
)
def test_the_token_goes_to_the_configured_api_alone(desk: Desk, address: str) -> None:
    desk.sign(ISSUE.model_copy(update={"address": address}))
    assert desk.deliver() == Outcome(outcome="failed", reason="DestinationDenied")
    assert desk.network.sent == []


def test_the_ledger_holds_codes_and_no_text(desk: Desk) -> None:
    desk.sign(DISCUSSION)
    desk.deliver(answer(200, {"errors": [{"type": "NOT_FOUND", "message": "about Jane Roe"}]}))
    [line] = desk.lines()
    assert set(line.detail) == {
        "approval_id", "attempt", "task", "outcome", "retry_after_s", "status", "reason",
    }  # fmt: skip
    assert "token-1" not in line.model_dump_json()
