"""Values that CloudFormation would not deploy are refused here too, each in one sentence."""

from pathlib import Path

import pytest

from local.parameters import refusal
from local.template import load

TEMPLATE = load(Path(__file__).parents[2] / "template.yaml")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DailyBudgetUsd", "0.05", None),
        ("DailyBudgetUsd", "0.001", "DailyBudgetUsd is at least 0.01, and not '0.001'"),
        ("DailyBudgetUsd", "ten", "DailyBudgetUsd is a number, and not 'ten'"),
        ("DailyBudgetUsd", "NaN", "DailyBudgetUsd is a number, and not 'NaN'"),
        ("MaxCasesAtOnce", "1001", "MaxCasesAtOnce is at most 1000, and not '1001'"),
        ("Engine", "roles", None),
        ("Engine", "magic", "Engine is one of roles, bedrock-agent, and not 'magic'"),
        ("LogDays", "7", None),
        ("OperatorGroup", "on call", "OperatorGroup is what [^][, ]+ matches, and not 'on call'"),
        ("OperatorGroup", "x" * 37, f"OperatorGroup is at most 36 characters, and not '{'x' * 37}'"),
    ],
)
def test_a_value_is_held_to_what_the_template_declares(name: str, value: str, says: str | None) -> None:
    assert refusal(TEMPLATE, {name: value}) == says


def test_an_unknown_parameter_is_answered_with_the_known_ones() -> None:
    said = refusal(TEMPLATE, {"DailyBudget": "1"})
    assert said is not None
    assert said.startswith("the template has no parameter DailyBudget; it has AlarmEmail, CaseFileDays, ")
