"""The calls about what has failed: listing it, and running it again."""

from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api import Failure, FailureList
from countersign.calls import Call
from countersign.models import CaseStatus
from desk_ports import DeskPorts

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/failures")
def list_failures() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    found, cursor = call.ports.ledger().cases(call.tenant, CaseStatus.FAILED, call.limit(), call.cursor())
    failures = [
        Failure(
            id=head.case_id,
            kind="case",
            case_id=head.case_id,
            state=None,
            reason=head.outcome or "",
            at=head.updated_at,
            redrivable=True,
        )
        for head in found
    ]
    return FailureList(failures=failures, cursor=cursor).model_dump(mode="json")
