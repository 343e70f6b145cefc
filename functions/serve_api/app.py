"""The HTTP API behind the reader's token, and the inbox's page. Its calls are in the modules beside it."""

from typing import Any

import approvals
import cases
import documents
import inbox
from countersign.calls import Call
from countersign.http_api import answer, make_api
from countersign.observability import LambdaContext, observed
from ports import Ports

api = make_api(routes.router for routes in (cases, approvals, documents, inbox))


@observed
def handler(event: dict[str, Any], context: LambdaContext, ports: Ports | None = None) -> dict[str, Any]:
    """Takes API Gateway's event (payload 2.0) with the reader's claims; returns the answer to the call."""
    return answer(api, event, context, Call(event, ports or Ports()))
