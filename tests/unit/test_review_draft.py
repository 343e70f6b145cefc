"""Review Draft: the model's view and the deterministic check, and what the policy then asks for."""

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.errors import CaseFileMissing, ModelOutputInvalid, ModelThrottled, StepError
from countersign.models import CaseFile, Draft, ModelCall
from countersign.policies import Policy
from countersign_llm.allowance import Allowance
from countersign_llm.schemas import DraftReview
from functions.review_draft.app import handler
from tests.unit.stores import REF, Context, Stores, call, case_file

EVENT = json.loads((Path(__file__).parents[2] / "events/review_draft/first_round.json").read_text())
TRUE = "Delivery is tried ten times. [1]"
RULE = {"match": {}, "deadline_s": 60, "escalation_s": 60}
STRICT = Policy.model_validate({"name": "strict", "version": 2, "rules": [RULE | {"needed": True}]})
TRUSTING = Policy.model_validate(
    {
        "name": "trusting",
        "version": 1,
        "rules": [RULE | {"match": {"risk": ["high"]}, "needed": True}, RULE | {"needed": False}],
    }
)


class Reviewer:
    """Answers with a view or an error, and keeps the drafts it was shown."""

    def __init__(self, error: StepError | None = None, **view: Any) -> None:
        self.asked: list[Draft] = []
        self._error = error
        self._view = {"summary": "Good.", "score": 0.9, "verdict": "accept"} | view

    def __call__(
        self, file: CaseFile, draft: Draft, allowance: Allowance
    ) -> tuple[DraftReview, list[ModelCall]]:
        self.asked.append(draft)
        if self._error:
            raise self._error
        return DraftReview.model_validate(self._view), [call("reviewer", 300, 40)]


def open_with(stores: Stores, text: str, *, answered: bool = True, risk: str = "low") -> CaseFile:
    file = case_file(text=text)
    assert file.plan is not None
    draft = Draft(text=text, engine="roles", answered=answered)
    written = file.rounds[0].model_copy(update={"draft": draft, "review": None})
    plan = file.plan.model_copy(update={"risk": risk})
    return stores.open(file.with_round(written).model_copy(update={"plan": plan}))


def review(stores: Stores, reviewer: Reviewer, policy: Policy = TRUSTING) -> dict[str, Any]:
    answer: dict[str, Any] = handler(EVENT, Context(), stores.files, reviewer, policy)
    return answer


def test_a_draft_that_holds_is_accepted_in_two_calls_and_the_models(stores: Stores) -> None:
    open_with(stores, TRUE)
    stores.calls.clear()
    answer = review(stores, Reviewer(), STRICT)
    assert stores.calls == ["GetObject", "PutObject"]
    terms = answer.pop("terms")
    assert answer == {"verdict": "accept", "score": 0.9, "support": 1.0, "unsupported": 0}
    assert terms["policy"] == {"name": "strict", "version": 2}
    assert terms["needed"] is True
    stored = stores.files.read(REF).rounds[0].review
    assert stored is not None
    assert stored.summary == "Good."


def test_a_review_that_runs_twice_is_paid_once(stores: Stores) -> None:
    open_with(stores, TRUE)
    reviewer = Reviewer()
    first = review(stores, reviewer)
    assert review(stores, reviewer) == first
    assert len(reviewer.asked) == 1


@pytest.mark.parametrize(
    ("text", "view", "verdict", "unsupported", "problem"),
    [
        pytest.param(TRUE, {}, "accept", 0, None, id="both agree"),
        pytest.param(
            TRUE,
            {"verdict": "revise", "findings": [{"sentence": 1, "problem": "Say for how long."}]},
            "revise",
            0,
            (0, "Say for how long."),
            id="the model alone",
        ),
        pytest.param(
            "Delivery is tried twelve times. [1]", {}, "revise", 1, (0, "What it cites says"), id="a number"
        ),
        pytest.param("Delivery is never tried. [1]", {}, "revise", 1, (0, "What it cites"), id="a negation"),
        pytest.param(
            f"{TRUE} Refunds take a week. [2]", {}, "revise", 1, (1, "does not state"), id="not stated"
        ),
        pytest.param(
            f"{TRUE} Redirects are never followed.",
            {},
            "revise",
            1,
            (1, "passage 2 states it"),
            id="no marker",
        ),
        pytest.param(
            f"{TRUE} Refunds take 7 days.", {}, "revise", 1, (1, "no passage states it"), id="an invention"
        ),
        pytest.param(
            f"{TRUE} Whether there is a fee is not described.", {}, "accept", 1, None, id="an open point"
        ),
        pytest.param(
            TRUE,
            {"verdict": "revise", "findings": [{"sentence": 9, "problem": "Odd."}]},
            "revise",
            0,
            (None, "Odd."),
            id="a sentence that is not there",
        ),
    ],
)
def test_either_view_sends_a_draft_back(
    stores: Stores,
    text: str,
    view: dict[str, Any],
    verdict: str,
    unsupported: int,
    problem: tuple[int | None, str] | None,
) -> None:
    open_with(stores, text)
    answer = review(stores, Reviewer(**view))
    assert (answer["verdict"], answer["unsupported"]) == (verdict, unsupported)
    stored = stores.files.read(REF).rounds[0].review
    assert stored is not None
    if problem is None:
        assert stored.findings == []
    else:
        (finding,) = stored.findings
        assert finding.claim == problem[0]
        assert problem[1] in finding.problem


@pytest.mark.parametrize(
    ("text", "view", "risk", "needed"),
    [
        (TRUE, {}, "low", False),
        (TRUE, {}, "high", True),
        (f"{TRUE} Whether there is a fee is not described.", {}, "low", True),
        (TRUE, {"verdict": "revise"}, "low", True),
    ],
)
def test_a_policy_approves_only_what_is_supported_and_accepted(
    stores: Stores, text: str, view: dict[str, Any], risk: str, needed: bool
) -> None:
    open_with(stores, text, risk=risk)
    assert review(stores, Reviewer(**view))["terms"]["needed"] is needed


def test_an_honest_draft_that_answers_nothing_is_no_reason_to_revise(stores: Stores) -> None:
    open_with(stores, "We did not find an answer to this in our documentation.", answered=False)
    answer = review(stores, Reviewer())
    assert (answer["verdict"], answer["support"], answer["terms"]["needed"]) == ("accept", 0.0, True)


@pytest.mark.parametrize(
    "error", [ModelOutputInvalid("no view", calls=[call("reviewer", 300, 40)]), ModelThrottled("slow down")]
)
def test_where_the_model_fails_the_check_stands_alone(stores: Stores, error: StepError) -> None:
    open_with(stores, TRUE)
    with pytest.raises(type(error)):
        review(stores, Reviewer(error))
    file = stores.files.read(REF)
    stored = file.rounds[0].review
    assert stored is not None
    assert (stored.verdict, stored.score, stored.support) == ("accept", 1.0, 1.0)
    assert "deterministic check alone" in stored.summary
    failed = [step for step in file.steps if step.error]
    assert [(step.error, len(step.calls)) for step in failed] == [(type(error).__name__, len(error.calls))]
    assert review(stores, Reviewer())["score"] == 0.9


def test_without_a_draft_there_is_nothing_to_review(stores: Stores) -> None:
    stores.open(case_file(text=None))
    with pytest.raises(CaseFileMissing, match="no draft of round 1"):
        review(stores, Reviewer())
