"""Reserve Budget: money is set aside first, and at the cap a case is parked."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from countersign import clock
from countersign.errors import BudgetExhausted
from functions.reserve_budget.app import handler
from tests.unit.stores import Context, Stores

EVENTS = Path(__file__).parents[2] / "events/reserve_budget"


def event() -> dict[str, Any]:
    return json.loads((EVENTS / "case.json").read_text())


@pytest.mark.usefixtures("deployed")
def test_a_case_reserves_its_part_of_the_day(stores: Stores) -> None:
    stores.open()
    answer = handler(event(), Context(), stores.claims, stores.ledger)
    assert answer == handler(event(), Context(), stores.claims, stores.ledger)
    assert answer["reserved_usd"] == "0.05"
    row = stores.db.get_item(TableName="claims", Key={"id": {"S": f"budget#default#{answer['day']}"}})["Item"]
    assert row["used"] == {"N": "50000"}
    assert stores.status() == "running"


@pytest.mark.usefixtures("deployed")
def test_at_the_cap_the_case_is_parked(stores: Stores) -> None:
    stores.open()
    stores.claims.reserve("default", "others", Decimal("9.96"), Decimal(10), clock.now())
    with pytest.raises(BudgetExhausted):
        handler(event(), Context(), stores.claims, stores.ledger)
    assert stores.status() == "parked"
