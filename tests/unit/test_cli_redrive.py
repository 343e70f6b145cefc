"""`countersign failures` and `redrive`, against a desk that answers from memory."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.cli import main
from local.cli.api_client import ApiClient, Json, Refused
from local.cli.options import Access

AT = "2026-11-02T09:30:00Z"
CASES = [f"c-{digit * 32}" for digit in "123"]
DELIVERED = f"c-{'4' * 32}"
LETTER = "intake:059f36b4-87a3-44ab-83d2-661975470001"


class Desk(ApiClient):
    """Three failed cases on two pages, and a letter. Case 3 is refused; what is redriven leaves the list."""

    def __init__(self) -> None:
        super().__init__("http://here", "token", object())  # type: ignore[arg-type]
        self.waiting = [LETTER, *CASES]
        self.asked: list[Any] = []
        self.refusal: Refused | None = None

    def cases(self, status: str | None = None, limit: int = 100, cursor: str | None = None) -> Json:
        return {"cases": [{"case_id": id} for id in (*CASES, DELIVERED)], "cursor": None}

    def failures(self, limit: int = 100, cursor: str | None = None) -> Json:
        if self.refusal:
            raise self.refusal
        shown = self.waiting[:3] if cursor is None else self.waiting[3:]
        return {
            "failures": [self._failure(id) for id in shown],
            "cursor": "next" if cursor is None and len(self.waiting) > 3 else None,
        }

    def _failure(self, id: str) -> Json:
        kind = "intake" if id == LETTER else "case"
        state = "Write Draft" if kind == "case" else None
        reason = "ConfigurationError\x1b[31m" if kind == "case" else "the function ended without an answer"
        found = {"id": id, "kind": kind, "case_id": CASES[0] if kind == "intake" else id, "state": state}
        return {**found, "reason": reason, "at": AT, "redrivable": True}

    def redrive(self, ids: Any) -> Json:
        self.asked.append(list(ids))
        return self._answer(ids)

    def redrive_all(self, cursor: str | None) -> Json:
        self.asked.append(cursor)
        pages = self.waiting[:2] if cursor is None else self.waiting[2:]
        return {**self._answer(pages), "cursor": "next" if cursor is None and self.waiting else None}

    def _answer(self, ids: Any) -> Json:
        gone = [id for id in ids if id in self.waiting and id != CASES[2]]
        redriven = [
            {
                "id": id,
                "case_id": id,
                "execution": None if id == LETTER else f"{id}-r2",
                "did": "queued_again" if id == LETTER else "started",
            }
            for id in gone
        ]
        refused = [{"id": id, "reason": "the case is delivered"} for id in ids if id not in gone]
        return {"redriven": redriven, "refused": refused, "cursor": None}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def call(desk: Desk, *words: str) -> Result:
    access = Access(lambda url, token: desk, Path("/nowhere"))
    there = ("--url", "http://here", "--token", "token")
    return CliRunner(mix_stderr=False).invoke(main, [*words, *there], obj=access, prog_name="countersign")


def test_failures_are_listed_with_what_to_do(desk: Desk) -> None:
    result = call(desk, "failures")
    assert (result.exit_code, result.stderr) == (0, "")
    for text in ("intake:059f36b4", "intake, dead", "failed case", "Write Draft", "--cursor next"):
        assert text in result.stdout
    assert "\x1b" not in result.stdout
    assert "countersign redrive" in call(desk, "failures", "--cursor", "next").stdout


def test_a_switched_off_destination_is_said_to_come_first(desk: Desk) -> None:
    assert "destinations" not in call(desk, "failures").stdout
    failure = desk._failure(CASES[0]) | {"state": "Deliver Reply", "reason": "DestinationOff"}
    desk.failures = lambda *_: {"failures": [failure], "cursor": None}  # type: ignore[method-assign]
    assert "First turn on what is off: countersign destinations." in call(desk, "failures").stdout


def test_nothing_failed(desk: Desk) -> None:
    desk.waiting = []
    assert call(desk, "failures").stdout == "Nothing has failed, and no letter is dead.\n"
    result = call(desk, "redrive", "--all")
    assert (result.exit_code, result.stdout) == (0, "There is nothing to redrive.\n")


def test_some_are_redriven_by_the_beginnings_of_their_ids(desk: Desk) -> None:
    result = call(desk, "redrive", "c-11", "222", "intake:059f", CASES[0])
    assert (result.exit_code, result.stderr) == (0, "")
    assert desk.asked == [[CASES[0], CASES[1], LETTER]]
    assert f"c-11111111 runs again as {CASES[0]}-r2" in result.stdout
    assert "intake:059f36b4 is on its queue again" in result.stdout


def test_what_is_refused_is_said_and_exits_with_1(desk: Desk) -> None:
    result = call(desk, "redrive", CASES[0], CASES[2])
    assert result.exit_code == 1
    assert "c-33333333 stays: the case is delivered" in result.stdout
    assert "c-11111111 runs again" in result.stdout


def test_a_short_id_of_a_case_that_has_not_failed_is_refused_by_the_desk(desk: Desk) -> None:
    result = call(desk, "redrive", "c-44")
    assert (result.exit_code, desk.asked) == (1, [[DELIVERED]])
    assert "c-44444444 stays: the case is delivered" in result.stdout


def test_all_goes_page_by_page(desk: Desk) -> None:
    result = call(desk, "redrive", "--all", "--json")
    assert (result.exit_code, desk.asked) == (1, [None, "next"])
    answer = json.loads(result.stdout)
    assert [each["id"] for each in answer["redriven"]] == [LETTER, *CASES[:2]]
    assert [each["id"] for each in answer["refused"]] == [CASES[2]]


def test_json_is_one_document(desk: Desk) -> None:
    assert [each["id"] for each in json.loads(call(desk, "failures", "--json").stdout)["failures"]] == [
        LETTER,
        *CASES[:2],
    ]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "give the ids of failures, or --all"),
        (["c-1", "--all"], 2, "give the ids of failures, or --all"),
        (["c-9"], 1, "no case begins with c-9"),
        (["c-"], 1, "3 failures begin with c-: give more of the id"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    desk: Desk, words: list[str], status: int, says: str
) -> None:
    result = call(desk, "redrive", *words)
    assert (result.exit_code, says in result.stderr) == (status, True), result.stderr
    assert desk.asked == []


def test_who_is_no_operator_is_told_so(desk: Desk) -> None:
    message = "the desk is for the group operators, and your token does not name it"
    desk.refusal = Refused(403, {"error": {"code": "not_allowed", "message": message}})
    result = call(desk, "failures")
    assert (result.exit_code, result.stderr) == (1, f"countersign: {message}\n")
