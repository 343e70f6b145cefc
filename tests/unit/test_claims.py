"""Budgets: what is reserved and spent in a day never passes the cap."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.claims import KEEP_DAYS, Claims
from countersign.errors import BudgetExhausted, StoreConflict
from tests.unit.stores import NOW, Stores

CAP, PART = Decimal("0.10"), Decimal("0.04")
DAY = "2026-03-02"


def used(stores: Stores, tenant: str = "default", day: str = DAY) -> int:
    """Micro-dollars."""
    row = stores.db.get_item(TableName="claims", Key={"id": {"S": f"budget#{tenant}#{day}"}})["Item"]
    return int(row["used"]["N"])


def settle(stores: Stores, key: str, spent: Decimal, day: str = DAY) -> None:
    stores.ledger.commit([stores.claims.settlement("default", key, PART, spent, day)])


def test_reservations_end_at_the_cap(stores: Stores) -> None:
    for key in ("a", "b"):
        stores.claims.reserve("default", key, PART, CAP, NOW)
    with pytest.raises(BudgetExhausted):
        stores.claims.reserve("default", "c", PART, CAP, NOW)
    stores.claims.reserve("default", "c", Decimal("0.02"), CAP, NOW)
    assert used(stores) == 100_000


def test_tenants_and_days_have_budgets_of_their_own(stores: Stores) -> None:
    for tenant, moment in (("default", NOW), ("other", NOW), ("default", NOW + timedelta(days=1))):
        stores.claims.reserve(tenant, "a", CAP, CAP, moment)
    assert used(stores) == used(stores, "other") == used(stores, day="2026-03-03") == 100_000


def test_the_same_case_reserves_once_even_at_the_cap(stores: Stores) -> None:
    for _ in range(3):
        stores.claims.reserve("default", "a", CAP, CAP, NOW)
    assert used(stores) == 100_000


def test_nothing_larger_than_the_cap_is_ever_reserved(stores: Stores) -> None:
    with pytest.raises(BudgetExhausted):
        stores.claims.reserve("default", "a", CAP + Decimal("0.000001"), CAP, NOW)
    assert "Item" not in stores.db.get_item(TableName="claims", Key={"id": {"S": f"budget#default#{DAY}"}})


@pytest.mark.parametrize(("spent", "left"), [("0.01", 10_000), ("0.04", 40_000), ("0.07", 70_000)])
def test_settling_replaces_the_reservation_by_what_was_spent(stores: Stores, spent: str, left: int) -> None:
    stores.claims.reserve("default", "a", PART, CAP, NOW)
    settle(stores, "a", Decimal(spent))
    assert used(stores) == left
    stores.claims.reserve("default", "a", Decimal("0.03"), CAP, NOW)  # its name is free again


def test_the_day_of_a_late_settlement_expires_too(stores: Stores) -> None:
    settle(stores, "a", Decimal("0.05"), "2026-02-01")
    row = stores.db.get_item(TableName="claims", Key={"id": {"S": "budget#default#2026-02-01"}})["Item"]
    assert int(row["expiration"]["N"]) == 1_769_904_000 + KEEP_DAYS * 86_400


class Settling:
    """A DynamoDB in which another case's closing transaction holds the row."""

    def update_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, "UpdateItem")


def test_a_case_that_settles_meanwhile_is_waited_for() -> None:
    with pytest.raises(StoreConflict):
        Claims(Settling(), "claims").reserve("default", "a", PART, CAP, NOW)  # type: ignore[arg-type]
