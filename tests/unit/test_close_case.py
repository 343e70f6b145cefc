"""Close Case: outcome, budget and memory, once."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from functions.close_case.app import handler
from tests.unit.stores import APPROVAL, CASE, NOW, REF, Context, Stores, case_file

EVENTS = Path(__file__).parents[2] / "events/close_case"
SPENT = 400
"""Micro-dollars that the sample case has cost."""


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def close(stores: Stores, name: str) -> dict[str, Any]:
    return handler(event(name), Context(), stores.ledger, stores.claims)


def used(stores: Stores) -> int:
    row = stores.db.get_item(TableName="claims", Key={"id": {"S": "budget#default#2026-03-02"}})["Item"]
    return int(row["used"]["N"])


@pytest.mark.parametrize("name", ["delivered", "rejected", "expired"])
def test_a_case_is_closed_once(stores: Stores, name: str) -> None:
    stores.open()
    stores.claims.reserve("default", CASE, Decimal("0.05"), Decimal(1), NOW)
    for _ in range(2):
        assert close(stores, name) == {"case_id": CASE, "status": name}
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.outcome) == (name, name)
    assert [line.event for line in events] == ["case.opened", f"case.{name}"]
    assert events[-1].detail == {"approval_id": APPROVAL, "cost_usd": "0.0004"}
    assert used(stores) == SPENT
    remembered = stores.ledger.thread("default", case_file().request.thread_key, 3)
    assert remembered == ([CASE] if name == "delivered" else [])


def test_a_blocked_case_has_reserved_nothing(stores: Stores) -> None:
    stores.open()
    stores.calls.clear()
    assert close(stores, "blocked")["status"] == "blocked"
    assert stores.calls == ["TransactWriteItems"]
    assert stores.status() == "blocked"


def test_what_has_no_known_price_counts_as_what_was_reserved(stores: Stores) -> None:
    stores.open()
    stores.claims.reserve("default", CASE, Decimal("0.05"), Decimal(1), NOW)
    handler({**event("delivered"), "cost_usd": ""}, Context(), stores.ledger, stores.claims)
    assert used(stores) == 50_000
