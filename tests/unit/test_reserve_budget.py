"""Reserve Budget: a slot and money are set aside first; without them a case is parked."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from countersign.budgets import Reserve
from countersign.claims import Asked
from countersign.clock import instant, now
from countersign.errors import BudgetExhausted, BudgetTooSmall, SlotsTaken
from countersign.models import CaseRef, StepRecord
from countersign.spending import Hold, Limits
from functions.reserve_budget.app import handler
from tests.unit.stores import REF, Context, Stores, case_file

EVENTS = Path(__file__).parents[2] / "events/reserve_budget"
OTHER = CaseRef(tenant="default", case_id="c-other")
SPENT = Decimal("0.0004")
"""What the sample case has cost."""


def event(name: str) -> dict[str, Any]:
    given: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return given


def reserve(stores: Stores, given: dict[str, Any], cap: str = "10", slots: int = 2) -> dict[str, Any]:
    limits = Limits(Decimal(cap), Decimal("0.05"), slots)
    answer: dict[str, Any] = handler(given, Context(), Reserve(stores.holds, stores.ledger, limits))
    return answer


def others_hold(stores: Stores, amount: str, cap: str = "10", slots: int = 2) -> Hold:
    asked = Asked(OTHER, "r1#1", Decimal(amount), Decimal(0), instant(now()))
    return stores.claims.take(asked, Limits(Decimal(cap), Decimal("0.05"), slots), now())


def used(stores: Stores) -> Decimal:
    return Decimal(stores.claims.usage("default", f"{now():%Y-%m-%d}").used) / 1_000_000


def test_a_case_takes_its_part_of_the_day_and_a_slot_once(stores: Stores) -> None:
    stores.open()
    reserve(stores, event("case"))
    answer = reserve(stores, event("case"))
    assert answer == {
        "part": "r1#1",
        "day": f"{now():%Y-%m-%d}",
        "reserved_usd": "0.05",
        "spent_before_usd": "0",
    }
    assert used(stores) == Decimal("0.05")
    assert set(stores.claims.usage("default", answer["day"]).holders) == {REF.case_id}
    assert stores.status() == "running"


def test_a_case_that_has_not_spent_yet_costs_one_write(stores: Stores) -> None:
    stores.open()
    others_hold(stores, "0.05")
    stores.calls.clear()
    reserve(stores, event("case"))
    assert stores.calls == ["TransactWriteItems"]


@pytest.mark.parametrize(
    ("held", "slots", "error", "waiting_for"),
    [("0.06", 2, BudgetExhausted, "budget"), ("0.05", 1, SlotsTaken, "slot")],
)
def test_a_case_is_parked_and_says_what_it_waits_for(
    stores: Stores, held: str, slots: int, error: type[Exception], waiting_for: str
) -> None:
    stores.open()
    hold = others_hold(stores, held, "0.10", slots)
    given = event("case")
    for parked_for in ("", waiting_for):
        with pytest.raises(error):
            reserve(stores, given | {"parked_for": parked_for}, "0.10", slots)
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.waiting_for) == ("parked", waiting_for)
    assert [(e.event, e.detail) for e in events[1:]] == [("case.parked", {"waiting_for": waiting_for})]
    assert stores.claims.settle(OTHER, hold, Decimal(0))
    reserve(stores, given | {"parked_for": waiting_for}, "0.10", slots)
    assert stores.status() == "running"


def test_a_case_that_waited_because_too_many_asked_is_parked_once_it_is_refused(stores: Stores) -> None:
    stores.open()  # the machine waits, and nobody wrote that down
    others_hold(stores, "0.05", "0.10", 1)
    with pytest.raises(SlotsTaken):
        reserve(stores, event("case") | {"parked_for": "slot"}, "0.10", 1)
    assert (stores.status(), stores.events()[1:]) == ("parked", ["case.parked"])


def open_stopped(stores: Stores) -> None:
    """Opens a case that needs 0.08 USD to write on."""
    stopped = StepRecord(
        state="Write Draft",
        round=1,
        at="2026-03-02T09:00:01.000Z",
        error="BudgetExhausted",
        detail={"needed_usd": "0.08"},
    )
    file = case_file()
    stores.open(file.model_copy(update={"steps": [*file.steps, stopped]}))


def test_a_case_that_needs_more_gives_back_what_is_left_and_takes_what_it_needs(stores: Stores) -> None:
    open_stopped(stores)
    first = reserve(stores, event("case"))
    for _ in range(2):
        second = reserve(stores, event("needs_more") | {"reservation": first})
        assert (second["reserved_usd"], second["spent_before_usd"]) == ("0.08", str(SPENT))
        assert used(stores) == SPENT + Decimal("0.08")


def test_a_case_that_waits_holds_nothing(stores: Stores) -> None:
    open_stopped(stores)
    first = reserve(stores, event("case"), "0.10")
    others_hold(stores, "0.05", "0.10")
    with pytest.raises(BudgetExhausted):
        reserve(stores, event("needs_more") | {"reservation": first}, "0.10")
    usage = stores.claims.usage("default", first["day"])
    assert (set(usage.holders), set(usage.held)) == ({OTHER.case_id}, {OTHER.case_id})
    assert used(stores) == SPENT + Decimal("0.05")


def test_what_no_day_could_pay_is_not_waited_for(stores: Stores) -> None:
    stopped = StepRecord(
        state="Plan Work", round=0, at="2026-03-02T09:00:01.000Z", error="BudgetExhausted"
    ).model_copy(update={"detail": {"needed_usd": "0.11"}})
    stores.open(case_file().model_copy(update={"steps": [stopped]}))
    with pytest.raises(BudgetTooSmall):
        reserve(stores, event("needs_more"), "0.10")
    assert stores.status() == "running"


def test_a_part_larger_than_the_cap_is_cut_to_it(stores: Stores) -> None:
    stores.open()
    assert reserve(stores, event("case"), "0.02")["reserved_usd"] == "0.02"
