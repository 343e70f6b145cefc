"""The calls about approvals: the list, the card, and every way that a decision is answered."""

from datetime import timedelta
from typing import Any

import pytest

from countersign.decisions import Approval
from countersign.proposals import read_signed
from tests.unit.api_calls import Api, load
from tests.unit.stores import APPROVAL, CASE, DRAFT, NOW, REF, TERMS, Stores, case_file

OTHER = {"sub": "00u9z8y7x6", "name": "Sam Roe", "tenant": "default"}


@pytest.fixture
def api(stores: Stores) -> Api:
    stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    stores.tasks.waiting.add("token-1")
    return Api(stores)


def row(api: Api) -> Approval:
    found = api.stores.ledger.approval(REF, APPROVAL)
    assert found is not None
    return found


def decision(api: Api, verdict: str = "approve", **words: Any) -> dict[str, Any]:
    return {"verdict": verdict, "shown_sha256": row(api).shown_sha256, **words}


def test_the_list_shows_who_waits_longest_first(api: Api) -> None:
    file = api.stores.open(case_file(case_id="c-0"))
    api.stores.arbiter.request(file, 1, TERMS, "token-2", NOW - timedelta(hours=1), None)
    rows = api.call("list_approvals").json()["approvals"]
    assert [each["case_id"] for each in rows] == ["c-0", CASE]
    assert rows[1] == {
        "approval_id": APPROVAL,
        "case_id": CASE,
        "status": "pending",
        "subject": "Delivery",
        "requested_at": "2026-03-02T09:00:00.000Z",
        "expires_at": "2026-03-02T12:00:00.000Z",
        "risk": "low",
        "reviewer_score": 0.8,
        "escalated": False,
        "verdict": None,
        "decided_by": None,
        "decided_at": None,
    }
    assert api.call("list_approvals", query={}).json()["approvals"] == rows
    assert api.call("list_approvals", query={"status": "decided"}).json()["approvals"] == []


def test_a_card_says_that_its_destination_is_switched_off(api: Api) -> None:
    destination = case_file().request.destination
    assert api.call("show_approval").json()["destination"]["off_since"] is None
    api.switches.turn_off(REF, destination, NOW)
    assert api.call("show_approval").json()["destination"] == {
        "channel": "callback",
        "address": "https://example.com/replies",
        "off_since": "2026-03-02T09:00:00.000Z",
    }
    # Of what is decided nobody needs to know it, and a case that failed says so itself.
    api.call("reject", body=decision(api, "reject", reason="Not ours."))
    assert api.call("show_approval").json()["destination"]["off_since"] is None


def test_a_card_takes_three_calls_and_four_once_decided(api: Api) -> None:
    api.call("show_approval")  # looks once a minute which destinations are off
    api.stores.calls.clear()
    card = api.call("show_approval").json()
    assert api.stores.calls == ["GetItem", "GetObject", "GetObject"]
    assert (card["version"], card["will_send"], card["decision"]) == (1, DRAFT, None)
    assert "token-1" not in str(card)
    api.call("reject", body=decision(api, "reject", reason="Not ours."))
    api.stores.calls.clear()
    card = api.call("show_approval").json()
    assert len(api.stores.calls) == 4
    assert card["decision"] == {
        "verdict": "reject",
        "decided_by": "Alex Doe",
        "decided_at": "2026-03-02T09:05:00.000Z",
        "reason": "Not ours.",
        "signed_sha256": None,
        "signed_text": None,
    }


@pytest.mark.parametrize(("name", "words"), [("approve", {}), ("edit", {"text": "Ten times."})])
def test_a_decided_card_shows_what_was_signed_and_what_was_proposed(
    api: Api, name: str, words: dict[str, str]
) -> None:
    api.call(name, body=decision(api, name, **words))
    card = api.call("show_approval").json()
    assert (card["will_send"], card["decision"]["signed_text"]) == (DRAFT, words.get("text", DRAFT))


@pytest.mark.parametrize(
    ("name", "status", "calls"),
    [
        ("approve", "delivering", ["GetItem", "TransactWriteItems"]),
        ("edit", "delivering", ["GetItem", "GetObject", "PutObject", "TransactWriteItems"]),
        ("respond", "running", ["GetItem", "PutObject", "TransactWriteItems"]),
        ("reject", "running", ["GetItem", "PutObject", "TransactWriteItems"]),
    ],
)
def test_a_decision_is_answered_with_its_outcome(api: Api, name: str, status: str, calls: list[str]) -> None:
    """The calls of AWS are these and the one that tells Step Functions."""
    words = {"edit": {"text": "Ten times [1]."}, "respond": {"reason": "Why?"}, "reject": {"reason": "No."}}
    body = decision(api, name, **words.get(name, {}))
    api.stores.calls.clear()
    answer = api.call(name, body=body)
    assert api.stores.calls == calls
    assert answer.status == 200
    assert answer.json() == {
        "approval_id": APPROVAL,
        "case_id": CASE,
        "version": 1,
        "status": "decided",
        "verdict": name,
        "decided_by": "Alex Doe",
        "decided_at": "2026-03-02T09:05:00.000Z",
        "signed_sha256": row(api).signed_sha256,
    }
    assert api.stores.status() == status
    assert [token for token, _ in api.stores.tasks.told] == ["token-1"]


def test_who_comes_second_learns_who_came_first(api: Api) -> None:
    body = decision(api)
    api.call("approve", body=body)
    for claims in (None, OTHER):
        answer = api.call("reject", body=decision(api, "reject", reason="No."), claims=claims)
        assert (answer.status, answer.code) == (409, "already_decided")
        assert {name: answer.json()[name] for name in ("decided_by", "decided_at", "verdict")} == {
            "decided_by": "Alex Doe",
            "decided_at": "2026-03-02T09:05:00.000Z",
            "verdict": "approve",
        }
    assert len(api.stores.tasks.told) == 1


def test_another_card_than_the_one_that_waits_is_stale(api: Api) -> None:
    answer = api.call("approve", body=decision(api) | {"shown_sha256": "0" * 64})
    assert (answer.status, answer.code) == (409, "stale_card")
    assert "decided_by" not in answer.json()


def test_after_the_deadline_it_is_gone(api: Api) -> None:
    api.now = NOW + timedelta(hours=3)
    answer = api.call("approve", body=decision(api))
    assert (answer.status, answer.code) == (410, "approval_expired")
    assert row(api).status == "pending"


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "yes"},
        {"verdict": None},
        {"shown_sha256": None},
        {"shown_sha256": "0" * 63},
        {"shown_sha256": "A" * 64},
        {"shown_sha256": "0" * 64 + "\n"},
        {"reason": "x" * 8_193},
        {"reason": 1},
        {"text": "x" * 65_537, "verdict": "edit"},
        {"text": "Other words."},
        {"verdict": "edit"},
        {"verdict": "edit", "text": " "},
        {"verdict": "edit", "text": " \n\u200b\u2066"},
        {"verdict": "respond"},
        {"verdict": "respond", "reason": "\n"},
        {"verdict": "reject"},
        {"decided_by": "somebody else"},
        {"version": 1},
    ],
)
def test_a_malformed_decision_is_none(api: Api, changes: dict[str, Any]) -> None:
    before = row(api)
    answer = api.call("approve", body=decision(api) | changes)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert row(api) == before
    assert "x" * 100 not in answer.body, "an answer does not repeat what came"


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("edit", {"text": "é" * 65_536}), ("reject", {"reason": "é" * 8_192})],
)
def test_words_may_be_as_long_as_they_may(api: Api, verdict: str, words: dict[str, str]) -> None:
    assert api.call(verdict, body=decision(api, verdict, **words)).status == 200


def test_a_decision_stands_where_the_engine_could_not_be_told(api: Api) -> None:
    api.stores.tasks.is_down = True
    assert api.call("approve", body=decision(api)).status == 200
    assert row(api).verdict == "approve"
    api.stores.tasks.is_down = False
    assert api.stores.arbiter.tell(row(api))


def test_without_a_draft_there_is_nothing_to_approve(stores: Stores) -> None:
    stores.arbiter.request(stores.open(case_file(text=None)), 1, TERMS, "t", NOW, "ModelThrottled")
    api = Api(stores)
    card = api.call("show_approval").json()
    assert (card["reason"], card["draft"]["text"], card["will_send"]) == ("ModelThrottled", "", "")
    assert api.call("approve", body=decision(api)).status == 422
    assert api.call("edit", body=decision(api, "edit", text="We try ten times.")).status == 200
    signed = read_signed(stores.files, str(row(api).signed_key), str(row(api).signed_sha256))
    assert signed.text == "We try ten times."


def test_nothing_but_the_decision_call_decides(api: Api) -> None:
    """A link that somebody's mail scanner follows changes nothing, whatever stands in it."""
    event = load("show_approval")
    event["queryStringParameters"] = {"verdict": "approve", "shown_sha256": row(api).shown_sha256}
    before = row(api)
    assert api.call(event).status == 200
    event = load("approve")
    event["requestContext"]["http"]["method"] = "GET"
    event["routeKey"] = "GET /approvals/{approval_id}"
    assert api.call(event).status == 404
    assert row(api) == before
