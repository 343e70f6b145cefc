"""Receive Webhook: what each sender is answered, and what is logged of it."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from countersign.errors import EventInProgress, IntakeUnavailable, SecretsUnavailable
from functions.receive_webhook.app import handler
from tests.unit.senders import KEY, REPLY_URL, SAMPLES, Intake, changed, sample, signed
from tests.unit.stores import Context, Stores

IGNORED = {
    "github_ping",
    "github_issue_labeled",
    "github_comment_to_others",
    "github_own_comment",
    "github_bot_comment",
    "webhook_case_closed",
    "slack_message_changed",
    "slack_own_message",
    "stripe_payment_succeeded",
    "zendesk_agent_comment",
    "zendesk_first_comment",
    "shopify_order_without_note",
}
CHALLENGES = {"slack_url_verification"}
CONTEXT = replace(Context(), function_name="receive_webhook")


@pytest.fixture
def intake(stores: Stores) -> Iterator[Intake]:
    return Intake(stores)


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "countersign")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Countersign")
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")


def call(intake: Any, event: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
    answer = handler(event, CONTEXT, getattr(intake, "desk", intake))
    assert answer["headers"]["content-type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"]), answer["headers"]


def now(event: dict[str, Any]) -> dict[str, Any]:
    return signed(event, now=datetime.now(UTC))


@pytest.mark.parametrize("name", sorted({path.stem for path in SAMPLES.glob("*.json")} - CHALLENGES))
def test_every_sample_is_answered_202_and_again_with_the_same_case(intake: Intake, name: str) -> None:
    status, body, _ = call(intake, now(sample(name)))
    assert status == 202
    if name in IGNORED:
        assert set(body) == {"status", "reason"}
        assert body["status"] == "ignored"
        assert intake.queued() == []
        return
    assert re.fullmatch(r"c-[0-9a-f]{32}", body["case_id"])
    assert body == {
        "case_id": body["case_id"],
        "status_url": f"/cases/{body['case_id']}",
        "duplicate": False,
    }
    assert call(intake, now(sample(name)))[:2] == (202, {**body, "duplicate": True})
    assert len(intake.queued()) == 1


def test_a_challenge_is_echoed_and_leaves_nothing(intake: Intake) -> None:
    status, body, headers = call(intake, now(sample("slack_url_verification")))
    assert (status, body) == (200, {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"})
    assert headers["x-content-type-options"] == "nosniff"
    assert intake.calls == []


def test_a_challenge_that_nobody_signed_is_not_echoed(intake: Intake) -> None:
    assert call(intake, sample("slack_url_verification"))[0] == 401


def test_a_source_without_an_address_for_replies_refuses_what_would_need_one(intake: Intake) -> None:
    intake.secrets.put("stripe", current=KEY)
    status, body, _ = call(intake, now(sample("stripe_dispute_created")))
    assert (status, body["error"]["message"]) == (
        422,
        "there is nowhere to reply to: the secret of source stripe has no reply_url",
    )
    assert intake.calls == []
    assert call(intake, now(sample("stripe_payment_succeeded")))[0] == 202


def test_an_address_for_replies_without_a_key_to_sign_them_is_503(intake: Intake) -> None:
    intake.secrets.put("stripe", current=KEY, reply_url=REPLY_URL)
    assert call(intake, now(sample("stripe_dispute_created")))[0] == 503


def test_an_id_used_for_two_bodies_is_flagged(intake: Intake) -> None:
    _, first, _ = call(intake, now(sample("webhook_case_opened")))
    second = changed(sample("webhook_case_opened"), text="Something else")
    expected = {**first, "duplicate": True, "other_body": True}
    assert call(intake, now(second))[:2] == (202, expected)


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


OPENED = sample("webhook_case_opened")


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({**OPENED, "body": "{"}, 400, "unreadable_body"),
        ({**OPENED, "body": '{"type": "a", "type": "b"}'}, 400, "unreadable_body"),
        ({**OPENED, "body": "[]"}, 400, "unreadable_body"),
        ({**OPENED, "body": "{}"}, 422, "invalid_request"),
        (changed(OPENED, text=["a"]), 422, "invalid_request"),
        (changed(OPENED, callback_url="http://10.0.0.1/"), 422, "invalid_request"),
        ({**OPENED, "headers": OPENED["headers"] | {"content-type": "text/xml"}}, 415, "wrong_content_type"),
        ({**OPENED, "headers": OPENED["headers"] | {"content-encoding": "gzip"}}, 415, "wrong_content_type"),
        ({**OPENED, "body": " " * 1_048_577}, 413, "body_too_large"),
    ],
)
def test_a_signed_event_that_cannot_be_used_is_a_4xx(
    intake: Intake, event: dict[str, Any], status: int, code: str
) -> None:
    answered, body, _ = call(intake, now(event))
    assert (answered, body["error"]["code"]) == (status, code)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert intake.calls == []


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (OPENED, 401),
        ({**OPENED, "headers": None}, 401),
        ({**OPENED, "headers": {}, "multiValueHeaders": {"Content-Type": ["application/json"]}}, 401),
        (without(OPENED, "body"), 401),
        (without(now(OPENED), "requestContext"), 202),
        ({**now(OPENED), "isBase64Encoded": True}, 400),
        ({**OPENED, "pathParameters": {"source": "nobody"}}, 404),
        ({**OPENED, "pathParameters": {"source": "../github"}}, 404),
        (without(OPENED, "pathParameters"), 404),
        ({**OPENED, "pathParameters": None}, 404),
    ],
)
def test_events_of_any_shape_get_an_answer(intake: Intake, event: dict[str, Any], status: int) -> None:
    assert call(intake, event)[0] == status


def test_an_unknown_source_costs_no_secret(intake: Intake) -> None:
    call(intake, {**now(OPENED), "pathParameters": {"source": "nobody"}})
    assert intake.secrets.asked == []


def test_base64_is_what_the_sender_signed(intake: Intake) -> None:
    event = now(OPENED)
    encoded = base64.b64encode(event["body"].encode()).decode()
    assert call(intake, {**event, "body": encoded, "isBase64Encoded": True})[0] == 202


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def receive(self, *_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (IntakeUnavailable("the event cannot be stored now"), "unavailable"),
        (SecretsUnavailable("the secret of source webhook cannot be read now"), "unavailable"),
    ],
)
def test_what_is_down_asks_to_try_again(
    error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, body, headers = call(Failing(error), now(OPENED))
    assert (status, body["error"]) == (503, {"code": code, "message": str(error)})
    assert 1 <= int(headers["retry-after"]) <= 60
    failed = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
    assert [(line["error"], line["source"]) for line in failed] == [(type(error).__name__, "webhook")]


def test_an_event_in_progress_is_told_to_come_again_and_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    status, body, headers = call(Failing(EventInProgress("it is being taken in")), now(OPENED))
    assert (status, body["error"]["code"], headers["retry-after"]) == (503, "in_progress", "5")
    said = [(r.levelname, vars(r).get("outcome")) for r in caplog.records if r.name == "countersign"]
    assert said == [("INFO", "in_progress")]


def test_a_store_that_is_down_is_503(intake: Intake) -> None:
    intake.secrets.error = "InternalServiceError"
    assert call(intake, now(OPENED))[0] == 503


def test_logs_hold_ids_and_no_text(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, opened, _ = call(intake, now(changed(OPENED, text="QUAGGA\r\nline", subject="ZEBRA")))
    call(intake, now(changed(OPENED, text="QUAGGA", callback_url="https://QUAGGA.local/")))
    call(intake, changed(OPENED, text="QUAGGA"))
    call(intake, now(sample("github_ping")))
    call(intake, {**OPENED, "pathParameters": {"source": "QUAGGA"}})
    lines = [vars(record) for record in caplog.records if record.name == "countersign"]
    assert not re.search("QUAGGA|ZEBRA|customer@", str(lines))
    said = [(line.get("source"), line.get("outcome"), line.get("case_id")) for line in lines]
    assert said == [
        ("webhook", "accepted", opened["case_id"]),
        ("webhook", "invalid_request", None),
        ("webhook", "signature_rejected", None),
        ("github", "ignored", None),
        (None, "not_found", None),
    ]
