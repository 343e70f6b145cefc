"""Gather Evidence: one look-up for each step of the plan, kept under the step's index, first come."""

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.case_file import evidence_key
from countersign.errors import CaseFileMissing, KnowledgeUnavailable
from countersign.models import Found, Passage, Plan, PlanStep
from functions.gather_evidence.app import handler
from tests.unit.stores import REF, Context, Stores, case_file, passage

EVENTS = Path(__file__).parents[2] / "events/gather_evidence"
PLAN = Plan(
    steps=[PlanStep(query="attempts", purpose="how often"), PlanStep(query="hours", purpose="how long")],
    risk="low",
    risk_reason="A fact.",
)


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


class Knowledge:
    """Answers each query with the passages it was given for it."""

    def __init__(self, **passages: list[Passage]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._passages = passages

    def __call__(self, query: str, tenant: str) -> list[Passage]:
        self.asked.append((query, tenant))
        return self._passages.get(query, [])


@pytest.fixture
def planned(stores: Stores) -> Stores:
    stores.open(case_file(text=None).model_copy(update={"plan": PLAN, "passages": []}))
    stores.calls.clear()
    return stores


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        ("first_step", "attempts", {"found": 2, "best_score": 0.9}),
        ("second_step", "hours", {"found": 0, "best_score": 0.0}),
    ],
)
def test_a_step_looks_up_its_own_query_for_its_own_tenant(
    planned: Stores, name: str, query: str, expected: dict[str, Any]
) -> None:
    knowledge = Knowledge(attempts=[passage(1, "a.md", "Ten times."), passage(2, "b.md", "75 hours.")])
    assert handler(event(name), Context(), planned.files, knowledge) == expected
    assert knowledge.asked == [(query, "default")]
    assert planned.calls == ["GetObject", "PutObject"]
    found = planned.files.get_model(evidence_key(REF, event(name)["index"]), Found)
    assert (found.query, len(found.passages)) == (query, expected["found"])


def test_what_the_first_run_found_stands(planned: Stores) -> None:
    handler(
        event("first_step"), Context(), planned.files, Knowledge(attempts=[passage(1, "a.md", "Ten times.")])
    )
    again = handler(event("first_step"), Context(), planned.files, Knowledge())
    assert again == {"found": 1, "best_score": 0.9}


def test_a_redriven_case_that_has_a_draft_looks_nothing_up_again(planned: Stores) -> None:
    knowledge = Knowledge(attempts=[passage(1, "a.md", "Ten times.")])
    handler(event("first_step"), Context(), planned.files, knowledge)
    drafted = {"passages": [passage(1, "a.md", "Ten times.")]}
    planned.files.update(REF, lambda file: file.model_copy(update=drafted))
    for name, found in (("first_step", 1), ("second_step", 0)):
        assert handler(event(name), Context(), planned.files, knowledge)["found"] == found
    assert knowledge.asked == [("attempts", "default"), ("hours", "default")]


def test_knowledge_that_does_not_answer_is_an_error_of_that_name(planned: Stores) -> None:
    def silent(query: str, tenant: str) -> list[Passage]:
        raise KnowledgeUnavailable("Retrieve answered ThrottlingException")

    with pytest.raises(KnowledgeUnavailable):
        handler(event("first_step"), Context(), planned.files, silent)
    assert planned.calls == ["GetObject"]


def test_without_a_plan_there_is_nothing_to_look_up(stores: Stores) -> None:
    stores.open(case_file(text=None).model_copy(update={"plan": None}))
    with pytest.raises(CaseFileMissing, match="no plan"):
        handler(event("first_step"), Context(), stores.files, Knowledge())
