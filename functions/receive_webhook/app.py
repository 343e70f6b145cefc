"""Receives a sender's webhook: 202 once the event is durable or opens no case, else a sentence on why not."""

import json
from typing import Any

from countersign import clock, deployment
from countersign.bodies import event_headers, raw_body
from countersign.errors import RequestRejected, Unavailable
from countersign.intake import IntakeDesk, Receipt
from countersign.observability import LambdaContext, log_failure, note, observed
from countersign.settings import settings
from countersign.sources import load_source


@observed
def handler(event: dict[str, Any], context: LambdaContext, desk: IntakeDesk | None = None) -> dict[str, Any]:
    """Takes API Gateway's event (payload 2.0) of `POST /webhooks/{source}`; returns its answer."""
    try:
        source = load_source((event.get("pathParameters") or {}).get("source", ""), settings().sources_dir)
        note(source=source.name)
        # An unknown sender or a body too large costs no secret and no store.
        body = raw_body(event)
        receipt = (desk or deployment.intake_desk()).receive(
            source, event_headers(event), body, clock.now(), context.get_remaining_time_in_millis
        )
    except RequestRejected as error:
        note(outcome=error.code, reason=str(error))
        return answer(error.status, {"error": {"code": error.code, "message": str(error)}})
    except Unavailable as error:
        log_failure(error)
        note(outcome=error.code)
        failed = {"error": {"code": error.code, "message": str(error)}}
        return answer(error.status, failed, {"retry-after": str(error.retry_after_s)})
    if not isinstance(receipt, Receipt):
        note(outcome="ignored", reason=receipt.reason)
        return answer(202, {"status": "ignored", "reason": receipt.reason})
    note(outcome="duplicate" if receipt.duplicate else "accepted", case_id=receipt.case_id)
    accepted: dict[str, Any] = {
        "case_id": receipt.case_id,
        "status_url": f"/cases/{receipt.case_id}",
        "duplicate": receipt.duplicate,
    }
    if receipt.other_body:
        # The first body stands; a sender that used an id twice should know.
        note(other_body=True)
        accepted["other_body"] = True
    return answer(202, accepted)


def answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """An answer as API Gateway takes it."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "cache-control": "no-store", **(headers or {})},
        "body": json.dumps(body),
    }
