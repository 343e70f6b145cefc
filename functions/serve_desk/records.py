"""The calls about records: which accepted events are accounted for or known at all, and forgetting a case."""

from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api_records import (
    EventsBody,
    ForgottenCase,
    LostEvent,
    Reconciliation,
    RepairBody,
    Repaired,
    Repairs,
    UnknownEvents,
    Unrepaired,
)
from countersign.approvals import Person
from countersign.calls import Call
from countersign.errors import InvalidRequest, NotFound
from countersign.forgetting import forget
from countersign.ledger import is_case_id
from countersign.reconciling import repair_all, unknown_events
from countersign.sources import load_source
from desk_ports import DeskPorts

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.post("/cases/<case_id>/forget")
def forget_case(case_id: str) -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    if not is_case_id(case_id):
        raise NotFound("there is no such case")
    person = Person(call.person, "api", call.subject)
    done = forget(call.ports.arbiter(), call.case(case_id), person, call.ports.now())
    answer = ForgottenCase(
        case_id=case_id, forgotten_at=done.at, erased=done.erased, recalled_by=done.recalled_by
    )
    return answer.model_dump(mode="json")


@router.get("/reconciliation")
def account_for_events() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    call.takes("since", "cursor")
    cursor = call.cursor()
    if cursor is not None and not is_case_id(cursor):
        raise InvalidRequest("the cursor is not one this list gave out")
    page = call.ports.reconciler().account(call.tenant, call.since(), cursor, call.ports.now())
    answer = Reconciliation(
        accepted=page.accepted,
        ended=dict(page.ended),  # type: ignore[arg-type]
        moving=page.moving,
        dead_letters=page.dead_letters,
        unaccounted=[LostEvent.model_validate(lost.model_dump()) for lost in page.unaccounted],
        cursor=page.cursor,
    )
    return answer.model_dump(mode="json")


@router.post("/reconciliation/repairs")
def repair_events() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    given = dict.fromkeys(call.body(RepairBody).case_ids)
    desk, person = call.ports.reconciler(), Person(call.person, "api", call.subject)
    done, refused = repair_all(desk, map(call.case, given), person, call.ports.now())
    answer = Repairs(
        repaired=[Repaired(case_id=r.case_id, did=r.did, execution=r.execution) for r in done],
        refused=[Unrepaired(case_id=case_id, reason=reason) for case_id, reason in refused],
    )
    return answer.model_dump(mode="json")


@router.post("/reconciliation/events")
def find_unknown_events() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    body = call.body(EventsBody)
    source = load_source(body.source, call.ports.settings().sources_dir)
    if source.tenant != call.tenant:
        raise NotFound("there is no such source")
    desk = call.ports.reconciler()
    unknown = unknown_events(desk.files, desk.ledger, source, body.event_ids)
    return UnknownEvents(unknown=unknown).model_dump(mode="json")
