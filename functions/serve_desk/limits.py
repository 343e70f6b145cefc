"""The call about what limits the tenant's cases: today's budget, the slots and who holds them, who waits."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api_limits import Lease, LimitsAnswer, Parked
from countersign.calls import Call
from countersign.claims import day_of
from countersign.clock import instant
from countersign.ledger import Ledger
from countersign.models import CaseStatus
from countersign.spending import usd
from desk_ports import DeskPorts

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

PAGE, PAGES = 100, 10


@router.get("/limits")
def show_limits() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    call.takes()
    limits, now = call.ports.limits(), call.ports.now()
    day = day_of(now)
    usage = call.ports.claims().usage(call.tenant, day)
    reserved = sum(held.amount for held in usage.held.values())
    answer = LimitsAnswer(
        day=day,
        cap_usd=str(limits.cap_usd),
        used_usd=str(usd(usage.used)),
        reserved_usd=str(usd(reserved)),
        spent_usd=str(usd(usage.used - reserved)),
        max_cases_at_once=limits.slots,
        leases=[
            Lease(
                case_id=case_id,
                expires_at=instant(datetime.fromtimestamp(until, UTC)),
                reserved_usd=str(usd(usage.held[case_id].amount)) if case_id in usage.held else None,
            )
            for case_id, until in sorted(usage.holders.items(), key=lambda holder: holder[1])
            if until > now.timestamp()
        ],
        parked=_parked(call.ports.ledger(), call.tenant),
    )
    return answer.model_dump(mode="json")


def _parked(ledger: Ledger, tenant: str) -> Parked:
    waiting: Counter[str] = Counter()
    cursor = None
    for _ in range(PAGES):
        found, cursor = ledger.cases(tenant, CaseStatus.PARKED, PAGE, cursor)
        waiting.update(head.waiting_for or "budget" for head in found)
        if cursor is None:
            break
    return Parked(budget=waiting["budget"], slot=waiting["slot"], counted_all=cursor is None)
