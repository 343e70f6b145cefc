"""The attempts of a delivery: one at a time, and none after one that delivered.

Where they stand is written on the approval's row:

    attempt_task, attempt_until     the attempt that was begun last, and until when it may be under way
    attempts                        the tasks whose attempts are over
    attempt_outcome                 how the last of them went
    delivered_at                    when one delivered; nothing is begun after it

An attempt is begun by one conditional write before anything is sent. So of two copies of a message, or of the
messages of two runs, that are handled at one moment, one sends and the other comes again. A crash leaves a
mark without an outcome: it may have been sent, which is what the next one has to know.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from countersign.answers import Outcome
from countersign.clock import instant, later
from countersign.decisions import Approval
from countersign.errors import AttemptUnderway, StoreConflict
from countersign.items import Item
from countersign.ledger import Ledger, Rejected, case_pk, read_approval
from countersign.models import Delivery, LedgerEvent, sha256_hex

LEASE_S = 90
"""How long an attempt may be under way: longer than its function runs, shorter than its message is hidden."""
WRITE_ATTEMPTS = 4
ATTEMPTED = "delivery.attempted"


@dataclass(frozen=True)
class Begun:
    """An attempt that this process alone makes. `maybe_sent`: an earlier one may have been received."""

    approval: Approval
    maybe_sent: bool


@dataclass(frozen=True)
class Attempts:
    """The attempts of the deliveries of one table. All writes raise StoreConflict."""

    ledger: Ledger

    def begin(self, delivery: Delivery, now: datetime) -> Begun | Outcome | None:
        """Marks an attempt as under way; or finds how it, or the one that delivered, went before.

        None where there is no such approval. Raises AttemptUnderway where another copy is at it.
        """
        task = task_key(delivery)
        held, row = self.ledger.exchange(
            self._change(
                delivery,
                "SET attempt_task = :task, attempt_until = :until",
                "attribute_exists(pk) and attribute_not_exists(delivered_at)"
                " and (attribute_not_exists(attempt_until) or attempt_until < :now)"
                " and (attribute_not_exists(attempts) or not contains(attempts, :task))",
                {":task": task, ":until": later(now, LEASE_S), ":now": instant(now)},
            )
        )
        if held:
            return Begun(read_approval(delivery.ref, row), maybe_sent="attempt_task" in row)
        if not row:
            return None
        if "delivered_at" in row or task in row.get("attempts", []):
            return Outcome.model_validate(row["attempt_outcome"])
        raise AttemptUnderway(f"approval {delivery.approval_id} is being delivered by another copy")

    def finish(self, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
        """Writes down how an attempt went, once, and lets go of the row."""
        task = task_key(delivery)
        key, line = f"delivery#{delivery.approval_id}#{task}", _line(delivery, task, outcome, now)
        delivered = outcome.outcome == "delivered"
        change = self._change(
            delivery,
            "SET attempt_outcome = :outcome, attempts = list_append(if_not_exists(attempts, :none), :tasks)"
            + (", delivered_at = :now" if delivered else "")
            + " REMOVE attempt_until",
            "attempt_task = :task",
            {
                ":task": task,
                ":tasks": [task],
                ":none": [],
                ":outcome": outcome.model_dump(mode="json", exclude_none=True),
                **({":now": instant(now)} if delivered else {}),
            },
        )
        for _ in range(WRITE_ATTEMPTS):
            try:
                self.ledger.commit([change, self.ledger.put_event(delivery.ref, key, line)])
            except Rejected:
                # There is no such approval, or the attempt took so long that another one was begun.
                self.ledger.append(delivery.ref, key, line)
            except StoreConflict:
                continue
            return
        raise StoreConflict(f"approval {delivery.approval_id} was written by others {WRITE_ATTEMPTS} times")

    def _change(
        self, delivery: Delivery, expression: str, condition: str, values: dict[str, JsonValue]
    ) -> Item:
        key = f"approval#{delivery.approval_id}"
        return self.ledger.change_row(case_pk(delivery.ref), key, expression, condition, values)


def task_key(delivery: Delivery) -> str:
    """What stands for a task's token wherever it is written down."""
    return sha256_hex(delivery.task_token)[:16]


def _line(delivery: Delivery, task: str, outcome: Outcome, now: datetime) -> LedgerEvent:
    detail: dict[str, JsonValue] = {
        "approval_id": delivery.approval_id,
        "attempt": delivery.attempt,
        "task": task,
    }
    return LedgerEvent(
        at=instant(now),
        event=ATTEMPTED,
        actor="countersign",
        detail=detail | outcome.model_dump(exclude_none=True),
    )
