"""What a crash left undone: decisions that nobody was told of, rows and cases whose execution is gone.

A case is looked at when it has been in its status for 5, 10, 20, 40 ... minutes: soon after something went
wrong, and ever more rarely while it merely waits, so that thousands that wait for people cost little.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from countersign.approvals import Arbiter
from countersign.budgets import Holds
from countersign.clock import parse
from countersign.decisions import Approval, ApprovalStatus
from countersign.endings import FINAL, Failure, fail_case
from countersign.errors import EngineUnavailable, StoreConflict
from countersign.models import CaseHead, CaseStatus
from countersign.retention import erase_old_subjects

PERIOD_S = 300
"""How often the sweep runs."""
WINDOW_S = 360
"""How long a case is due each time; longer than the period, as schedules are not exact."""
GRACE_S = 900
"""How long after its deadline a pending row is left to its execution."""
PAGE = 100
PAGES = 10
"""The rows of one status that are listed at most, a page at a time."""
LOOKS = 200
"""The cases and approvals that are looked at in one run at most."""
ALIVE = frozenset({"RUNNING", "PENDING_REDRIVE"})
OPEN = (
    CaseStatus.DELIVERING,
    CaseStatus.RUNNING,
    CaseStatus.AWAITING_APPROVAL,
    CaseStatus.PARKED,
    # A redrive that was asked for, and whose execution a crash may have kept from starting.
    CaseStatus.QUEUED,
)


class Executions(Protocol):
    """Step Functions as far as a sweep needs it."""

    def status(self, name: str) -> str | None:
        """An execution's status as Step Functions has it; None where there is no such execution."""
        ...


@dataclass
class Swept:
    """What a run did: cases and approvals looked at, and what had to be done about them."""

    looked_at: int = 0
    told: int = 0
    failed: int = 0
    expired: int = 0
    put_off: int = 0
    erased: int = 0


@dataclass(frozen=True)
class Sweep:
    """One sweep over the cases of some tenants."""

    arbiter: Arbiter
    holds: Holds
    executions: Executions
    tenants: Iterable[str]
    text_days: int | None = None
    """After how many days subjects are erased; None for never."""

    def run(self, now: datetime) -> Swept:
        """Looks at what is due, at most `LOOKS` of it. What others are writing is put off to a later run."""
        swept = Swept()
        for look in self._due(now):
            if swept.looked_at == LOOKS:
                break
            swept.looked_at += 1
            try:
                look(swept)
            except (StoreConflict, EngineUnavailable):
                swept.put_off += 1
        if self.text_days is not None:
            before = now - timedelta(days=self.text_days)
            swept.erased = sum(erase_old_subjects(self.arbiter.ledger, t, before) for t in set(self.tenants))
        return swept

    def _due(self, now: datetime) -> Iterator[Callable[[Swept], None]]:
        for tenant in sorted(set(self.tenants)):
            for status in OPEN:
                for head in self._heads(tenant, status):
                    if is_due((now - parse(head.updated_at)).total_seconds()):
                        yield partial(self._look_at_case, head, now)
            for approval in self._pending(tenant):
                if is_due((now - parse(approval.expires_at)).total_seconds() - GRACE_S + PERIOD_S):
                    yield partial(self._look_at_approval, approval, now)

    def _heads(self, tenant: str, status: CaseStatus) -> Iterator[CaseHead]:
        cursor = None
        for _ in range(PAGES):
            found, cursor = self.arbiter.ledger.cases(tenant, status, PAGE, cursor)
            yield from found
            if cursor is None:
                return

    def _pending(self, tenant: str) -> Iterator[Approval]:
        cursor = None
        for _ in range(PAGES):
            found, cursor = self.arbiter.ledger.approvals(tenant, ApprovalStatus.PENDING, PAGE, cursor)
            yield from found
            if cursor is None:
                return

    def _look_at_case(self, listed: CaseHead, now: datetime, swept: Swept) -> None:
        ref = listed.ref
        approval = self.arbiter.ledger.approval(ref, listed.approval_id) if listed.approval_id else None
        if approval and approval.status is not ApprovalStatus.PENDING and self.arbiter.tell(approval):
            swept.told += 1
            return
        status = self.executions.status(listed.execution)
        if status in ALIVE:
            return
        # An execution writes how its case ended before it ends itself, so this head is no longer moved by it.
        # The list may have been behind: what it showed must still be so.
        head = self.arbiter.ledger.head(ref)
        if head is None or head != listed:
            return
        failure = Failure("execution", status or "ExecutionMissing", head.run)
        if fail_case(self.arbiter.ledger, self.holds, ref, failure, now) is CaseStatus.FAILED:
            swept.failed += 1

    def _look_at_approval(self, listed: Approval, now: datetime, swept: Swept) -> None:
        ref = listed.ref
        head = self.arbiter.ledger.head(ref)
        if head and head.status not in FINAL and self.executions.status(head.execution) in ALIVE:
            return
        if self.arbiter.expire(ref, listed.approval_id, now).status is ApprovalStatus.EXPIRED:
            swept.expired += 1


def is_due(seconds: float) -> bool:
    """Whether something that has been so for some seconds is looked at now: at one period, two, four ..."""
    if seconds < PERIOD_S:
        return False
    doubled: float = 2 ** math.floor(math.log2(seconds / PERIOD_S)) * PERIOD_S
    return seconds < doubled + WINDOW_S
