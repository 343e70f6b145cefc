"""The bodies of the desk's calls about records: accounting for events, and forgetting a case.

Times are ISO 8601 in UTC with a `Z`.
"""

from typing import Annotated, Literal

from pydantic import Field

from countersign.api import Body
from countersign.ledger import CASE_ID
from countersign.models import CaseStatus
from countersign.reconciling import Loss

CaseId = Annotated[str, Field(pattern=rf"^{CASE_ID.pattern}$")]
Id = Annotated[str, Field(min_length=1, max_length=1_024)]


class LostEvent(Body):
    """An accepted event that has not ended, does not move and is no dead letter.

    `status` is the case's, `execution` what Step Functions says of its current run, each None where there is
    none. `not_started`: no execution and no case; `not_opened`: an execution that ended without a case;
    `abandoned`: a case whose execution is gone.
    """

    case_id: str
    received_at: str
    status: CaseStatus | None
    execution: str | None
    reason: Loss


class Reconciliation(Body):
    """A page of the account: what became of the events of this page. `ended` counts by the case's status.

    A page may be empty and still have a cursor.
    """

    accepted: int
    ended: dict[CaseStatus, int]
    moving: int
    dead_letters: int
    unaccounted: list[LostEvent]
    cursor: str | None


class ForgottenCase(Body):
    """`erased` counts the objects that went, each version for itself, in this call.

    `recalled_by` are the cases that were given this one's answer. It is gone from what they remember; what
    they wrote themselves may quote it, and is forgotten with them.
    """

    case_id: str
    forgotten_at: str
    erased: int
    recalled_by: list[str]


class RepairBody(Body):
    case_ids: list[CaseId] = Field(min_length=1, max_length=25)


class Repaired(Body):
    """`queued`: back on the intake queue for its first run; `redriven`: for another one."""

    case_id: str
    did: Literal["queued", "redriven"]
    execution: str


class Unrepaired(Body):
    case_id: str
    reason: str


class Repairs(Body):
    repaired: list[Repaired]
    refused: list[Unrepaired]


class EventsBody(Body):
    """Event ids as the source's sender gave them out, such as GitHub's delivery ids."""

    source: str = Field(max_length=64)
    event_ids: list[Id] = Field(min_length=1, max_length=100)


class UnknownEvents(Body):
    """Those of the given ids that no event was accepted under."""

    unknown: list[str]
