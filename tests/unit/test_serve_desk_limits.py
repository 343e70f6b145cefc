"""The desk's call about limits: today's budget, who drafts, and who waits for what."""

from decimal import Decimal

from countersign.claims import LEASE_S
from countersign.clock import later
from countersign.models import CaseRef, CaseStatus
from tests.unit.api_calls import LATER, Desk
from tests.unit.stores import CASE, REF, Stores, case_file


def test_a_quiet_tenant_has_all_of_it(stores: Stores) -> None:
    answer = Desk(stores).call("show_limits").json()
    assert answer == {
        "day": "2026-03-02",
        "cap_usd": "0.20",
        "used_usd": "0",
        "reserved_usd": "0",
        "spent_usd": "0",
        "max_cases_at_once": 2,
        "leases": [],
        "parked": {"budget": 0, "slot": 0, "counted_all": True},
    }


def test_it_says_what_is_held_what_is_spent_and_who_waits(stores: Stores) -> None:
    other = CaseRef(tenant="default", case_id="c-other")
    stores.claims.settle(other, stores.hold(other, LATER), Decimal("0.02"))
    stores.open()
    stores.hold(REF, LATER)
    for name, waiting_for in (("c-1", "budget"), ("c-2", "slot"), ("c-3", "slot")):
        file = stores.open(case_file(case_id=name))
        parked = stores.ledger.set_status(
            file.ref, CaseStatus.PARKED, later(LATER, 1), waiting_for=waiting_for
        )
        stores.ledger.commit([parked])
    answer = Desk(stores).call("show_limits").json()
    assert (answer["used_usd"], answer["reserved_usd"], answer["spent_usd"]) == ("0.07", "0.05", "0.02")
    [lease] = answer["leases"]
    assert lease == {"case_id": CASE, "expires_at": later(LATER, LEASE_S), "reserved_usd": "0.05"}
    assert answer["parked"] == {"budget": 1, "slot": 2, "counted_all": True}


def test_an_expired_lease_is_none_and_other_tenants_are_nobody_s_business(stores: Stores) -> None:
    stores.open()
    stores.hold(REF, LATER)
    desk = Desk(stores)
    others = {"sub": "00u1", "name": "Alex Doe", "tenant": "acme", "groups": "[operators]"}
    assert desk.call("show_limits", claims=others).json()["leases"] == []
    stores.hold(CaseRef(tenant="default", case_id="c-old"), desk.now.replace(hour=1))
    assert {lease["case_id"] for lease in desk.call("show_limits").json()["leases"]} == {CASE}
