"""Receives a sender's webhook: 202 once the event is durable or opens no case, else a sentence on why not."""

import json
from typing import Any

from countersign import clock, deployment
from countersign.bodies import event_headers, path_parameter, raw_body
from countersign.errors import EventInProgress, NotFound, RequestRejected, Unavailable
from countersign.intake import IntakeDesk, Receipt
from countersign.observability import LambdaContext, log_failure, note, observed
from countersign.sources import Challenged, Ignored


@observed
def handler(event: dict[str, Any], context: LambdaContext, desk: IntakeDesk | None = None) -> dict[str, Any]:
    """Takes API Gateway's event (payload 2.0) of `POST /webhooks/{source}`; returns its answer."""
    source = path_parameter(event, "source")
    try:
        received = (desk or deployment.intake_desk()).receive(
            source, event_headers(event), raw_body(event), clock.now(), context.get_remaining_time_in_millis
        )
    except (RequestRejected, Unavailable) as error:
        return refuse(error, source)
    note(source=source)
    if isinstance(received, Ignored):
        note(outcome="ignored", reason=received.reason)
        return answer(202, {"status": "ignored", "reason": received.reason})
    if isinstance(received, Challenged):
        note(outcome="challenged")
        return answer(200, {"challenge": received.echo})
    return accept(received)


def accept(receipt: Receipt) -> dict[str, Any]:
    """Durable now, or before. A sender that used one id for two events should know that the first stands."""
    other_body = {"other_body": True} if receipt.other_body else {}
    note(case_id=receipt.case_id, outcome="duplicate" if receipt.duplicate else "accepted", **other_body)
    case = {"case_id": receipt.case_id, "status_url": f"/cases/{receipt.case_id}"}
    return answer(202, {**case, "duplicate": receipt.duplicate, **other_body})


def refuse(error: RequestRejected | Unavailable, source: str) -> dict[str, Any]:
    """The sender's fault, or a reason to try again."""
    # What is not the name of a source may be anything, and stays out of the log.
    note(outcome=error.code, reason=str(error), **({} if isinstance(error, NotFound) else {"source": source}))
    headers = {}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after_s)
        # Two deliveries of one event at once are no failure of ours: the sender's next try finds the case.
        if not isinstance(error, EventInProgress):
            log_failure(error, source=source)
    return answer(error.status, {"error": {"code": error.code, "message": str(error)}}, headers)


def answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """An answer as API Gateway takes it."""
    return {
        "statusCode": status,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            **(headers or {}),
        },
        "body": json.dumps(body),
    }
