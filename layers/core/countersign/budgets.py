"""What cases hold: taken before they draft, let go when they have drafted or failed, waited for meanwhile."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from countersign.case_file import CaseFiles
from countersign.claims import Asked, Claims
from countersign.clock import instant
from countersign.errors import BudgetExhausted, SlotsTaken
from countersign.items import Item
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseFile, CaseRef, CaseStatus, LedgerEvent, WaitingFor
from countersign.spending import Hold, Limits, needed_usd

PAYING = frozenset({"Plan Work", "Write Draft", "Review Draft"})
"""The states that pay for models. What one of them paid before it broke down, nobody knows."""


@dataclass(frozen=True)
class Holds:
    """Lets go what cases hold, as writes for the transaction that ends a drafting."""

    claims: Claims
    files: CaseFiles

    def let_go(self, file: CaseFile, hold: Hold | None) -> list[Item]:
        """What the case has spent of its hold stays spent, the rest is free."""
        return self.claims.release(file.ref, hold, hold.spent_usd(file)) if hold else []

    def give_back(self, file: CaseFile, hold: Hold | None) -> None:
        """Lets it go at once, where no other write belongs to it. Raises StoreConflict."""
        if hold:
            self.claims.settle(file.ref, hold, hold.spent_usd(file))

    def let_go_failed(self, ref: CaseRef, failed_in: str, now: datetime) -> list[Item]:
        """The same for a case that failed in a state, by its name, or as a whole `execution`.

        Where that may have been while it was paying, all that it held counts as spent.
        """
        hold = self.claims.held_by(ref, now)
        if hold is None:
            return []
        if failed_in in PAYING | {"execution"}:
            return self.claims.release(ref, hold, None)
        return self.let_go(self.files.read(ref), hold)


@dataclass(frozen=True)
class Reserving:
    """Where a case stands as it asks.

    `run` and `part` count, from 1, its executions and what each of them has reserved. `since` is the instant
    from which it counts as waiting, `parked_for` what it waited for last, `held` what it holds still.
    """

    ref: CaseRef
    run: int
    part: int
    since: str
    parked_for: WaitingFor | None
    held: Hold | None

    @property
    def key(self) -> str:
        return f"r{self.run}#{self.part}"


@dataclass(frozen=True)
class Reserve:
    """The stores that a reservation needs, and the tenant's limits."""

    holds: Holds
    ledger: Ledger
    limits: Limits

    def reserve(self, case: Reserving, now: datetime) -> Hold:
        """Takes a slot and money; a case that waited is running again.

        A case never waits with something in its hands: what it held is let go first, so that no two of them
        can wait for each other. It takes a part as large as what it needs next, where that is known.

        Raises BudgetExhausted and SlotsTaken for a case that is parked, BudgetTooSmall, StoreConflict.
        """
        before, needed = self._settle(case)
        part = min(self.limits.part_usd, self.limits.cap_usd)
        asked = Asked(case.ref, case.key, max(part, needed), before, case.since)
        try:
            hold = self.holds.claims.take(asked, self.limits, now)
        except (BudgetExhausted, SlotsTaken) as error:
            self._park(case, "slot" if isinstance(error, SlotsTaken) else "budget", instant(now))
            raise
        if case.parked_for:
            self.ledger.commit([self.ledger.set_status(case.ref, CaseStatus.RUNNING, instant(now))])
        return hold

    def _settle(self, case: Reserving) -> tuple[Decimal, Decimal]:
        """What the case has cost before, and what it needs at least; a new case has no file to ask."""
        if case.run == case.part == 1:
            return Decimal(0), Decimal(0)
        file = self.holds.files.read(case.ref)
        self.holds.give_back(file, case.held)
        return file.known_cost_usd(), needed_usd(file)

    def _park(self, case: Reserving, waiting_for: WaitingFor, at: str) -> None:
        """Says so on the head, and once for each reason in the history."""
        head = self.ledger.head(case.ref)
        if head and (head.status, head.waiting_for) == (CaseStatus.PARKED, waiting_for):
            return
        status = self.ledger.set_status(case.ref, CaseStatus.PARKED, at, waiting_for=waiting_for)
        line = LedgerEvent(
            at=at, event="case.parked", actor="countersign", detail={"waiting_for": waiting_for}
        )
        try:
            self.ledger.commit(
                [status, self.ledger.put_event(case.ref, f"parked#{case.key}#{waiting_for}", line)]
            )
        except Rejected:
            self.ledger.commit([status])
