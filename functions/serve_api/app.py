"""The HTTP API behind the reader's token, and the inbox's page. Its calls are in the modules beside it."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

import approvals
import cases
import documents
import inbox
from countersign.api import DecidedAlready, ErrorAnswer, ErrorWord
from countersign.errors import AlreadyDecided, KnowledgeUnavailable, RequestRejected, StoreConflict
from countersign.observability import LambdaContext, log_failure, note, observed
from ports import Ports
from reading import Call

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}

api = APIGatewayHttpResolver()
for routes in (cases, approvals, documents, inbox):
    api.include_router(routes.router)


@observed
def handler(event: dict[str, Any], context: LambdaContext, ports: Ports | None = None) -> dict[str, Any]:
    """Takes API Gateway's event (payload 2.0) with the reader's claims; returns the answer to the call."""
    # Powertools' patterns end at the last line's end, so a path with one at its end would be another's.
    path = event["rawPath"] if event["rawPath"].isprintable() else "/-"
    api.append_context(call=Call(event, ports or Ports()))  # type: ignore[no-untyped-call]
    answer: dict[str, Any] = api.resolve({**event, "rawPath": path}, context)  # type: ignore[arg-type]
    note(route=event["routeKey"], status=answer["statusCode"])
    given = {name.lower(): value for name, value in answer["headers"].items()}
    return answer | {"headers": HEADERS | given}


@api.not_found
def unknown(_: NotFoundError) -> Response[str]:
    return _error(404, ErrorAnswer(error=ErrorWord(code="not_found", message="there is no such call")))


@api.exception_handler(RequestRejected)  # type: ignore[untyped-decorator]
def rejected(error: RequestRejected) -> Response[str]:
    return _error(error.status, ErrorAnswer(error=ErrorWord(code=error.code, message=str(error))))


@api.exception_handler(AlreadyDecided)  # type: ignore[untyped-decorator]
def decided_already(error: AlreadyDecided) -> Response[str]:
    word = ErrorWord(code=error.code, message=str(error))
    who = {"decided_by": error.decided_by, "decided_at": error.decided_at, "verdict": error.verdict}
    return _error(error.status, DecidedAlready.model_validate({"error": word, **who}))


@api.exception_handler([StoreConflict, KnowledgeUnavailable])  # type: ignore[untyped-decorator]
def busy(error: Exception) -> Response[str]:
    log_failure(error)
    word = ErrorWord(code="unavailable", message="this could not be done just now; please try again")
    return _error(503, ErrorAnswer(error=word), {"retry-after": "1"})


@api.exception_handler(Exception)  # type: ignore[untyped-decorator]
def failed(error: Exception) -> Response[str]:
    """Our own fault. Its message stays here: it may quote anything."""
    log_failure(error)
    return _error(500, ErrorAnswer(error=ErrorWord(code="internal", message="something went wrong here")))


def _error(status: int, answer: ErrorAnswer, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(status, "application/json", answer.model_dump_json(), dict(headers or {}))
