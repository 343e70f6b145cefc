"""The claims table: what expires. Here what drafting cases hold; idempotency records lie beside it.

A case that drafts holds one of its tenant's slots and an amount of a day's budget. Both are taken in one
transaction, and let go in the one that ends the drafting. Two rows hold them:

    slots#{tenant}          holders  case_id -> Unix second at which its lease expires
                            kept     whose turn is next: the longest waiting case of those that were refused
    budget#{tenant}#{day}   used     micro-dollars that are held, and those that were spent
                            held     case_id -> {part, amount, before}

Slots are counted by the size of the map, so no counter can leak; a crashed holder is taken out by whoever
needs its slot. Money does not come back by itself: what a crashed case held counts as spent until it is
settled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from countersign.errors import BudgetExhausted, BudgetTooSmall, SlotsTaken, StoreConflict
from countersign.items import Item, conflicted, refused
from countersign.models import CaseRef, WaitingFor
from countersign.spending import Hold, Limits, micro, usd

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY_S = 86_400
KEEP_DAYS = 14
WRITE_ATTEMPTS = 4
LEASE_S = 6 * 3_600
"""Longer than drafting can take with every timeout and every retry of the machine's states between."""
TURN_S: Mapping[WaitingFor, int] = {"slot": 400, "budget": 1_200}
"""How long a turn is kept: longer than the machine's longest wait until that case asks again."""
EXPIRED_AT_ONCE = 20

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Asked:
    """What a case asks for. It has cost `before_usd` so far; the earliest `since`, an instant, goes first."""

    ref: CaseRef
    part: str
    amount_usd: Decimal
    before_usd: Decimal
    since: str

    @property
    def amount(self) -> int:
        return micro(self.amount_usd)


@dataclass(frozen=True)
class Turn:
    """Whose turn is next, and what is kept for it, `until` a Unix second."""

    case_id: str
    since: str
    until: int
    amount: int
    waiting_for: WaitingFor


@dataclass(frozen=True)
class Held:
    """A case's entry in a day's budget: what it holds, in micro-dollars, and what it had cost before."""

    part: str
    amount: int
    before_usd: Decimal


@dataclass(frozen=True)
class Usage:
    """A tenant's two rows as they were read. `exists` says that both are there."""

    exists: bool = True
    holders: Mapping[str, int] = field(default_factory=dict)
    kept: Turn | None = None
    used: int = 0
    held: Mapping[str, Held] = field(default_factory=dict)

    def expired(self, now: datetime) -> dict[str, int]:
        return {case_id: until for case_id, until in self.holders.items() if until <= now.timestamp()}

    def ahead_of(self, asked: Asked, now: datetime) -> Turn | None:
        """The case that goes first, if it still comes for its turn."""
        kept = self.kept
        if kept is None or kept.case_id == asked.ref.case_id or kept.until <= now.timestamp():
            return None
        return kept if (kept.since, kept.case_id) < (asked.since, asked.ref.case_id) else None

    def lacks(self, asked: Asked, limits: Limits, now: datetime) -> WaitingFor | None:
        """What there is not enough of, what is kept for somebody else left out."""
        ahead = self.ahead_of(asked, now)
        if self.used + asked.amount + (ahead.amount if ahead else 0) > micro(limits.cap_usd):
            return "budget"
        others = self.holders.keys() - self.expired(now).keys() - {asked.ref.case_id}
        return "slot" if len(others) + _slots_kept(ahead) >= limits.slots else None


class Claims:
    """The claims table. Give it a boto3 DynamoDB client and the table's name."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._db = client
        self._table = table

    def take(self, asked: Asked, limits: Limits, now: datetime) -> Hold:
        """Takes a slot and an amount of today's budget; the same part of a case takes them once.

        Where both are free that is one write. A case that asked before and waits goes first: one slot and its
        amount are kept for the one that has waited longest, so that nobody waits for ever.

        Raises BudgetExhausted where the day's cap would be passed, SlotsTaken where as many cases draft as
        may, BudgetTooSmall where no day could pay for it, StoreConflict.
        """
        tenant, day = asked.ref.tenant, day_of(now)
        if asked.amount > micro(limits.cap_usd):
            raise BudgetTooSmall(f"{asked.amount_usd} USD is more than a day of tenant {tenant} may cost")
        seen = Usage()
        for _ in range(WRITE_ATTEMPTS):
            if self._take(asked, limits, seen, now):
                return _hold(Held(asked.part, asked.amount, asked.before_usd), day)
            seen = self.usage(tenant, day)
            if not seen.exists:
                self._create(tenant, day, now)
                seen = Usage()
                continue
            mine = seen.held.get(asked.ref.case_id)
            if mine and mine.part == asked.part:
                return _hold(mine, day)
            lacking = seen.lacks(asked, limits, now)
            if lacking:
                self._keep_turn(asked, seen, lacking, now)
                if lacking == "slot":
                    raise SlotsTaken(f"{limits.slots} cases of tenant {tenant} draft already")
                raise BudgetExhausted(
                    f"tenant {tenant} holds or has spent all of today's {limits.cap_usd} USD"
                )
        raise StoreConflict(f"the slots of tenant {tenant} were written by others {WRITE_ATTEMPTS} times")

    def release(self, ref: CaseRef, hold: Hold, spent_usd: Decimal | None) -> list[Item]:
        """The writes that let a hold go: what was spent of it stays in the day's budget, the slot is free.

        Where it is not known what was spent, all of it counts. Refused where the hold was let go before: they
        belong in the transaction that ends the drafting, and settle once.
        """
        spent = hold.reserved_usd if spent_usd is None else spent_usd
        return [
            self._update(
                _budget(ref.tenant, hold.day),
                "SET used = used + :difference REMOVE held.#case",
                "held.#case.#part = :part",
                {"#case": ref.case_id, "#part": "part"},
                {":difference": micro(spent) - micro(hold.reserved_usd), ":part": hold.part},
            ),
            self._update(
                _slots(ref.tenant),
                "REMOVE holders.#case",
                "attribute_exists(holders)",
                {"#case": ref.case_id},
                {},
            ),
        ]

    def settle(self, ref: CaseRef, hold: Hold, spent_usd: Decimal | None) -> bool:
        """Lets a hold go by itself; False where that was done before. Raises StoreConflict."""
        return self._transact(self.release(ref, hold, spent_usd))

    def held_by(self, ref: CaseRef, now: datetime) -> Hold | None:
        """What a case holds of today's or yesterday's budget. What is older is of no use to anybody."""
        for moment in (now, now - timedelta(days=1)):
            held = _held(self._get(_budget(ref.tenant, day_of(moment)))).get(ref.case_id)
            if held:
                return _hold(held, day_of(moment))
        return None

    def usage(self, tenant: str, day: str) -> Usage:
        """What the cases of a tenant hold now, and what a day's budget (`YYYY-MM-DD`) has left."""
        slots, budget = self._get(_slots(tenant)), self._get(_budget(tenant, day))
        kept = slots.get("kept")
        return Usage(
            exists="holders" in slots and "held" in budget,
            holders={case_id: int(until) for case_id, until in slots.get("holders", {}).items()},
            kept=Turn(**{**kept, "until": int(kept["until"]), "amount": int(kept["amount"])})
            if kept
            else None,
            used=int(budget.get("used", 0)),
            held=_held(budget),
        )

    def _take(self, asked: Asked, limits: Limits, seen: Usage, now: datetime) -> bool:
        """Both writes, on the condition that nothing they rest on has changed since it was seen."""
        case_id, ahead = asked.ref.case_id, seen.ahead_of(asked, now)
        expired = list(seen.expired(now).items())[:EXPIRED_AT_ONCE]
        expired = [(holder, until) for holder, until in expired if holder != case_id]
        names = {"#case": case_id} | {f"#e{i}": holder for i, (holder, _) in enumerate(expired)}
        values: Item = {f":e{i}": until for i, (_, until) in enumerate(expired)}
        values |= {
            ":until": int(now.timestamp()) + LEASE_S,
            ":slots": limits.slots - _slots_kept(ahead) + len(expired),
            ":expiration": _expiration(now),
        }
        removed = [f"holders.#e{i}" for i in range(len(expired))]
        conditions = [
            "attribute_exists(holders)",
            "(attribute_exists(holders.#case) or size(holders) < :slots)",
            *(f"holders.#e{i} = :e{i}" for i in range(len(expired))),
        ]
        if seen.kept is None:
            conditions.append("attribute_not_exists(kept)")
        else:
            conditions.append("kept.case_id = :kept and kept.#until = :kept_until")
            names["#until"] = "until"
            values |= {":kept": seen.kept.case_id, ":kept_until": seen.kept.until}
            if seen.kept.case_id == case_id or seen.kept.until <= now.timestamp():
                removed.append("kept")
        slots = self._update(
            _slots(asked.ref.tenant),
            "SET holders.#case = :until, expiration = :expiration"
            + (f" REMOVE {', '.join(removed)}" if removed else ""),
            " and ".join(conditions),
            names,
            values,
        )
        return self._transact([slots, self._reserving(asked, limits, seen, ahead, now)])

    def _reserving(
        self, asked: Asked, limits: Limits, seen: Usage, ahead: Turn | None, now: datetime
    ) -> Item:
        case_id = asked.ref.case_id
        names = {"#case": case_id}
        values: Item = {
            ":hold": {"part": asked.part, "amount": asked.amount, "before": asked.before_usd},
            ":amount": asked.amount,
            ":room": micro(limits.cap_usd) - asked.amount - (ahead.amount if ahead else 0),
            ":expiration": _expiration(now),
        }
        free = "attribute_not_exists(held.#case)"
        if mine := seen.held.get(case_id):
            # An earlier run was lost with what it held: nobody knows what it spent, so all of it stays.
            names["#part"], values[":lost"], free = "part", mine.part, "held.#case.#part = :lost"
        return self._update(
            _budget(asked.ref.tenant, day_of(now)),
            "SET held.#case = :hold, used = used + :amount, expiration = :expiration",
            f"attribute_exists(held) and used <= :room and {free}",
            names,
            values,
        )

    def _keep_turn(self, asked: Asked, seen: Usage, waiting_for: WaitingFor, now: datetime) -> None:
        """Has the next turn kept for a case that was refused, unless somebody goes before it."""
        if seen.ahead_of(asked, now):
            return
        turn = {
            "case_id": asked.ref.case_id,
            "since": asked.since,
            "until": int(now.timestamp()) + TURN_S[waiting_for],
            "amount": asked.amount,
            "waiting_for": waiting_for,
        }
        condition, names = "attribute_not_exists(kept)", dict[str, str]()
        values: Item = {":turn": turn}
        if seen.kept:
            condition, names = "kept.case_id = :seen and kept.#until = :until", {"#until": "until"}
            values |= {":seen": seen.kept.case_id, ":until": seen.kept.until}
        # Where somebody else was faster, this case asks again soon enough.
        self._transact([self._update(_slots(asked.ref.tenant), "SET kept = :turn", condition, names, values)])

    def _create(self, tenant: str, day: str, now: datetime) -> None:
        none: Item = {":none": {}, ":expiration": _expiration(now)}
        for key, expression, values in (
            (_slots(tenant), "holders = if_not_exists(holders, :none)", none),
            (
                _budget(tenant, day),
                "held = if_not_exists(held, :none), used = if_not_exists(used, :zero)",
                none | {":zero": 0},
            ),
        ):
            self._transact(
                [self._update(key, f"SET {expression}, expiration = :expiration", None, {}, values)]
            )

    def _update(
        self,
        key: str,
        expression: str,
        condition: str | None,
        names: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> Item:
        return {
            "Update": {
                "TableName": self._table,
                "Key": {"id": {"S": key}},
                "UpdateExpression": expression,
                **({"ConditionExpression": condition} if condition else {}),
                **({"ExpressionAttributeNames": dict(names)} if names else {}),
                **(
                    {"ExpressionAttributeValues": {n: _serialize(v) for n, v in values.items()}}
                    if values
                    else {}
                ),
            }
        }

    def _transact(self, writes: list[Item]) -> bool:
        """All or none; False where a condition did not hold. Raises StoreConflict."""
        try:
            self._db.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except ClientError as error:
            if conflicted(error):
                raise StoreConflict("another case was taking or letting go at the same moment") from None
            if refused(error):
                return False
            raise
        return True

    def _get(self, key: str) -> Item:
        answer = self._db.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True)
        return {name: _deserialize(value) for name, value in answer.get("Item", {}).items()}


def _hold(held: Held, day: str) -> Hold:
    return Hold(part=held.part, day=day, reserved_usd=usd(held.amount), spent_before_usd=held.before_usd)


def _held(budget: Item) -> dict[str, Held]:
    return {
        case_id: Held(entry["part"], int(entry["amount"]), entry["before"])
        for case_id, entry in budget.get("held", {}).items()
    }


def _slots_kept(ahead: Turn | None) -> int:
    """A case that waits for money alone has no slot kept for it."""
    return 1 if ahead and ahead.waiting_for == "slot" else 0


def _slots(tenant: str) -> str:
    return f"slots#{tenant}"


def _budget(tenant: str, day: str) -> str:
    return f"budget#{tenant}#{day}"


def day_of(moment: datetime) -> str:
    """The day (UTC) whose budget is spent then, `YYYY-MM-DD`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _expiration(now: datetime) -> int:
    return int(now.timestamp()) + KEEP_DAYS * DAY_S
