"""Attempts: of two copies of a message that are handled at one moment, one sends."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from countersign.answers import Outcome
from countersign.attempts import ATTEMPTED, LEASE_S, WRITE_ATTEMPTS
from countersign.errors import AttemptUnderway, StoreConflict
from countersign.outbound import Answer, NoAnswer
from local.template import load
from tests.unit.deliveries import CALLBACK, ISSUE, MARKER, NOW, REF, Cut, Desk, answer, message

RESOURCES = load(Path(__file__).parents[2] / "template.yaml")["Resources"]
CREATED = answer(201, {"id": 1})


@pytest.fixture
def desk() -> Iterator[Desk]:
    with mock_aws():
        yield Desk()


@pytest.mark.parametrize(
    ("first", "second"),
    [(message(token="t"), message(token="t")), (message(token="run 1"), message(token="run 2"))],
    ids=["two copies of a message", "the messages of two runs"],
)
@pytest.mark.parametrize("destination", [CALLBACK, ISSUE], ids=["callback", "github"])
def test_of_two_at_one_moment_one_sends(desk: Desk, destination: Any, first: Any, second: Any) -> None:
    desk.sign(destination)
    other, refused = desk.another_courier(), []

    def meanwhile(*_: Any, **__: Any) -> Answer:
        with pytest.raises(AttemptUnderway) as caught:
            other.deliver(second, NOW, repeated=False)
        refused.append(caught.value)
        return CREATED

    desk.network.meanwhile = meanwhile
    assert desk.courier.deliver(first, NOW, repeated=False).outcome == "delivered"
    assert len(refused) == 1
    desk.network.meanwhile = None
    # It comes again, and finds how the other one's attempt went.
    later = NOW + timedelta(seconds=360)
    assert other.deliver(second, later, repeated=True) == Outcome(outcome="delivered", status=201)
    assert [sent.method for sent in desk.network.sent] == ["POST"]
    assert [told["outcome"] for _, told in desk.tasks.told] == ["delivered", "delivered"]


def test_an_attempt_that_was_cut_off_is_made_again_when_it_is_surely_over(desk: Desk) -> None:
    desk.sign(ISSUE)
    desk.network.answers = [Cut()]
    with pytest.raises(Cut):
        desk.courier.deliver(message(), NOW, repeated=False)
    with pytest.raises(AttemptUnderway):
        desk.courier.deliver(message(), NOW + timedelta(seconds=LEASE_S), repeated=True)
    desk.now = NOW + timedelta(seconds=LEASE_S + 1)
    # Nobody knows whether it was received, so it is looked for, whatever the queue says of the message.
    assert desk.deliver(answer(200, []), CREATED).outcome == "delivered"
    assert [sent.method for sent in desk.network.sent] == ["POST", "GET", "POST"]


def test_a_message_of_an_attempt_that_is_long_over_sends_nothing(desk: Desk) -> None:
    desk.sign()
    desk.deliver(answer(503), attempt=1)
    desk.deliver(answer(404), attempt=2)
    assert desk.deliver(attempt=1, repeated=True).outcome == "retry"
    assert len(desk.network.sent) == 2
    assert desk.deliver(answer(200), attempt=3).outcome == "delivered"


def test_the_lease_outlives_the_function_and_ends_before_the_message_comes_again() -> None:
    timeout = RESOURCES["DeliverReplyFunction"]["Properties"]["Timeout"]
    hidden = RESOURCES["DeliveryQueue"]["Properties"]["VisibilityTimeout"]
    assert timeout < LEASE_S < hidden


def test_an_outcome_is_written_down_once_and_whole(desk: Desk) -> None:
    desk.sign()
    desk.deliver(NoAnswer("broken"))
    desk.deliver(answer(200), attempt=2)
    row = desk.ledger.row(f"{REF.tenant}#{REF.case_id}", f"approval#{REF.case_id}-a1")
    assert row is not None
    assert "attempt_until" not in row
    assert len(row["attempts"]) == 2
    lines = [event for event in desk.ledger.history(REF)[1] if event.event == ATTEMPTED]
    assert {line.detail["task"] for line in lines} == set(row["attempts"])
    assert MARKER not in json.dumps(row)


def test_an_outcome_that_meets_another_writer_is_written_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sign()
    commit, failures = desk.ledger.commit, [StoreConflict("busy")] * (WRITE_ATTEMPTS - 1)

    def busy(writes: Any) -> None:
        if failures:
            raise failures.pop()
        commit(writes)

    monkeypatch.setattr(desk.ledger, "commit", busy)
    assert desk.deliver(answer(200)).outcome == "delivered"
    assert len(desk.lines()) == 1


def test_an_attempt_that_lost_its_lease_still_leaves_its_line(desk: Desk) -> None:
    desk.sign()
    slow, quick = message(token="slow"), message(token="quick")
    other = desk.another_courier()

    def meanwhile(*_: Any, **__: Any) -> Answer:
        desk.network.meanwhile = None
        desk.network.answers = [answer(200)]
        other.deliver(quick, NOW + timedelta(seconds=LEASE_S + 1), repeated=False)
        return answer(503)

    desk.network.meanwhile = meanwhile
    assert desk.courier.deliver(slow, NOW, repeated=False).outcome == "retry"
    assert sorted(str(line.detail["outcome"]) for line in desk.lines()) == ["delivered", "retry"]
    assert desk.deliver(token="later").outcome == "delivered"
