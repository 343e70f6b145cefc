"""The desk's calls about records: what they take, what they answer, and whose records they touch."""

from dataclasses import replace
from typing import Any

import pytest

from countersign.case_file import raw_key
from countersign.clock import instant
from countersign.intake import derive_case_id
from countersign.models import CaseRef, CaseStatus, RawEvent, canonical_json
from tests.unit.api_calls import Desk
from tests.unit.stores import REF, Stores, case_file
from tests.unit.test_reconciling import DeadLetters, Executions, Queue, reconciler

OTHERS = {"sub": "00u1", "name": "Alex Doe", "tenant": "acme", "groups": "[operators]"}


class Records(Desk):
    """The desk with executions, dead letters and a queue of its own."""

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self.executions, self.queue = Executions(), Queue()
        desk = reconciler(stores, self.executions, DeadLetters(), self.queue)
        self.ports = replace(self.ports, reconciler=lambda: desk, arbiter=lambda: stores.arbiter)

    def accept(self, ref: CaseRef = REF) -> None:
        raw = RawEvent(source="webhook", received_at="2026-03-02T08:59:58.000Z", headers={}, body="{}")
        assert self.stores.files.put_once(raw_key(ref), canonical_json(raw))


@pytest.fixture
def desk(stores: Stores) -> Records:
    return Records(stores)


def test_an_account_says_what_became_of_events_and_changes_nothing(desk: Records) -> None:
    desk.accept()
    desk.stores.open()  # its head has the time of the desk's clock; its execution is gone
    desk.now = desk.now.replace(hour=18)
    desk.stores.calls.clear()
    page = desk.call("account_for_events").json()
    [lost] = page.pop("unaccounted")
    assert page == {"accepted": 1, "ended": {}, "moving": 0, "dead_letters": 0, "cursor": None}
    assert lost | {"received_at": ""} == {
        "case_id": REF.case_id,
        "received_at": "",
        "status": "running",
        "execution": None,
        "reason": "abandoned",
    }
    assert not [call for call in desk.stores.calls if call.startswith(("Put", "Update", "Delete"))]
    assert desk.queue.sent == []


@pytest.mark.parametrize(
    "query", [{"since": "yesterday"}, {"since": "2026-03-01"}, {"cursor": "a/b"}, {"cursor": "x" * 2_000}]
)
def test_a_bad_query_is_the_caller_s_fault(desk: Records, query: dict[str, str]) -> None:
    answer = desk.call("account_for_events", query=query)
    assert (answer.status, answer.code) == (422, "invalid_request")


def test_a_lost_event_is_put_back_and_the_rest_is_refused(desk: Records) -> None:
    desk.accept()
    desk.stores.open()
    answer = desk.call("repair_events", body={"case_ids": [REF.case_id, "c-0", REF.case_id]}).json()
    assert answer == {
        "repaired": [
            {"case_id": REF.case_id, "did": "redriven", "execution": f"{REF.case_id}-r2"},
        ],
        "refused": [{"case_id": "c-0", "reason": "there is no such event"}],
    }
    assert [(intake.tenant, intake.run) for intake in desk.executions.started] == [("default", 2)]


@pytest.mark.parametrize(
    "body", [{}, {"case_ids": []}, {"case_ids": ["a/b"]}, {"case_ids": ["c-1"] * 26}, {"case_ids": "c-1"}]
)
def test_a_bad_list_of_cases_is_the_caller_s_fault(desk: Records, body: dict[str, Any]) -> None:
    answer = desk.call("repair_events", body=body)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert desk.queue.sent == []


def test_another_tenant_s_events_are_not_there(desk: Records) -> None:
    desk.accept()
    assert desk.call("account_for_events", claims=OTHERS).json()["accepted"] == 0
    refused = desk.call("repair_events", claims=OTHERS).json()["refused"]
    assert refused == [{"case_id": REF.case_id, "reason": "there is no such event"}]
    assert desk.call("find_unknown_events", claims=OTHERS).status == 404


def test_known_is_what_was_accepted_with_or_without_a_case(desk: Records) -> None:
    opened, kept, unknown = (
        CaseRef(tenant="default", case_id=derive_case_id("default", "github", key))
        for key in ("opened", "kept", "unknown")
    )
    desk.stores.open(case_file(opened.tenant, opened.case_id))
    desk.accept(kept)
    asked = {"source": "github", "event_ids": ["unknown", "opened", "kept"]}
    assert desk.call("find_unknown_events", body=asked).json() == {"unknown": ["unknown"]}
    assert unknown.case_id != kept.case_id


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"source": "nobody", "event_ids": ["a"]}, 404),
        ({"source": "../webhook", "event_ids": ["a"]}, 404),
        ({"source": "github", "event_ids": []}, 422),
        ({"source": "github", "event_ids": ["\ud800"]}, 422),
        ({"source": "github", "event_ids": ["a"] * 101}, 422),
    ],
)
def test_a_bad_question_is_the_caller_s_fault(desk: Records, body: dict[str, Any], status: int) -> None:
    assert desk.call("find_unknown_events", body=body).status in {status, 400}


def test_a_case_that_ended_is_forgotten_by_who_asked(desk: Records) -> None:
    desk.accept()
    desk.stores.open(status=CaseStatus.REJECTED)
    done = desk.call("forget_case").json()
    assert done == {
        "case_id": REF.case_id,
        "forgotten_at": instant(desk.now),
        "erased": 1,
        "recalled_by": [],
    }
    last = desk.stores.ledger.history(REF)[1][-1]
    assert (last.event, last.actor) == ("case.forgotten", "Alex Doe")


@pytest.mark.parametrize("path", [f"/cases/{REF.case_id}/forget", "/cases/c-0/forget", "/cases/a%23b/forget"])
def test_what_is_not_there_is_not_forgotten(desk: Records, path: str) -> None:
    desk.stores.open(case_file("acme"), CaseStatus.REJECTED)
    assert desk.call("forget_case", path=path).status == 404


def test_a_case_that_runs_is_not_forgotten(desk: Records) -> None:
    desk.stores.open()
    answer = desk.call("forget_case")
    assert (answer.status, answer.code) == (409, "case_not_ended")
    assert desk.stores.files.read(REF).request.subject == "Delivery"
