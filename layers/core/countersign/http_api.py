"""What every function of the HTTP API does alike: its headers, its errors, and one call at a time.

Only these functions import it: the router takes a while to import.
"""

from collections.abc import Iterable
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api import DecidedAlready, ErrorAnswer, ErrorWord
from countersign.calls import Call
from countersign.errors import (
    AlreadyDecided,
    EngineUnavailable,
    KnowledgeUnavailable,
    RequestRejected,
    StoreConflict,
    StoreUnavailable,
)
from countersign.observability import LambdaContext, log_failure, note
from countersign.outages import outage

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


def make_api(routers: Iterable[APIGatewayHttpRouter]) -> APIGatewayHttpResolver:
    """The calls of some routers, which find their `Call` as `router.context["call"]`."""
    api = APIGatewayHttpResolver()
    for router in routers:
        api.include_router(router)
    api.not_found(_unknown)
    api.exception_handler(RequestRejected)(_rejected)
    api.exception_handler(AlreadyDecided)(_decided_already)
    api.exception_handler([StoreConflict, KnowledgeUnavailable, EngineUnavailable])(_busy)
    api.exception_handler(Exception)(_failed)
    return api


def answer(
    api: APIGatewayHttpResolver, event: dict[str, Any], context: LambdaContext, call: Call[Any]
) -> dict[str, Any]:
    """Takes API Gateway's event (payload 2.0) with the reader's claims; returns the answer to the call."""
    # Powertools' patterns end at the last line's end, so a path with one at its end would be another's.
    path = event["rawPath"] if event["rawPath"].isprintable() else "/-"
    api.append_context(call=call)  # type: ignore[no-untyped-call]
    answered: dict[str, Any] = api.resolve({**event, "rawPath": path}, context)  # type: ignore[arg-type]
    note(route=event["routeKey"], status=answered["statusCode"])
    given = {name.lower(): value for name, value in answered["headers"].items()}
    return answered | {"headers": HEADERS | given}


def _unknown(_: NotFoundError) -> Response[str]:
    return _error(404, ErrorAnswer(error=ErrorWord(code="not_found", message="there is no such call")))


def _rejected(error: RequestRejected) -> Response[str]:
    return _error(error.status, ErrorAnswer(error=ErrorWord(code=error.code, message=str(error))))


def _decided_already(error: AlreadyDecided) -> Response[str]:
    word = ErrorWord(code=error.code, message=str(error))
    who = {"decided_by": error.decided_by, "decided_at": error.decided_at, "verdict": error.verdict}
    return _error(error.status, DecidedAlready.model_validate({"error": word, **who}))


def _busy(error: Exception) -> Response[str]:
    log_failure(error)
    word = ErrorWord(code="unavailable", message="this could not be done just now; please try again")
    return _error(503, ErrorAnswer(error=word), {"retry-after": "1"})


def _failed(error: Exception) -> Response[str]:
    """Our own fault, if it is not AWS's. Its message stays here: it may quote anything."""
    if trouble := outage(error):
        return _busy(StoreUnavailable(trouble))
    log_failure(error)
    return _error(500, ErrorAnswer(error=ErrorWord(code="internal", message="something went wrong here")))


def _error(status: int, answer: ErrorAnswer, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(status, "application/json", answer.model_dump_json(), dict(headers or {}))
