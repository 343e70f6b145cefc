"""Reserve Budget: a slot and money, before any model is called. Without them a case is parked, not failed."""

from typing import Any

from countersign import clock, deployment
from countersign.budgets import Reserve, Reserving
from countersign.errors import BudgetExhausted, SlotsTaken
from countersign.models import CaseRef
from countersign.observability import LambdaContext, log_outcome, observed
from countersign.spending import Hold


@observed
def handler(event: dict[str, Any], context: LambdaContext, reserve: Reserve | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, run, part, since, parked_for, reservation; returns the hold.

    Raises BudgetExhausted and SlotsTaken for a case that is parked, BudgetTooSmall where no day could pay.
    """
    case = Reserving(
        ref=CaseRef(tenant=event["tenant"], case_id=event["case_id"]),
        run=int(event["run"]),
        part=int(event["part"]),
        since=event["since"],
        parked_for=event["parked_for"] or None,
        held=Hold.read(event["reservation"]),
    )
    try:
        return (reserve or deployment.reserve()).reserve(case, clock.now()).model_dump(mode="json")
    except (BudgetExhausted, SlotsTaken) as error:
        waiting_for = "slot" if isinstance(error, SlotsTaken) else "budget"
        log_outcome("Parked", waiting_for, tenant=case.ref.tenant, case_id=case.ref.case_id)
        raise
