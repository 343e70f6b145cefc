"""Request Approval: a row over what is shown, and the task bound to it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from countersign.approvals import Person
from countersign.claims import Asked
from countersign.clock import instant
from countersign.decisions import DecisionBody
from countersign.errors import CaseFileMissing
from countersign.spending import Limits, usd
from functions.request_approval.app import handler
from tests.unit.stores import APPROVAL, DRAFT, NOW, REF, Context, Stores, call, case_file

EVENTS = Path(__file__).parents[2] / "events/request_approval"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "text", "has_draft", "reason"),
    [("draft", DRAFT, True, None), ("model_failed", None, False, "ModelThrottled")],
)
def test_a_person_is_asked(
    stores: Stores, name: str, text: str | None, has_draft: bool, reason: str | None
) -> None:
    stores.open(case_file(text=text))
    stores.hold()
    stores.calls.clear()
    answer = handler(event(name), Context(), stores.arbiter, stores.holds)
    assert stores.calls == ["GetObject", "PutObject", "TransactWriteItems"]
    assert answer == {"approval_id": APPROVAL, "version": 1}
    approval = stores.ledger.approval(REF, APPROVAL)
    assert approval is not None
    assert (approval.has_draft, approval.reason) == (has_draft, reason)
    assert approval.task_token == event(name)["task_token"]
    assert stores.status() == "awaiting_approval"


def test_people_who_think_hold_nothing(stores: Stores) -> None:
    stores.open()
    stores.hold()
    for _ in range(2):
        handler(event("draft"), Context(), stores.arbiter, stores.holds)
        usage = stores.claims.usage("default", "2026-03-02")
        assert (usd(usage.used), dict(usage.held), dict(usage.holders)) == (Decimal("0.0004"), {}, {})


def test_a_redriven_case_whose_decision_is_made_lets_go_as_well(stores: Stores) -> None:
    file = stores.open()
    handler(event("draft"), Context(), stores.arbiter, stores.holds)
    approval = stores.ledger.approval(REF, APPROVAL)
    assert approval is not None
    body = DecisionBody(verdict="approve", shown_sha256=approval.shown_sha256)
    stores.arbiter.decide(approval, body, Person("Alex", "test"), NOW)
    hold = stores.claims.take(
        Asked(REF, "r2#1", Decimal("0.05"), file.known_cost_usd(), instant(NOW)),
        Limits(Decimal(1), Decimal("0.05"), 1),
        NOW,
    )
    given = event("draft") | {"reservation": hold.model_dump(mode="json"), "task_token": "second"}
    handler(given, Context(), stores.arbiter, stores.holds)
    usage = stores.claims.usage("default", "2026-03-02")
    assert (usage.used, dict(usage.held), dict(usage.holders)) == (0, {}, {})


def test_a_case_whose_price_is_unknown_has_spent_all_that_it_held(stores: Stores) -> None:
    file = case_file()
    unknown = [
        step.model_copy(update={"calls": [call("writer", 9, 9).model_copy(update={"cost_usd": None})]})
        for step in file.steps
    ]
    stores.open(file.model_copy(update={"steps": unknown}))
    stores.hold()
    handler(event("draft"), Context(), stores.arbiter, stores.holds)
    assert usd(stores.claims.usage("default", "2026-03-02").used) == Decimal("0.05")


def test_the_call_that_is_made_twice_asks_once(stores: Stores) -> None:
    stores.open()
    first = handler(event("draft"), Context(), stores.arbiter, stores.holds)
    assert handler(event("draft"), Context(), stores.arbiter, stores.holds) == first
    assert stores.events().count("approval.requested") == 1


def test_a_case_without_its_file_fails(stores: Stores) -> None:
    with pytest.raises(CaseFileMissing):
        handler(event("draft"), Context(), stores.arbiter, stores.holds)
