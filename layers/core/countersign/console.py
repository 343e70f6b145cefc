"""Decisions by hand: what an operator answers a waiting task with, from the Step Functions console's shell.

A well-formed answer, `{"verdict", "shown_sha256", "text"?, "reason"?, "decided_by"?}`, goes through the
arbiter like any other decision. Any other leaves a line in the ledger and changes nothing.
"""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from countersign.approvals import Arbiter, Person
from countersign.clock import instant
from countersign.decisions import Approval, ApprovalStatus, DecisionBody
from countersign.errors import AlreadyDecided, RequestRejected
from countersign.models import LedgerEvent

LONGEST_NAME = 100


def take_answer(arbiter: Arbiter, approval: Approval, answer: Any, now: datetime) -> Approval:
    """The row after a task's answer has been put to it: as it was where that was no valid decision.

    The arbiter's own notice of a decision is no answer, and says nothing new. Raises StoreConflict.
    """
    given = answer if isinstance(answer, dict) else {}
    if approval.status is not ApprovalStatus.PENDING:
        if "verdict" in given:
            _refuse(arbiter, approval, "console.answer_late", "AlreadyDecided", now)
        return approval
    operator = " ".join(str(given.get("decided_by") or "operator").split())[:LONGEST_NAME]
    try:
        body = DecisionBody.model_validate({k: v for k, v in given.items() if k in DecisionBody.model_fields})
        return arbiter.decide(approval, body, Person(f"console:{operator}", "console"), now)
    except (ValidationError, RequestRejected) as error:
        late = isinstance(error, AlreadyDecided)
        name = "console.answer_late" if late else "console.answer_refused"
        _refuse(arbiter, approval, name, type(error).__name__, now)
    return arbiter.ledger.approval(approval.ref, approval.approval_id) or approval


def _refuse(arbiter: Arbiter, approval: Approval, name: str, error: str, now: datetime) -> None:
    line = LedgerEvent(
        at=instant(now),
        event=name,
        actor="countersign",
        detail={"approval_id": approval.approval_id, "error": error},
    )
    arbiter.ledger.append(approval.ref, f"console#{approval.approval_id}#v{approval.version}", line)
