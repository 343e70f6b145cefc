"""`countersign reconcile` and `forget` from the command line: what they take, print and exit with."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.cli import main
from local.cli.api_client import ApiClient, Json
from local.cli.options import Access

CASES = [f"c-{number:032x}" for number in range(30)]
THERE = ("--url", "http://here", "--token", "token")


def lost(case_id: str) -> Json:
    return {
        "case_id": case_id,
        "received_at": "2026-03-02T09:00:00.000Z",
        "status": None,
        "execution": None,
        "reason": "not_started",
    }


@dataclass
class Deployment(ApiClient):
    """An account of two pages; `unrepairable` are cases that stay as they are."""

    unrepairable: set[str] = field(default_factory=set)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    repaired: list[list[str]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__("http://here", "token", object())  # type: ignore[arg-type]

    def reconciliation(self, since: str | None, cursor: str | None) -> Json:
        self.asked.append((since, cursor))
        page = CASES[25:] if cursor else CASES[:25]
        return {
            "accepted": len(page) + 1,
            "ended": {"delivered": 1},
            "moving": 0,
            "dead_letters": 0,
            "unaccounted": [lost(case_id) for case_id in page],
            "cursor": None if cursor else "c-x",
        }

    def repair(self, case_ids: Any) -> Json:
        self.repaired.append(list(case_ids))
        return {
            "repaired": [
                {"case_id": c, "did": "queued", "execution": c}
                for c in case_ids
                if c not in self.unrepairable
            ],
            "refused": [
                {"case_id": c, "reason": "its execution runs"} for c in case_ids if c in self.unrepairable
            ],
        }

    def forget(self, case_id: str) -> Json:
        self.forgotten.append(case_id)
        return {"case_id": case_id, "forgotten_at": "", "erased": 3, "recalled_by": [CASES[1]]}


@pytest.fixture
def api() -> Deployment:
    return Deployment()


def run(api: Deployment, *words: str, given: str | None = None) -> Result:
    access = Access(connect=lambda *_: api)
    return CliRunner(mix_stderr=False).invoke(main, [*words, *THERE], obj=access, input=given, env={})


def test_all_pages_are_added_up_and_what_is_lost_ends_it_with_1(api: Deployment) -> None:
    result = run(api, "reconcile", "--since", "2026-03-01")
    assert result.exit_code == 1
    assert api.asked == [("2026-03-01T00:00:00+00:00", None), ("2026-03-01T00:00:00+00:00", "c-x")]
    assert "32 accepted" in result.stdout
    assert "2 delivered" in result.stdout
    assert "30 unaccounted for" in result.stdout
    assert api.repaired == []


def test_repairs_go_in_bounded_calls_and_end_it_with_0_where_all_are_done(api: Deployment) -> None:
    result = run(api, "reconcile", "--repair")
    assert result.exit_code == 0
    assert [len(some) for some in api.repaired] == [25, 5]
    api.unrepairable = {CASES[3]}
    left = run(api, "reconcile", "--repair", "--json")
    assert left.exit_code == 1
    assert json.loads(left.stdout)["refused"] == [{"case_id": CASES[3], "reason": "its execution runs"}]


@pytest.mark.parametrize(
    "words",
    [
        ("--since", "yesterday"),
        ("--repo", "octo/help"),
        ("--redeliver",),
        ("--source", "github"),
        ("--source", "github", "--repo", "octo", "--hook", "1"),
        ("--source", "github", "--repo", "octo/help/x", "--hook", "1"),
        ("--source", "github", "--repo", "octo/help", "--hook", "1", "--repair"),
        ("--source", "github", "--repo", "octo/help", "--hook", "0"),
        ("--source", "stripe"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(api: Deployment, words: tuple[str, ...]) -> None:
    result = run(api, "reconcile", *words)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert api.asked == []


def test_forgetting_asks_first(api: Deployment) -> None:
    assert run(api, "forget", CASES[0], given="n\n").exit_code == 130
    assert api.forgotten == []
    said = run(api, "forget", CASES[0], given="y\n")
    assert (said.exit_code, api.forgotten) == (0, [CASES[0]])
    assert f"{CASES[1]} was given its answer" in said.stdout
    assert json.loads(run(api, "forget", CASES[0], "--yes", "--json").stdout)["erased"] == 3
