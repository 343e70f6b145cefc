"""Reserve Budget: sets money aside before any model is called. At the cap the case is parked, not failed."""

from typing import Any

from countersign import clock, deployment
from countersign.claims import Claims
from countersign.errors import BudgetExhausted
from countersign.ledger import Ledger
from countersign.models import CaseRef, CaseStatus
from countersign.observability import LambdaContext, observed
from countersign.settings import settings


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, claims: Claims | None = None, ledger: Ledger | None = None
) -> dict[str, Any]:
    """Takes tenant, case_id; returns what was reserved and of which day. Raises BudgetExhausted."""
    claims, ledger = claims or deployment.claims(), ledger or deployment.ledger()
    ref, now = CaseRef(tenant=event["tenant"], case_id=event["case_id"]), clock.now()
    try:
        claims.reserve(ref.tenant, ref.case_id, settings().case_reserve_usd, settings().daily_budget_usd, now)
    except BudgetExhausted:
        ledger.commit([ledger.set_status(ref, CaseStatus.PARKED, clock.instant(now))])
        raise
    return {"reserved_usd": str(settings().case_reserve_usd), "day": f"{now:%Y-%m-%d}"}
