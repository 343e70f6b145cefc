"""Plan Work: a plan is paid for once, and what a failed attempt cost is not forgotten."""

import json
from pathlib import Path

import pytest

from countersign.errors import ModelOutputInvalid, ModelThrottled, StepError
from countersign.models import CaseFile, ModelCall, Plan, PlanStep
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
        self._error = error

    def __call__(self, file: CaseFile) -> tuple[Plan, list[ModelCall]]:
        self.asked.append(file)
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


def test_an_attempt_that_cost_nothing_leaves_no_trace(opened: Stores) -> None:
    with pytest.raises(ModelThrottled):
        handler(EVENT, Context(), opened.files, Planner(ModelThrottled("slow down")))
    assert opened.calls == ["GetObject"]
    assert opened.files.read(REF).steps == []
