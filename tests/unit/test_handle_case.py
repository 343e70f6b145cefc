"""What handle_case decides: its expressions, evaluated as the local stack evaluates them."""

import re
from pathlib import Path
from typing import Any

import pytest

from countersign.budgets import PAYING
from countersign.claims import LEASE_S, TURN_S
from local import asl
from local.jsonata import evaluate

HANDLE_CASE = asl.read(Path(__file__).parents[2] / "statemachines/handle_case.asl.json")


def expression(state: str, at: str) -> str:
    return dict(HANDLE_CASE.states[state].expressions())[at]


def choose(name: str, **variables: Any) -> tuple[str | None, dict[str, Any]]:
    """Where a choice leads with these variables, and what it assigns."""
    for step in HANDLE_CASE.states[name].steps:
        if step.condition is None or evaluate(dict(asl.expressions(step.condition))[""], variables) is True:
            assigned = {}
            for key, value in step.assign.items():
                assigned[key] = resolve(value, variables)
            return step.target, assigned
    raise AssertionError(f"{name} leads nowhere")


def resolve(value: Any, variables: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: resolve(item, variables) for key, item in value.items()}
    text = dict(asl.expressions(value)).get("")
    return value if text is None else evaluate(text, variables)


HOURS = 3600
SCHEDULE = [5, 300, 1800, 2 * HOURS, 5 * HOURS, 8 * HOURS, 10 * HOURS, 24 * HOURS, 26 * HOURS]


def wait(attempt: int, retry_after_s: float = 0, chance: float = 0) -> Any:
    """Seconds until the next attempt, with a `$random()` that is not random."""
    variables = {"attempt": attempt, "delivery": {"outcome": "retry", "retry_after_s": retry_after_s}}
    text = expression("Wait For Next Attempt", "Seconds")
    assert "$random()" in text
    return evaluate(text.replace("$random()", f"{chance}"), variables)


@pytest.mark.parametrize(("attempt", "base"), list(enumerate(SCHEDULE, start=1)))
def test_the_delivery_schedule(attempt: int, base: int) -> None:
    assert wait(attempt) == base
    assert base < wait(attempt, chance=1) <= base * 1.1 + 1, "a tenth longer at most"
    assert isinstance(wait(attempt, chance=0.123), int), "Step Functions waits for whole seconds"
    assert wait(attempt, base * 3) == base * 3, "a receiver may ask for more time"
    assert wait(attempt, base * 3 - 0.5) == base * 3, "in whole seconds as well"
    assert wait(attempt, 1) == base, "and not for less"


def test_a_receiver_that_was_down_for_a_day_has_its_reply_six_hours_later() -> None:
    attempts = [sum(SCHEDULE[:n]) for n in range(10)]
    assert any(at > 24 * HOURS and at * 1.1 < 30 * HOURS for at in attempts)


def test_nine_waits_between_ten_attempts_take_75_hours_and_a_half() -> None:
    assert sum(SCHEDULE) == 75 * HOURS + 35 * 60 + 5
    last = choose("Delivered?", attempt=10, delivery={"outcome": "retry"})
    assert choose("Delivered?", attempt=9, delivery={"outcome": "retry"})[0] == "Wait For Next Attempt"
    assert last[0] == "Fail Case"
    assert evaluate(expression("Wait For Next Attempt", "next.Assign.attempt"), {"attempt": 1}) == 2


@pytest.mark.parametrize(("steps", "items"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2])])
def test_evidence_is_gathered_for_each_step(steps: int, items: list[int]) -> None:
    assert evaluate(expression("Gather Evidence", "Items"), {"steps": steps}) == items


@pytest.mark.parametrize(
    ("verdict", "revisions", "next_state"),
    [
        ("accept", 0, "Approval Needed?"),
        ("revise", 0, "Write Draft"),
        ("revise", 1, "Write Draft"),
        ("revise", 2, "Approval Needed?"),
    ],
)
def test_a_draft_is_revised_twice_at_most(verdict: str, revisions: int, next_state: str) -> None:
    target, assigned = choose(
        "Draft Good Enough?", review={"verdict": verdict}, revisions=revisions, round_number=revisions + 1
    )
    assert target == next_state
    if next_state == "Write Draft":
        assert assigned == {"revisions": revisions + 1, "round_number": revisions + 2, "feedback_key": ""}


@pytest.mark.parametrize(
    ("verdict", "steps", "next_state", "outcome"),
    [
        ("approve", 1, "Deliver Reply", None),
        ("edit", 0, "Deliver Reply", None),
        ("respond", 2, "Reserve Budget", None),
        ("respond", 0, "Reserve Budget", None),
        ("again", 1, "Request Approval", None),
        ("reject", 1, "Close Case", "rejected"),
        ("expired", 1, "Close Case", "expired"),
    ],
)
def test_every_decision_leads_somewhere(
    verdict: str, steps: int, next_state: str, outcome: str | None
) -> None:
    decision = {
        "verdict": verdict,
        "approval_id": "c-1-a2",
        "feedback_key": "cases/c-1/feedback/2.json",
        "cost_usd": "0.01",
    }
    target, assigned = choose(
        "Decision?", decision=decision, steps=steps, round_number=2, reason="ModelRefused", part=1
    )
    assert target == next_state
    if outcome:
        assert assigned["closing"] == {"outcome": outcome, "approval_id": "c-1-a2", "cost_usd": "0.01"}
    if verdict == "respond":
        assert assigned["round_number"] == 3
        assert assigned["feedback_key"] == decision["feedback_key"]
        assert (assigned["revisions"], assigned["reason"]) == (0, ""), "a new round starts afresh"
        assert assigned["part"] == 2, "and takes money of its own"


@pytest.mark.parametrize(
    ("name", "variables", "next_state"),
    [
        ("Input Acceptable?", {"screening": {"acceptable": True}}, "Reserve Budget"),
        ("Input Acceptable?", {"screening": {"acceptable": False}}, "Close Case"),
        ("Planned Already?", {"steps": 0}, "Recall Memory"),
        ("Planned Already?", {"steps": 2}, "Write Draft"),
        ("Approval Needed?", {"terms": {"needed": True}}, "Request Approval"),
        ("Approval Needed?", {"terms": {"needed": False}}, "Record Decision"),
        ("Delivered?", {"delivery": {"outcome": "delivered"}, "attempt": 10}, "Close Case"),
        ("Delivered?", {"delivery": {"outcome": "failed"}, "attempt": 1}, "Fail Case"),
    ],
)
def test_choices(name: str, variables: dict[str, Any], next_state: str) -> None:
    assert choose(name, **variables)[0] == next_state


def test_what_is_blocked_closes_as_blocked() -> None:
    _, assigned = choose("Input Acceptable?", screening={"acceptable": False})
    assert assigned == {"closing": {"outcome": "blocked", "approval_id": "", "cost_usd": "0"}}


@pytest.mark.parametrize(
    ("waiting_for", "times", "shortest", "longest"),
    [("slot", 1, 8, 15), ("slot", 3, 30, 60), ("slot", 40, 150, 300), ("budget", 1, 900, 991)],
)
def test_a_parked_case_asks_again_soon_for_a_slot_and_later_for_money(
    waiting_for: str, times: int, shortest: int, longest: int
) -> None:
    text, parked = expression("Wait For Turn", "Seconds"), {"for": waiting_for, "times": times}
    waited = [evaluate(text.replace("$random()", chance), {"parked": parked}) for chance in ("0", "1")]
    assert sorted(waited) == [shortest, longest]
    assert longest < TURN_S[waiting_for], "its turn is kept until it comes"


def test_a_lease_is_longer_than_drafting_with_every_timeout_and_retry() -> None:
    def longest(name: str) -> float:
        state = HANDLE_CASE.states[name].definition
        waits = [
            min(rule["IntervalSeconds"] * rule["BackoffRate"] ** number, rule["MaxDelaySeconds"])
            for rule in state["Retry"]
            for number in range(rule["MaxAttempts"])
        ]
        return (len(waits) + 1) * state["TimeoutSeconds"] + sum(waits)

    revisions = int(
        re.findall(r"\$revisions < (\d+)", str(HANDLE_CASE.states["Draft Good Enough?"].definition))[0]
    )
    once = ("Reserve Budget", "Recall Memory", "Plan Work", "Gather Evidence Step")
    rounds = (revisions + 1) * (longest("Write Draft") + longest("Review Draft"))
    # Request Approval's own call takes no longer than Reserve Budget's.
    assert sum(map(longest, once)) + longest("Reserve Budget") + rounds < LEASE_S


def test_the_states_that_pay_are_those_that_are_told_what_is_left() -> None:
    paying = {
        state.name
        for state in HANDLE_CASE.states.values()
        if "attempt" in state.definition.get("Arguments", {}).get("Payload", {})
        and state.function
        and "reservation" in state.definition["Arguments"]["Payload"]
    }
    assert paying == PAYING


def test_the_approval_waits_for_the_deadline_and_the_escalation_with_its_grace() -> None:
    terms = {"deadline_s": 14400, "escalation_s": 172800}
    assert evaluate(expression("Request Approval", "TimeoutSeconds"), {"terms": terms}) == 14400
    assert evaluate(expression("Escalate Approval", "TimeoutSeconds"), {"terms": terms}) == 172800 + 300
