"""Slots and budgets: what a day holds and spends never passes the cap, nor the cases at once their limit."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.claims import LEASE_S, TURN_S, Asked, Claims
from countersign.clock import instant
from countersign.errors import BudgetExhausted, BudgetTooSmall, SlotsTaken, StoreConflict
from countersign.models import CaseRef
from countersign.spending import Hold, Limits, micro, usd
from tests.unit.stores import NOW, Stores

CAP, PART = Decimal("0.10"), Decimal("0.04")
LIMITS = Limits(CAP, PART, 2)
DAY = "2026-03-02"
LATER = NOW + timedelta(seconds=LEASE_S + 1)


def asked(name: str, amount: Decimal = PART, part: str = "r1#1", since: datetime = NOW) -> Asked:
    return Asked(CaseRef(tenant="default", case_id=name), part, amount, Decimal(0), instant(since))


def take(stores: Stores, name: str, now: datetime = NOW, limits: Limits = LIMITS, **more: Any) -> Hold:
    return stores.claims.take(asked(name, **more), limits, now)


def settle(stores: Stores, name: str, hold: Hold, spent: Decimal | None) -> bool:
    return stores.claims.settle(CaseRef(tenant="default", case_id=name), hold, spent)


def used(stores: Stores, day: str = DAY, tenant: str = "default") -> Decimal:
    return usd(stores.claims.usage(tenant, day).used)


def holders(stores: Stores) -> set[str]:
    return set(stores.claims.usage("default", DAY).holders)


def test_reservations_end_at_the_cap(stores: Stores) -> None:
    limits = Limits(CAP, PART, 9)
    for name in ("a", "b"):
        take(stores, name, limits=limits)
    with pytest.raises(BudgetExhausted):
        take(stores, "c", limits=limits)
    take(stores, "c", limits=limits, amount=Decimal("0.02"))
    assert used(stores) == CAP


def test_slots_end_at_the_limit_and_one_that_is_let_go_is_free(stores: Stores) -> None:
    first, _ = (take(stores, name, amount=Decimal("0.01")) for name in ("a", "b"))
    with pytest.raises(SlotsTaken):
        take(stores, "c", amount=Decimal("0.01"))
    assert settle(stores, "a", first, Decimal(0))
    take(stores, "c", amount=Decimal("0.01"))
    assert holders(stores) == {"b", "c"}


def test_a_refusal_takes_neither_slot_nor_money(stores: Stores) -> None:
    take(stores, "a", amount=CAP)
    with pytest.raises(BudgetExhausted):
        take(stores, "b")
    usage = stores.claims.usage("default", DAY)
    assert (set(usage.holders), set(usage.held), usd(usage.used)) == ({"a"}, {"a"}, CAP)


def test_tenants_and_days_have_budgets_of_their_own(stores: Stores) -> None:
    other = CaseRef(tenant="other", case_id="a")
    for ref, moment in ((asked("a").ref, NOW), (other, NOW), (asked("b").ref, NOW + timedelta(days=1))):
        stores.claims.take(Asked(ref, "r1#1", CAP, Decimal(0), instant(NOW)), LIMITS, moment)
    assert used(stores) == used(stores, tenant="other") == used(stores, "2026-03-03") == CAP


def test_the_same_part_takes_once_even_at_the_cap(stores: Stores) -> None:
    held = [take(stores, "a", amount=CAP) for _ in range(3)]
    assert held[0] == held[1] == held[2]
    assert used(stores) == CAP


def test_an_earlier_part_that_was_lost_stays_spent(stores: Stores) -> None:
    take(stores, "a")
    second = take(stores, "a", part="r2#1")
    assert used(stores) == 2 * PART
    assert holders(stores) == {"a"}
    with pytest.raises(BudgetExhausted):
        take(stores, "a", part="r3#1")
    assert settle(stores, "a", second, Decimal(0))
    assert used(stores) == PART


def test_nothing_larger_than_the_cap_is_ever_reserved(stores: Stores) -> None:
    with pytest.raises(BudgetTooSmall):
        take(stores, "a", amount=CAP + Decimal("0.000001"))
    assert not stores.claims.usage("default", DAY).exists


@pytest.mark.parametrize(("spent", "left"), [("0", "0"), ("0.01", "0.01"), ("0.04", "0.04"), (None, "0.04")])
def test_settling_keeps_what_was_spent_and_does_it_once(stores: Stores, spent: str | None, left: str) -> None:
    hold = take(stores, "a")
    assert settle(stores, "a", hold, None if spent is None else Decimal(spent))
    for again in ("0", "0.04"):
        assert not settle(stores, "a", hold, Decimal(again))
    assert used(stores) == Decimal(left)
    assert holders(stores) == set()


def test_a_settlement_after_midnight_belongs_to_the_day_of_the_hold(stores: Stores) -> None:
    hold = take(stores, "a")
    tomorrow = NOW + timedelta(days=1)
    take(stores, "b", now=tomorrow)
    assert stores.claims.held_by(asked("a").ref, tomorrow) == hold
    assert settle(stores, "a", hold, Decimal("0.01"))
    assert (used(stores), used(stores, "2026-03-03")) == (Decimal("0.01"), PART)
    assert stores.claims.held_by(asked("a").ref, tomorrow) is None


def test_less_than_a_micro_dollar_is_never_lost(stores: Stores) -> None:
    hold = take(stores, "a")
    settle(stores, "a", hold, Decimal("0.0000001"))
    assert used(stores) == Decimal("0.000001")


class TestLeases:
    """A crash leaks no slot, and no money comes back by itself."""

    def test_expired_holders_are_taken_out_by_whoever_needs_a_slot(self, stores: Stores) -> None:
        for name in ("a", "b"):
            take(stores, name, amount=Decimal("0.01"))
        just_before = NOW + timedelta(seconds=LEASE_S - 1)
        with pytest.raises(SlotsTaken):
            take(stores, "c", now=just_before, amount=Decimal("0.01"))
        take(stores, "c", now=LATER, amount=Decimal("0.01"))
        assert holders(stores) == {"c"}
        assert used(stores) == Decimal("0.03")

    def test_a_crashed_case_that_comes_back_needs_no_second_slot(self, stores: Stores) -> None:
        limits = Limits(CAP, PART, 1)
        take(stores, "a", limits=limits, amount=Decimal("0.01"))
        take(stores, "a", limits=limits, amount=Decimal("0.01"), part="r1#2")
        assert holders(stores) == {"a"}

    def test_one_whose_lease_expired_still_settles_its_money(self, stores: Stores) -> None:
        hold = take(stores, "a")
        take(stores, "b", now=LATER, limits=Limits(CAP, PART, 1))
        assert settle(stores, "a", hold, Decimal("0.01"))
        assert used(stores) == Decimal("0.05")
        assert holders(stores) == {"b"}


class TestTurns:
    """Nobody waits for ever: the longest waiting case goes next."""

    def test_a_free_slot_is_kept_for_the_case_that_has_waited_longest(self, stores: Stores) -> None:
        limits = Limits(Decimal(1), PART, 1)
        hold = take(stores, "a", limits=limits)
        young, old = NOW + timedelta(seconds=9), NOW + timedelta(seconds=1)
        for name, since in (("young", young), ("old", old), ("younger", young)):
            with pytest.raises(SlotsTaken):
                take(stores, name, limits=limits, since=since)
        settle(stores, "a", hold, Decimal(0))
        with pytest.raises(SlotsTaken):
            take(stores, "young", limits=limits, since=young)
        old_hold = take(stores, "old", limits=limits, since=old)
        settle(stores, "old", old_hold, Decimal(0))
        take(stores, "young", limits=limits, since=young)

    def test_money_is_kept_for_one_that_needs_much(self, stores: Stores) -> None:
        limits = Limits(CAP, PART, 9)
        hold = take(stores, "a", limits=limits)
        with pytest.raises(BudgetExhausted):
            take(stores, "large", limits=limits, amount=Decimal("0.09"))
        with pytest.raises(BudgetExhausted):
            take(stores, "small", limits=limits, since=NOW + timedelta(seconds=1))
        settle(stores, "a", hold, Decimal("0.01"))
        take(stores, "large", limits=limits, amount=Decimal("0.09"))

    def test_a_turn_is_not_kept_for_one_that_does_not_come(self, stores: Stores) -> None:
        limits = Limits(Decimal(1), PART, 1)
        hold = take(stores, "a", limits=limits)
        with pytest.raises(SlotsTaken):
            take(stores, "gone", limits=limits)
        settle(stores, "a", hold, Decimal(0))
        late = NOW + timedelta(seconds=TURN_S["slot"] + 1)
        take(stores, "b", now=late, limits=limits, since=late)
        assert stores.claims.usage("default", DAY).kept is None


class Busy:
    """A DynamoDB in which another case's transaction holds the row."""

    def transact_write_items(self, **_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "TransactionConflictException", "Message": ""}}, "TransactWriteItems"
        )


def test_a_case_that_settles_meanwhile_is_waited_for() -> None:
    with pytest.raises(StoreConflict):
        Claims(Busy(), "claims").take(asked("a"), LIMITS, NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_cases_do_the_limits_hold_and_nothing_leaks(stores: Stores, seed: int) -> None:
    """Cases take, stop for more, settle, crash, come back and cross midnight in any order."""
    chance = random.Random(seed)
    limits, now = Limits(CAP, PART, 3), NOW
    held: dict[str, Hold] = {}
    spent: dict[str, Decimal] = {}
    for number in range(120):
        now += timedelta(seconds=chance.choice([1, 60, 900, LEASE_S, 40_000]))
        day, name = f"{now:%Y-%m-%d}", f"c{chance.randrange(8)}"
        match chance.choice(["take", "take", "settle", "retry", "crash"]):
            case "take" if name not in held:
                try:
                    amount = usd(chance.randrange(1, 60_000))
                    held[name] = take(
                        stores, name, now, limits, amount=amount, part=f"r1#{number}", since=now
                    )
                except (BudgetExhausted, SlotsTaken):
                    pass
            case "settle" if name in held:
                hold = held.pop(name)
                paid = usd(chance.randrange(micro(hold.reserved_usd) + 1))
                assert settle(stores, name, hold, paid), "what a case holds settles once"
                spent[hold.day] = spent.get(hold.day, Decimal(0)) + paid
            case "retry" if name in held:
                hold = held[name]
                if hold.day == day:
                    again = take(stores, name, now, limits, amount=hold.reserved_usd, part=hold.part)
                    assert again == hold
            case "crash" if name in held:
                hold = held.pop(name)
                spent[hold.day] = spent.get(hold.day, Decimal(0)) + hold.reserved_usd
        usage = stores.claims.usage("default", day)
        alive = {case for case, until in usage.holders.items() if until > now.timestamp()}
        assert len(alive) <= limits.slots
        assert usd(usage.used) <= CAP
        reserved = sum((h.reserved_usd for h in held.values() if h.day == day), Decimal(0))
        assert usd(usage.used) == spent.get(day, Decimal(0)) + reserved, "no cent is lost, none counted twice"
    # Long after, with everything crashed or settled, every slot is free again.
    much_later = now + timedelta(days=2)
    for name in ("x", "y", "z"):
        take(stores, name, much_later, limits, amount=Decimal("0.01"), since=much_later)


class Interrupted:
    """A DynamoDB in which others write just before each of our writes, while we believe what we have read."""

    def __init__(self, db: Any, others: Any) -> None:
        self._db, self._others, self._busy = db, others, False

    def transact_write_items(self, **writes: Any) -> Any:
        if not self._busy:
            self._busy = True
            self._others()
            self._busy = False
        return self._db.transact_write_items(**writes)

    def get_item(self, **key: Any) -> Any:
        return self._db.get_item(**key)


@pytest.mark.parametrize("seed", range(3))
def test_no_write_of_others_between_a_look_and_a_write_passes_a_limit(stores: Stores, seed: int) -> None:
    chance, limits = random.Random(seed), Limits(CAP, PART, 3)
    now = NOW
    held: dict[str, Hold] = {}

    def step(claims: Claims) -> None:
        name = f"c{chance.randrange(6)}"
        ref = CaseRef(tenant="default", case_id=name)
        if name in held:
            if chance.random() < 0.5:
                hold = held.pop(name)
                claims.settle(ref, hold, usd(chance.randrange(micro(hold.reserved_usd) // 8 + 1)))
            return
        request = asked(name, usd(chance.randrange(1, 50_000)), f"r1#{chance.random()}", now)
        try:
            held[name] = claims.take(request, limits, now)
        except (BudgetExhausted, SlotsTaken, StoreConflict):
            held.pop(name, None)

    ours = Claims(Interrupted(stores.db, lambda: step(stores.claims)), "claims")  # type: ignore[arg-type]
    for _ in range(60):
        now += timedelta(seconds=chance.choice([1, 60, 400]))
        step(ours)
        usage = stores.claims.usage("default", f"{now:%Y-%m-%d}")
        assert usd(usage.used) <= CAP
        assert sum(until > now.timestamp() for until in usage.holders.values()) <= limits.slots
        assert usage.used >= sum(entry.amount for entry in usage.held.values())
