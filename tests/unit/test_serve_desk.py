"""The operators' desk: who may come to it, what has failed, and what a redrive answers."""

import json
import logging
from typing import Any

import pytest

from countersign.clock import instant
from countersign.models import CaseStatus, Intake
from tests.unit.api_calls import Desk, load
from tests.unit.stores import CASE, NOW, REF, Stores

AT = "2026-03-02T09:04:00.000Z"
OPERATOR = {"sub": "00u1", "name": "Alex Doe", "tenant": "default", "groups": "[support operators]"}
CALLS = ["list_failures", "redrive_some", "redrive_all", "redrive_case"]


@pytest.fixture
def desk(stores: Stores) -> Desk:
    stores.open()
    failed = stores.ledger.set_status(
        REF, CaseStatus.FAILED, AT, outcome="ConfigurationError", failed_in="Write Draft"
    )
    stores.ledger.commit([failed])
    return Desk(stores)


def bury(desk: Desk, case_id: str = "c-" + "0" * 32, tenant: str = "default") -> str:
    intake = Intake(tenant=tenant, case_id=case_id, source="webhook", received_at=instant(NOW))
    return desk.queues.bury("intake", intake.model_dump_json())


@pytest.mark.parametrize(
    ("groups", "status"),
    [
        ("[operators]", 200),
        ("[support operators]", 200),
        ("operators", 200),
        ("support,operators", 200),
        ("[support]", 403),
        ("[co-operators]", 403),
        ("", 403),
    ],
)
def test_only_the_group_s_people_come_to_the_desk(desk: Desk, groups: str, status: int) -> None:
    answer = desk.call("list_failures", claims=OPERATOR | {"groups": groups})
    assert answer.status == status
    assert status == 200 or answer.code == "not_allowed"


@pytest.mark.parametrize("name", CALLS)
def test_a_token_without_groups_is_refused_before_anything_is_read(desk: Desk, name: str) -> None:
    letter = bury(desk)
    desk.stores.calls.clear()
    answer = desk.call(name, claims={"sub": "00u1", "name": "Alex Doe"})
    assert (answer.status, answer.code) == (403, "not_allowed")
    assert desk.stores.calls == []
    assert desk.queues.engine.started == []
    assert [found.id for found in desk.queues.redriver.letters("default")] == [letter]


@pytest.mark.parametrize("name", CALLS)
def test_what_is_another_tenant_s_is_not_there(desk: Desk, name: str) -> None:
    letter = bury(desk)
    body = {"redrive_some": {"ids": [CASE, letter]}, "redrive_all": {"all": True}}.get(name)
    answer = desk.call(name, body=body, claims=OPERATOR | {"tenant": "acme"})
    assert answer.status == (404 if name == "redrive_case" else 200)
    assert answer.json().get("failures", []) == []
    assert answer.json().get("redriven", []) == []
    assert desk.stores.status() == "failed"
    assert (desk.queues.waiting("intake"), desk.queues.waiting("intake-dead")) == (0, 1)


def test_failures_are_listed_with_their_reasons(desk: Desk) -> None:
    letter = bury(desk)
    first, second = desk.call("list_failures").json()["failures"]
    assert {**first, "at": ""} == {
        "id": letter,
        "kind": "intake",
        "case_id": "c-" + "0" * 32,
        "state": None,
        "reason": "the function ended without an answer",
        "at": "",
        "redrivable": True,
    }
    assert second == {
        "id": CASE,
        "kind": "case",
        "case_id": CASE,
        "state": "Write Draft",
        "reason": "ConfigurationError",
        "at": AT,
        "redrivable": True,
    }


def test_letters_are_on_the_first_page_alone(desk: Desk) -> None:
    desk.stores.open(desk.stores.files.read(REF).model_copy(update={"case_id": "c-" + "2" * 32}))
    other = REF.model_copy(update={"case_id": "c-" + "2" * 32})
    desk.stores.ledger.commit([desk.stores.ledger.set_status(other, CaseStatus.FAILED, instant(NOW))])
    bury(desk)
    first = desk.call("list_failures", query={"limit": "1"}).json()
    assert [each["kind"] for each in first["failures"]] == ["intake", "case"]
    second = desk.call("list_failures", query={"limit": "1", "cursor": first["cursor"]}).json()
    assert [each["id"] for each in second["failures"]] == [other.case_id]


def test_listing_changes_nothing(desk: Desk) -> None:
    letter = bury(desk)
    before = desk.stores.db.scan(TableName="cases")["Items"]
    desk.stores.calls.clear()
    for _ in range(2):
        assert desk.call("list_failures").json()["failures"][0]["id"] == letter
    assert set(desk.stores.calls) == {"GetItem", "Query"}
    assert desk.stores.db.scan(TableName="cases")["Items"] == before


def test_some_are_redriven_and_others_refused(desk: Desk) -> None:
    letter = bury(desk)
    body = {"ids": [CASE, letter, "c-unknown", "delivery:unknown"]}
    answer = desk.call("redrive_some", body=body).json()
    assert answer["redriven"] == [
        {"id": letter, "case_id": "c-" + "0" * 32, "execution": None, "did": "queued_again"},
        {"id": CASE, "case_id": CASE, "execution": f"{CASE}-r2", "did": "started"},
    ]
    assert [each["id"] for each in answer["refused"]] == ["delivery:unknown", "c-unknown"]
    assert answer["cursor"] is None
    line = desk.stores.ledger.history(REF)[1][-1]
    assert (line.actor, line.detail["subject"]) == ("Alex Doe", "00u1a2b3c4")


def test_all_are_redriven(desk: Desk) -> None:
    letter = bury(desk)
    answer = desk.call("redrive_all").json()
    assert [each["id"] for each in answer["redriven"]] == [letter, CASE]
    assert desk.call("list_failures").json() == {"failures": [], "cursor": None}


def test_one_case_is_redriven_once(desk: Desk) -> None:
    first, second = desk.call("redrive_case"), desk.call("redrive_case")
    assert first.status == second.status == 200
    assert first.json() == second.json()
    assert len(desk.queues.engine.started) == 1


def test_a_case_that_has_not_failed_is_refused_in_a_sentence(desk: Desk) -> None:
    running = desk.stores.ledger.set_status(REF, CaseStatus.AWAITING_APPROVAL, AT)
    desk.stores.ledger.commit([running])
    answer = desk.call("redrive_case")
    assert (answer.status, answer.code) == (409, "not_redrivable")
    message = answer.json()["error"]["message"]
    assert message == "the case is awaiting approval, and only one that failed runs again"


def test_where_the_engine_is_down_it_is_asked_for_again(desk: Desk) -> None:
    desk.queues.engine.is_down = True
    answer = desk.call("redrive_case")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
    desk.queues.engine.is_down = False
    assert desk.call("redrive_case").json()["execution"] == f"{CASE}-r2"


@pytest.mark.parametrize("case_id", ["x#y", "a b", "..", f"{CASE}%0a", "x" * 99])
def test_an_id_from_outside_finds_its_case_or_nothing(desk: Desk, case_id: str) -> None:
    assert desk.call("redrive_case", path=f"/cases/{case_id}/redrive").status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": [CASE], "all": True},
        {"ids": [CASE], "cursor": "x"},
        {"ids": CASE},
        {"ids": [1]},
        {"ids": ["x"] * 101},
        {"all": True, "cursor": "zzz"},
        {"all": True, "more": 1},
    ],
)
def test_a_bad_body_is_the_caller_s_fault(desk: Desk, body: dict[str, Any]) -> None:
    assert desk.call("redrive_some", body=body).status == 422
    assert desk.stores.status() == "failed"


@pytest.mark.parametrize("name", CALLS)
def test_what_a_message_holds_is_neither_shown_nor_logged(
    desk: Desk, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.INFO)
    desk.queues.bury("delivery", json.dumps({"task_token": "AQC0token", "text": "Mrs Quagga's mail"}))
    answer = desk.call(name)
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    for text in ("AQC0token", "Quagga"):
        assert text not in answer.body + logged


def test_every_call_has_a_sample() -> None:
    assert {load(name, "serve_desk")["routeKey"] for name in CALLS} == {
        "GET /failures",
        "POST /failures/redrive",
        "POST /cases/{case_id}/redrive",
    }
