"""What a case may spend: the money it holds while models work for it, and how much of that is left.

A call of a model is made only where the most that it can cost still fits. So what a case spends never passes
what it holds, and what all cases hold never passes the day's cap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from countersign.models import CaseFile, Record

MICRO = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Of one tenant: dollars a day, dollars a case sets aside at a time, cases that draft at once."""

    cap_usd: Decimal
    part_usd: Decimal
    slots: int


class Hold(Record):
    """What a case holds while it drafts: a slot, and an amount of one day's budget.

    `part` tells the reservations of a case apart. `spent_before_usd` is what the case had cost when it took
    this one, so that what it has spent of it can be read from its file.
    """

    part: str
    day: str
    reserved_usd: Decimal
    spent_before_usd: Decimal

    @classmethod
    def read(cls, reservation: Any) -> "Hold | None":
        """From the machine's variable, which is null while the case holds nothing."""
        return cls.model_validate(reservation) if reservation else None

    def spent_usd(self, file: CaseFile) -> Decimal | None:
        """What was paid from it; None where a price is not known."""
        cost = file.cost_usd()
        return None if cost is None else max(Decimal(0), cost - self.spent_before_usd)

    def left_usd(self, file: CaseFile) -> Decimal:
        """What may still be paid from it; what has no known price is left out."""
        return self.reserved_usd - (file.known_cost_usd() - self.spent_before_usd)


@dataclass(frozen=True)
class Attempt:
    """One attempt of a state: when the state was entered, and how often it has been retried since."""

    entered: str
    retries: int

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> "Attempt":
        """From a state's payload `{"entered", "retries"}`."""
        return cls(str(event["entered"]), int(event["retries"]))


def needed_usd(file: CaseFile) -> Decimal:
    """What the step that stopped last must have to go on; 0 where none stopped for money."""
    last = file.steps[-1] if file.steps else None
    needed = last.detail.get("needed_usd") if last and last.error == "BudgetExhausted" else None
    return Decimal(str(needed)) if needed else Decimal(0)


def micro(amount_usd: Decimal) -> int:
    """Whole micro-dollars, rounded up: what is counted is never less than what was paid."""
    return int((amount_usd * MICRO).to_integral_value(ROUND_CEILING))


def usd(amount: int) -> Decimal:
    return Decimal(amount) / MICRO
