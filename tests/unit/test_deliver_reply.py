"""Deliver Reply: each message of the delivery queue is one attempt, and a crashed one alone comes again."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from countersign.answers import Outcome
from countersign.delivery import ATTEMPT_S
from countersign.models import Delivery
from functions.deliver_reply.app import STORES_S, handler

pytestmark = pytest.mark.usefixtures("metrics")

EVENTS = Path(__file__).parents[2] / "events" / "deliver_reply"
CASE = "c-8f14e45fceea167a5a36dedd4bea2543"


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Countersign")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "countersign")


@dataclass
class Context:
    left_s: float = 60
    function_name: str = "deliver_reply"
    aws_request_id: str = "5b1c2d3e-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.left_s * 1000)


@dataclass
class FakeCourier:
    outcome: Outcome | Exception = field(
        default_factory=lambda: Outcome(outcome="retry", status=503, retry_after_s=7)
    )
    asked: list[tuple[Delivery, bool, float]] = field(default_factory=list)

    def deliver(self, delivery: Delivery, now: datetime, *, repeated: bool, seconds: float) -> Outcome:
        assert now.tzinfo is not None
        self.asked.append((delivery, repeated, seconds))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@dataclass
class FakeReasons:
    noted: list[tuple[str, str]] = field(default_factory=list)

    def note(self, body: str, error: Exception, now: datetime) -> None:
        self.noted.append((body, type(error).__name__))


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def call(
    name: str, courier: FakeCourier, left_s: float = 60, reasons: FakeReasons | None = None
) -> list[str]:
    answer = handler(event(name), Context(left_s), courier, reasons or FakeReasons())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.mark.parametrize(
    ("name", "attempt", "repeated"),
    [("first_attempt", 1, False), ("second_attempt", 2, False), ("received_again", 1, True)],
)
def test_a_message_is_one_attempt(name: str, attempt: int, repeated: bool) -> None:
    courier = FakeCourier()
    assert call(name, courier) == []
    [(delivery, seen, seconds)] = courier.asked
    assert (delivery.case_id, delivery.approval_id) == (CASE, f"{CASE}-a1")
    assert (delivery.attempt, seen, seconds) == (attempt, repeated, ATTEMPT_S)


def test_a_call_that_is_short_of_time_sends_for_less() -> None:
    courier = FakeCourier()
    call("first_attempt", courier, left_s=20)
    assert courier.asked[0][2] == 20 - STORES_S


def test_a_crash_sends_its_message_back(caplog: pytest.LogCaptureFixture) -> None:
    courier, reasons = FakeCourier(ConnectionError("could not tell it about Jane Roe")), FakeReasons()
    assert call("first_attempt", courier, reasons=reasons) == ["059f36b4-87a3-44ab-83d2-661975830a7d"]
    assert reasons.noted == [(event("first_attempt")["Records"][0]["body"], "ConnectionError")]
    logged = [vars(record) for record in caplog.records if record.getMessage() == "failed"]
    assert [line["error"] for line in logged] == ["ConnectionError"]
    assert "Jane Roe" not in str(logged)


def test_a_message_that_is_no_delivery_goes_back_alone() -> None:
    courier = FakeCourier()
    assert call("unreadable", courier) == ["7f1c2d7e-0d0a-4f2d-8a3b-0b5f6e1d9c44"]
    assert len(courier.asked) == 1


def test_the_outcome_is_logged_and_counted_without_the_token(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    call("first_attempt", FakeCourier())
    [line] = [vars(record) for record in caplog.records if record.getMessage() == "Delivery retry"]
    assert (line["approval_id"], line["attempt"], line["status"]) == (f"{CASE}-a1", 1, 503)
    assert '"DeliveryRetry":[1.0]' in capsys.readouterr().out.replace(" ", "")
    token = json.loads(event("first_attempt")["Records"][0]["body"])["task_token"]
    assert token not in str([vars(record) for record in caplog.records])


def test_nothing_to_do_is_nothing_done() -> None:
    assert handler({"Records": []}, Context(), FakeCourier(), FakeReasons()) == {"batchItemFailures": []}
