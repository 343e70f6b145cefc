"""Close Case: outcome and memory, once."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.close_case.app import handler
from tests.unit.stores import APPROVAL, CASE, REF, Context, Stores, case_file

EVENTS = Path(__file__).parents[2] / "events/close_case"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def close(stores: Stores, name: str) -> dict[str, Any]:
    return handler(event(name), Context(), stores.ledger)


@pytest.mark.parametrize("name", ["delivered", "rejected", "expired"])
def test_a_case_is_closed_once(stores: Stores, name: str) -> None:
    stores.open()
    for _ in range(2):
        assert close(stores, name) == {"case_id": CASE, "status": name}
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.outcome) == (name, name)
    assert [line.event for line in events] == ["case.opened", f"case.{name}"]
    assert events[-1].detail == {"approval_id": APPROVAL, "cost_usd": "0.0004"}
    remembered = stores.ledger.thread("default", case_file().request.thread_key, 3)
    assert remembered == ([CASE] if name == "delivered" else [])


def test_a_case_is_closed_in_one_write(stores: Stores) -> None:
    stores.open()
    stores.calls.clear()
    assert close(stores, "blocked")["status"] == "blocked"
    assert stores.calls == ["TransactWriteItems"]
    assert stores.status() == "blocked"
