"""Record Decision: the row decides; a task's answer counts only where it has not."""

import json
from pathlib import Path
from typing import Any

import pytest

from countersign import clock
from countersign.approvals import Person
from countersign.decisions import Approval, DecisionBody
from countersign.errors import ApprovalMissing
from functions.record_decision.app import handler
from tests.unit.stores import APPROVAL, REF, TERMS, Context, Stores

EVENTS = Path(__file__).parents[2] / "events/record_decision"


def event(name: str, **changes: Any) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text()) | changes


def ask(stores: Stores, token: str | None = "token-1") -> Approval:
    return stores.arbiter.request(stores.open(), 1, TERMS, token, clock.now(), None)


def decide(stores: Stores, approval: Approval, verdict: str, **words: str) -> Approval:
    body = DecisionBody.model_validate({"verdict": verdict, "shown_sha256": approval.shown_sha256, **words})
    return stores.arbiter.decide(approval, body, Person("Alice", "api"), clock.now())


def lines(stores: Stores, name: str) -> list[Any]:
    return [line for line in stores.ledger.history(REF)[1] if line.event == name]


@pytest.mark.parametrize("name", ["decided", "timed_out"])
@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("approve", {}),
        ("edit", {"text": "Ten."}),
        ("respond", {"reason": "Why?"}),
        ("reject", {"reason": "No."}),
    ],
)
def test_the_row_is_what_counts(stores: Stores, name: str, verdict: str, words: dict[str, str]) -> None:
    decided = decide(stores, ask(stores), verdict, **words)
    stores.calls.clear()
    assert handler(event(name), Context(), stores.arbiter, stores.holds) == {
        "approval_id": APPROVAL,
        "verdict": verdict,
        "feedback_key": decided.decision_key or "",
        "cost_usd": str(decided.cost_usd),
    }
    assert stores.calls == ["GetItem"]


def test_an_expired_row_has_a_verdict_of_its_own(stores: Stores) -> None:
    ask(stores)
    stores.arbiter.expire(REF, APPROVAL, clock.now())
    assert handler(event("timed_out"), Context(), stores.arbiter, stores.holds)["verdict"] == "expired"


class TestTheConsole:
    def test_a_well_formed_answer_is_a_decision(self, stores: Stores) -> None:
        approval = ask(stores)
        given = event("console_approves")
        given["answer"]["shown_sha256"] = approval.shown_sha256
        assert handler(given, Context(), stores.arbiter, stores.holds)["verdict"] == "approve"
        row = stores.ledger.approval(REF, APPROVAL)
        assert row is not None
        assert (row.decided_by, row.channel) == ("console:ops-on-call", "console")
        assert row.signed_sha256 == approval.shown_sha256
        assert stores.status() == "delivering"

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (event("console_nonsense")["answer"], "ValidationError"),
            (event("console_approves")["answer"] | {"shown_sha256": "0" * 64}, "StaleCard"),
            ({"verdict": "yes", "shown_sha256": "0" * 64}, "ValidationError"),
            ("approve", "ValidationError"),
            ([], "ValidationError"),
            (None, "ValidationError"),
        ],
    )
    def test_any_other_answer_asks_again(self, stores: Stores, answer: Any, error: str) -> None:
        approval = ask(stores)
        given = event("console_nonsense", answer=answer)
        assert handler(given, Context(), stores.arbiter, stores.holds)["verdict"] == "again"
        [line] = lines(stores, "console.answer_refused")
        assert line.detail == {"approval_id": APPROVAL, "error": error}
        assert stores.ledger.approval(REF, APPROVAL) == approval

    def test_a_verdict_without_its_words_asks_again(self, stores: Stores) -> None:
        approval = ask(stores)
        answer = {"verdict": "reject", "shown_sha256": approval.shown_sha256}
        given = event("console_nonsense", answer=answer)
        assert handler(given, Context(), stores.arbiter, stores.holds)["verdict"] == "again"
        assert lines(stores, "console.answer_refused")[0].detail["error"] == "InvalidRequest"

    def test_one_that_lost_to_a_decision_is_recorded_as_late(self, stores: Stores) -> None:
        decide(stores, ask(stores), "reject", reason="No.")
        for _ in range(2):
            assert (
                handler(event("console_approves"), Context(), stores.arbiter, stores.holds)["verdict"]
                == "reject"
            )
        [line] = lines(stores, "console.answer_late")
        assert line.detail == {"approval_id": APPROVAL, "error": "AlreadyDecided"}
        assert stores.status() == "running"


class TestThePolicy:
    def test_it_signs_under_its_own_name_where_no_person_is_needed(self, stores: Stores) -> None:
        stores.open()
        for _ in range(2):
            assert (
                handler(event("no_person_needed"), Context(), stores.arbiter, stores.holds)["verdict"]
                == "approve"
            )
        row = stores.ledger.approval(REF, APPROVAL)
        assert row is not None
        assert (row.decided_by, row.channel) == ("policy:default@1", "policy")
        assert row.signed_sha256 == row.shown_sha256
        assert stores.tasks.told == []

    def test_a_run_that_was_cut_off_is_finished(self, stores: Stores) -> None:
        ask(stores, token=None)
        assert (
            handler(event("no_person_needed"), Context(), stores.arbiter, stores.holds)["verdict"]
            == "approve"
        )

    def test_it_never_signs_what_needs_a_person(self, stores: Stores) -> None:
        stores.open()
        with pytest.raises(ApprovalMissing):
            handler(event("timed_out"), Context(), stores.arbiter, stores.holds)
        assert stores.ledger.approval(REF, APPROVAL) is None
