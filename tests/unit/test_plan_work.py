"""Plan Work: a plan is paid for once, and what a failed attempt cost is not forgotten."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from countersign.case_file import LOST_ATTEMPTS
from countersign.errors import (
    BudgetExhausted,
    ModelOutputInvalid,
    ModelThrottled,
    ModelUnavailable,
    StepError,
)
from countersign.models import CaseFile, ModelCall, Plan, PlanStep
from countersign.spending import needed_usd
from countersign_llm.allowance import Allowance
from functions.plan_work.app import handler
from tests.unit.stores import REF, Context, Stores, call, case_file

EVENT = json.loads((Path(__file__).parents[2] / "events/plan_work/request.json").read_text())
PLAN = Plan(
    steps=[PlanStep(query="attempts", purpose="how often"), PlanStep(query="hours", purpose="how long")],
    risk="medium",
    risk_reason="Somebody will act on it.",
)


class Planner:
    """Answers with a plan or an error, and keeps what it was asked."""

    def __init__(self, error: StepError | None = None) -> None:
        self.asked: list[CaseFile] = []
        self.allowed: list[Decimal | None] = []
        self._error = error

    def __call__(self, file: CaseFile, allowance: Allowance) -> tuple[Plan, list[ModelCall]]:
        self.asked.append(file)
        self.allowed.append(allowance.left_usd)
        if self._error:
            raise self._error
        return PLAN, [call("planner", 100, 20)]


@pytest.fixture
def opened(stores: Stores) -> Stores:
    stores.open(case_file(text=None).model_copy(update={"plan": None, "passages": [], "steps": []}))
    stores.calls.clear()
    return stores


def test_the_plan_lies_in_the_case_file_and_the_execution_learns_numbers(opened: Stores) -> None:
    assert handler(EVENT, Context(), opened.files, Planner()) == {"steps": 2, "risk": "medium"}
    assert opened.calls == ["GetObject", "PutObject"]
    file = opened.files.read(REF)
    assert file.plan == PLAN
    assert [c.role for c in file.calls()] == ["planner"]


def test_a_step_that_runs_twice_is_paid_once(opened: Stores) -> None:
    planner = Planner()
    first = handler(EVENT, Context(), opened.files, planner)
    assert handler(EVENT, Context(), opened.files, planner) == first
    assert len(planner.asked) == 1


def test_what_a_failed_attempt_cost_is_counted_and_the_step_stays_open(opened: Stores) -> None:
    spent = call("planner", 100, 20)
    with pytest.raises(ModelOutputInvalid):
        handler(EVENT, Context(), opened.files, Planner(ModelOutputInvalid("no plan", calls=[spent, spent])))
    file = opened.files.read(REF)
    assert file.cost_usd() == 2 * (spent.cost_usd or 0)
    assert [(s.state, s.error) for s in file.steps] == [("Plan Work", "ModelOutputInvalid")]
    handler(EVENT, Context(), opened.files, Planner())
    assert len(opened.files.read(REF).calls()) == 3


def attempt(retries: int, entered: str = "2026-03-02T09:00:00.050Z") -> dict[str, Any]:
    return EVENT | {"attempt": {"entered": entered, "retries": retries}}


def test_an_attempt_that_cost_nothing_is_noted_and_leaves_the_money_as_it_was(opened: Stores) -> None:
    throttled, planner = Planner(ModelThrottled("slow down")), Planner()
    with pytest.raises(ModelThrottled):
        handler(attempt(0), Context(), opened.files, throttled)
    handler(attempt(1), Context(), opened.files, planner)
    assert throttled.allowed == planner.allowed == [Decimal("0.05")]
    assert [(s.error, s.calls) for s in opened.files.read(REF).steps[:1]] == [("ModelThrottled", [])]


def test_an_attempt_that_left_no_record_may_have_spent_all_that_was_left(opened: Stores) -> None:
    planner = Planner(ModelThrottled("slow down"))
    for retries in (1, 2):
        with pytest.raises(ModelThrottled):
            handler(attempt(retries), Context(), opened.files, planner)
    assert planner.allowed == [0, 0], "the lost one is counted once"
    file = opened.files.read(REF)
    assert [s.error for s in file.steps] == ["AttemptLost", "ModelThrottled", "ModelThrottled"]
    assert file.cost_usd() == Decimal("0.05")


def test_a_step_that_is_cut_off_again_and_again_goes_to_a_person(opened: Stores) -> None:
    planner = Planner(BudgetExhausted("all is gone", needed_usd=Decimal("0.02")))
    for number in range(LOST_ATTEMPTS - 1):
        with pytest.raises(BudgetExhausted):
            handler(attempt(1, f"entry {number}"), Context(), opened.files, planner)
    with pytest.raises(ModelUnavailable):
        handler(attempt(1, "the last"), Context(), opened.files, planner)
    assert len(planner.allowed) == LOST_ATTEMPTS - 1
    assert needed_usd(opened.files.read(REF)) == 0


def test_what_a_step_needs_is_kept_for_the_reservation(opened: Stores) -> None:
    with pytest.raises(BudgetExhausted):
        handler(
            attempt(0), Context(), opened.files, Planner(BudgetExhausted("x", needed_usd=Decimal("0.08")))
        )
    assert needed_usd(opened.files.read(REF)) == Decimal("0.08")


def test_a_call_that_may_be_on_the_bill_counts(opened: Stores) -> None:
    error = ModelUnavailable("the answer broke off")
    error.assumed_usd = Decimal("0.01")
    planner = Planner(error)
    for retries in (0, 1):
        with pytest.raises(ModelUnavailable):
            handler(attempt(retries), Context(), opened.files, planner)
    assert planner.allowed == [Decimal("0.05"), Decimal("0.04")]
