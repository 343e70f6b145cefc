"""The calls about what has failed: listing it, and running it again."""

from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api_failures import (
    Failure,
    FailureList,
    RedriveAnswer,
    RedriveBody,
    RedrivenFailure,
    RefusedFailure,
)
from countersign.approvals import Person
from countersign.calls import Call
from countersign.errors import InvalidRequest, NotFound
from countersign.ledger import is_case_id
from countersign.observability import note
from countersign.redriving import Failed, Redriven, Redrives
from desk_ports import DeskPorts

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/failures")
def list_failures() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    call.takes("limit", "cursor")
    redriver, cursor = call.ports.redriver(), call.cursor()
    found, following = redriver.cases(call.tenant, call.limit(), cursor)
    letters = redriver.letters(call.tenant) if cursor is None else []
    failures = [_failure(each) for each in (*letters, *found)]
    return FailureList(failures=failures, cursor=following).model_dump(mode="json")


@router.post("/failures/redrive")
def redrive_failures() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    body, redriver, now = call.body(RedriveBody), call.ports.redriver(), call.ports.now()
    if body.all == (body.ids is not None) or (body.cursor and not body.all):
        raise InvalidRequest("give either `ids`, or `all` and, to go on with it, its `cursor`")
    if body.ids is not None:
        return _answer(redriver.redrive(call.tenant, body.ids, _person(call), now))
    return _answer(redriver.redrive_all(call.tenant, body.cursor, _person(call), now))


@router.post("/cases/<case_id>/redrive")
def redrive_case(case_id: str) -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    if not is_case_id(case_id):
        raise NotFound("there is no such case")
    done = call.ports.redriver().redrive_case(call.case(case_id), _person(call), call.ports.now())
    note(case_id=case_id, execution=done.execution)
    return _redriven(done).model_dump(mode="json")


def _person(call: Call[DeskPorts]) -> Person:
    return Person(name=call.person, channel="api", subject=call.subject)


def _failure(failed: Failed) -> Failure:
    return Failure(
        id=failed.id,
        kind=failed.kind,
        case_id=failed.ref.case_id if failed.ref else None,
        state=failed.state,
        reason=failed.reason,
        at=failed.at,
        redrivable=failed.redrivable,
    )


def _redriven(done: Redriven) -> RedrivenFailure:
    case_id = done.ref.case_id if done.ref else None
    return RedrivenFailure(id=done.id, case_id=case_id, execution=done.execution, did=done.did)


def _answer(redrives: Redrives) -> dict[str, Any]:
    note(redriven=len(redrives.redriven), refused=len(redrives.refused))
    answer = RedriveAnswer(
        redriven=[_redriven(each) for each in redrives.redriven],
        refused=[RefusedFailure(id=each.id, reason=each.reason) for each in redrives.refused],
        cursor=redrives.cursor,
    )
    return answer.model_dump(mode="json")
