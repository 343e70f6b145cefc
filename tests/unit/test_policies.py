"""Policies as data: the first rule that matches, and files that cannot work."""

from pathlib import Path

import pytest

from countersign.errors import ConfigurationError
from countersign.models import Risk
from countersign.policies import load_policy

SHIPPED = Path(__file__).parents[2] / "layers" / "policies" / "policies"
POLICY = """
name: default
version: 3
rules:
  - match: {source: [github], risk: [low]}
    needed: false
    deadline_s: 60
    escalation_s: 60
  - match: {risk: [low, medium]}
    needed: true
    deadline_s: 120
    escalation_s: 240
"""


@pytest.mark.parametrize(
    ("source", "risk", "needed", "deadline_s"),
    [
        ("github", "low", False, 60),
        ("webhook", "low", True, 120),
        ("github", "medium", True, 120),
        # No rule matches: a person must sign, within a day.
        ("github", "high", True, 86_400),
    ],
)
def test_the_first_rule_that_matches_decides(
    tmp_path: Path, source: str, risk: Risk, needed: bool, deadline_s: int
) -> None:
    (tmp_path / "default.yaml").write_text(POLICY)
    terms = load_policy(tmp_path).terms(source, risk)
    assert (terms.needed, terms.deadline_s) == (needed, deadline_s)
    assert (terms.policy.name, terms.policy.version) == ("default", 3)


@pytest.mark.parametrize("risk", ["low", "medium", "high"])
def test_the_shipped_policy_lets_nothing_pass_without_a_person(risk: Risk) -> None:
    assert load_policy(SHIPPED).terms("webhook", risk).needed


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "cannot be read"),
        ("rules: [", "no YAML"),
        ("name: default\nversion: 1\nrules: []", "rules"),
        (POLICY.replace("needed: false", "neded: false"), "neded"),
        (POLICY.replace("deadline_s: 60", "deadline_s: 0"), "deadline_s"),
        (POLICY.replace("[low]", "[none]"), "risk"),
        ("just text", "is wrong"),
    ],
)
def test_a_policy_that_cannot_work_says_where(tmp_path: Path, content: str | None, word: str) -> None:
    if content is not None:
        (tmp_path / "default.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=word):
        load_policy(tmp_path)
