"""Fail Case: which state and which error, once; an end that is there stays, and so does a newer run."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from countersign import clock
from countersign.claims import Asked
from countersign.errors import StoreConflict
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseStatus
from countersign.spending import Limits, usd
from functions.fail_case.app import handler
from tests.unit.stores import CASE, REF, Context, Stores

EVENTS = Path(__file__).parents[2] / "events/fail_case"
LATER = "2026-03-02T09:05:00.000Z"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "state", "error"),
    [
        ("state_failed", "Write Draft", "CaseFileMissing"),
        ("execution_failed", "execution", "States.Runtime"),
        ("execution_aborted", "execution", "ABORTED"),
        ("execution_timed_out", "execution", "TIMED_OUT"),
    ],
)
def test_a_case_fails_once(stores: Stores, name: str, state: str, error: str) -> None:
    stores.open()
    for _ in range(2):
        assert handler(event(name), Context(), stores.ledger, stores.holds) == {
            "case_id": CASE,
            "status": "failed",
        }
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.outcome) == ("failed", error)
    assert [line.event for line in events] == ["case.opened", "case.failed"]
    assert events[-1].detail == {"state": state, "error": error}


@pytest.mark.parametrize("status", ["delivered", "rejected", "expired", "blocked"])
def test_an_end_that_is_there_stays(stores: Stores, status: str) -> None:
    stores.open()
    stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus(status), LATER)])
    assert handler(event("execution_aborted"), Context(), stores.ledger, stores.holds)["status"] == status
    assert stores.status() == status


def test_the_end_of_an_earlier_run_does_not_fail_the_new_one(stores: Stores) -> None:
    stores.open()
    again = stores.ledger.set_status(REF, CaseStatus.RUNNING, LATER)["Update"]
    again["UpdateExpression"] += ", #run = :run"
    again["ExpressionAttributeNames"]["#run"] = "run"
    again["ExpressionAttributeValues"][":run"] = {"N": "2"}
    stores.db.update_item(**again)
    assert handler(event("execution_aborted"), Context(), stores.ledger, stores.holds)["status"] == "running"
    assert handler(event("state_failed"), Context(), stores.ledger, stores.holds)["status"] == "failed"


@pytest.mark.parametrize(
    ("name", "failed_in"), [("execution_aborted", "execution"), ("state_failed", "Write Draft")]
)
def test_a_case_that_was_never_opened_can_be_seen_and_redriven(
    stores: Stores, name: str, failed_in: str
) -> None:
    for _ in range(2):
        assert handler(event(name), Context(), stores.ledger, stores.holds)["status"] == "failed"
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.failed_in, head.run, head.subject) == ("failed", failed_in, 1, "")
    assert (head.source, head.created_at) == ("webhook", "2026-03-02T08:59:58.000Z")
    assert [line.event for line in events] == ["case.failed"]


@pytest.mark.parametrize(
    ("state", "spent"),
    [
        ("Recall Memory", "0.0004"),
        # Nobody knows what these had paid before they broke down.
        ("Write Draft", "0.05"),
        ("execution", "0.05"),
    ],
)
def test_what_the_case_held_is_let_go_once(stores: Stores, state: str, spent: str) -> None:
    stores.open()
    asked = Asked(REF, "r1#1", Decimal("0.05"), Decimal(0), LATER)
    stores.claims.take(asked, Limits(Decimal(1), Decimal("0.05"), 1), clock.now())
    for _ in range(2):
        given = {**event("state_failed"), "state": state}
        assert handler(given, Context(), stores.ledger, stores.holds)["status"] == "failed"
    usage = stores.claims.usage("default", f"{clock.now():%Y-%m-%d}")
    assert (usd(usage.used), dict(usage.held), dict(usage.holders)) == (Decimal(spent), {}, {})


class Moving(Ledger):
    """A ledger in which every write finds that the case has moved since it was read."""

    moves = 0

    def commit(self, writes: Any) -> None:
        if self.moves:
            self.moves -= 1
            raise Rejected([0])
        super().commit(writes)


@pytest.mark.parametrize(("moves", "fails"), [(1, True), (3, True), (4, False)])
def test_a_case_that_moves_meanwhile_is_read_again(stores: Stores, moves: int, fails: bool) -> None:
    stores.open()
    ledger = Moving(stores.db, "cases")
    ledger.moves = moves
    if fails:
        assert handler(event("state_failed"), Context(), ledger, stores.holds)["status"] == "failed"
    else:
        with pytest.raises(StoreConflict):
            handler(event("state_failed"), Context(), ledger, stores.holds)
