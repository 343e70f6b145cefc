"""Switches: a receiver that is gone gets nothing more until a person says that it is back."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from countersign.answers import Outcome
from countersign.errors import NotFound
from countersign.models import CaseRef, Destination
from countersign.outbound import Answer
from countersign.switches import KEEP_S, Switches, destination_id, shown_address
from tests.unit.deliveries import CALLBACK, DISCUSSION, ISSUE, NOW, REF, Desk, answer, message

GONE = Outcome(outcome="failed", status=410, reason="DestinationOff")
OFF = Outcome(outcome="failed", reason="DestinationOff")
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with mock_aws():
        yield Desk()


@pytest.mark.parametrize("destination", [CALLBACK, ISSUE, DISCUSSION], ids=lambda d: d.channel)
def test_nothing_is_sent_to_a_receiver_that_is_gone_until_a_person_turns_it_on(
    desk: Desk, destination: Destination
) -> None:
    desk.sign(destination)
    assert desk.deliver(answer(410), token="first run") == GONE
    assert desk.tasks.told[-1][1]["error"] == "DestinationOff"
    assert desk.deliver(token="second run") == OFF
    assert desk.tasks.told[-1][1]["error"] == "DestinationOff"
    assert len(desk.network.sent) == 1
    desk.switches.turn_on("default", destination_id(destination), "maria", "sub-1", LATER)
    found = answer(200, []) if destination is ISSUE else answer(200, {"data": {"node": {"comments": {}}}})
    delivered = {"callback": [answer(200)], "github_issue": [found, answer(201)]}
    if destination is not DISCUSSION:
        assert desk.deliver(*delivered[destination.channel], token="third run").outcome == "delivered"
    else:
        assert desk.deliver(found, token="third run").outcome == "retry"
    assert len(desk.network.sent) > 1


def test_an_issue_that_is_gone_when_its_comments_are_looked_for_is_switched_off(desk: Desk) -> None:
    desk.sign(ISSUE)
    assert desk.deliver(answer(410, {"message": "This issue was deleted"}), attempt=2) == GONE
    assert [sent.method for sent in desk.network.sent] == ["GET"]


def test_the_row_says_who_and_when_and_no_secret_of_the_address(desk: Desk) -> None:
    secret = CALLBACK.model_copy(update={"address": f"{CALLBACK.address}?key=s3cret"})
    desk.sign(secret)
    desk.deliver(answer(410))
    [switch], cursor = desk.switches.switched_off("default", 10, None)
    assert cursor is None
    assert (switch.id, switch.channel, switch.state) == (destination_id(secret), "callback", "off")
    assert switch.address == f"{CALLBACK.address}?…"
    assert desk.switches.off_since("default", secret) == "2026-09-21T13:30:00.000Z"
    on = desk.switches.turn_on("default", switch.id, "maria", "sub-1", LATER)
    assert [turn.model_dump(exclude_none=True) for turn in on.history] == [
        {"state": "off", "at": "2026-09-21T13:30:00.000Z", "by": REF.case_id},
        {"state": "on", "at": "2026-09-21T13:35:00.000Z", "by": "maria", "subject": "sub-1"},
    ]
    assert desk.switches.switched_off("default", 10, None) == ([], None)
    assert desk.switches.off_since("default", secret) is None
    assert "s3cret" not in str(desk.ledger.row("default#destinations", switch.id))


def test_who_turns_it_on_second_changes_nothing(desk: Desk) -> None:
    desk.switches.turn_off(REF, CALLBACK, NOW)
    first = desk.switches.turn_on("default", destination_id(CALLBACK), "maria", None, LATER)
    assert desk.switches.turn_on("default", destination_id(CALLBACK), "jun", None, LATER) == first


def test_a_destination_is_one_tenant_s(desk: Desk) -> None:
    desk.switches.turn_off(CaseRef(tenant="other", case_id="c-1"), CALLBACK, NOW)
    assert desk.switches.is_off("other", CALLBACK)
    assert not desk.switches.is_off("default", CALLBACK)
    assert desk.switches.switched_off("default", 10, None) == ([], None)
    with pytest.raises(NotFound):
        desk.switches.turn_on("default", destination_id(CALLBACK), "maria", None, LATER)


def test_another_address_is_another_destination() -> None:
    addresses = [CALLBACK.address, f"{CALLBACK.address}?a", CALLBACK.address.upper()]
    others = [CALLBACK.model_copy(update={"address": address}) for address in addresses]
    others.append(DISCUSSION.model_copy(update={"address": CALLBACK.address}))
    assert len({destination_id(each) for each in others}) == 4
    assert shown_address(ISSUE) == ISSUE.address


# A person's word and an answer that crossed it


@pytest.mark.parametrize(
    ("turned_on", "expected"),
    [
        (NOW + timedelta(seconds=1), ("retry", None)),
        (NOW, ("retry", None)),
        (NOW - timedelta(milliseconds=1), ("failed", "DestinationOff")),
    ],
    ids=["after the attempt began", "at that moment", "before it began"],
)
def test_an_answer_to_an_attempt_from_before_does_not_overrule_a_person(
    desk: Desk, turned_on: Any, expected: tuple[str, str | None]
) -> None:
    desk.sign()

    def meanwhile() -> Answer:
        desk.switches.turn_off(REF, CALLBACK, turned_on - timedelta(seconds=9))
        desk.switches.turn_on("default", destination_id(CALLBACK), "maria", None, turned_on)
        return answer(410)

    desk.network.meanwhile = meanwhile
    outcome = desk.courier.deliver(message(), NOW, repeated=False)
    assert (outcome.outcome, outcome.reason, outcome.status) == (*expected, 410)
    assert desk.switches.is_off("default", CALLBACK) == (expected[0] == "failed")


def test_two_that_are_told_so_at_once_switch_it_off_once(desk: Desk) -> None:
    assert desk.switches.turn_off(REF, CALLBACK, NOW)
    assert Switches(desk.ledger).turn_off(CaseRef(tenant="default", case_id="c-2"), CALLBACK, LATER)
    [switch], _ = desk.switches.switched_off("default", 10, None)
    assert [turn.by for turn in switch.history] == [REF.case_id]


# What it costs


def test_an_address_that_is_on_costs_a_look_a_minute_for_all_of_a_tenant_s(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = [1_000.0]
    monkeypatch.setattr("countersign.switches.time.monotonic", lambda: time[0])
    desk.calls.clear()
    for _ in range(3):
        assert not desk.switches.is_off("default", CALLBACK)
        assert not desk.switches.is_off("default", ISSUE)
    assert desk.calls == ["Query"]
    other = Switches(desk.ledger)
    other.turn_off(REF, CALLBACK, NOW)
    assert not desk.switches.is_off("default", CALLBACK)
    time[0] += KEEP_S
    assert desk.switches.is_off("default", CALLBACK)
    # Off is never taken from memory: a person may have turned it on elsewhere.
    other.turn_on("default", destination_id(CALLBACK), "maria", None, LATER)
    assert not desk.switches.is_off("default", CALLBACK)


def test_a_list_of_several_pages_is_read_to_its_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countersign.switches.PAGE", 2)
    all_off = [CALLBACK.model_copy(update={"address": f"https://a.example.com/{n}"}) for n in range(5)]
    for each in all_off:
        desk.switches.turn_off(REF, each, NOW)
    fresh = Switches(desk.ledger)
    assert all(fresh.is_off("default", each) for each in all_off)
    listed, cursor = fresh.switched_off("default", 3, None)
    rest, end = fresh.switched_off("default", 3, cursor)
    assert ({each.id for each in (*listed, *rest)}, end) == ({destination_id(e) for e in all_off}, None)
