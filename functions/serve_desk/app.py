"""The operators' desk behind the reader's token. Its calls are in the modules beside it."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

import failures
import limits
import records
import switches
from countersign.calls import Call
from countersign.errors import NotAllowed
from countersign.http_api import answer, make_api
from countersign.observability import LambdaContext, observed
from desk_ports import DeskPorts

api = make_api(routes.router for routes in (failures, limits, records, switches))


@observed
def handler(event: dict[str, Any], context: LambdaContext, ports: DeskPorts | None = None) -> dict[str, Any]:
    """Takes API Gateway's event (payload 2.0) with the operator's claims; returns the answer to the call."""
    return answer(api, event, context, Call(event, ports or DeskPorts()))


def only_operators(api: APIGatewayHttpResolver, go_on: NextMiddleware) -> Response[str]:
    """Before every call: whoever may read and decide cases may not therefore run them again or erase them."""
    call: Call[DeskPorts] = api.context["call"]
    group = call.ports.settings().operator_group
    if group not in call.groups:
        raise NotAllowed(f"the desk is for the group {group}, and your token does not name it")
    return go_on(api)


api.use([only_operators])
