"""The calls about cases. They change nothing."""

from contextlib import suppress
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api import CaseList
from countersign.calls import Call
from countersign.cards import case_answer, case_line, queued_head
from countersign.case_file import raw_key
from countersign.errors import CaseFileMissing, NotFound
from countersign.ledger import is_case_id
from countersign.models import CaseStatus, RawEvent
from ports import Ports

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/cases")
def list_cases() -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    call.takes("status", "limit", "cursor")
    ledger = call.ports.arbiter().ledger
    found, cursor = ledger.cases(call.tenant, call.status(CaseStatus), call.limit(), call.cursor())
    return CaseList(cases=[case_line(head) for head in found], cursor=cursor).model_dump(mode="json")


@router.get("/cases/<case_id>")
def show_case(case_id: str) -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    missing = NotFound("there is no such case")
    if not is_case_id(case_id):
        raise missing
    ref, arbiter = call.case(case_id), call.ports.arbiter()
    head, events, _ = arbiter.ledger.history(ref)
    if head is None:
        # Its sender has been told this id, and the machine has not come to it yet.
        try:
            raw = arbiter.files.get_model(raw_key(ref), RawEvent)
        except CaseFileMissing:
            raise missing from None
        return case_answer(queued_head(ref, raw), [], None).model_dump(mode="json")
    file = None
    # The text of an old case has been erased; its ledger stays.
    with suppress(CaseFileMissing):
        file = arbiter.files.read(ref)
    return case_answer(head, events, file).model_dump(mode="json")
