"""The calls about destinations whose receiver was gone: which they are, and that one is back."""

from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api_destinations import DestinationList, DestinationTurn, SwitchedDestination
from countersign.calls import Call
from countersign.errors import NotFound
from countersign.observability import note
from countersign.switches import DESTINATION_ID, Switch
from desk_ports import DeskPorts

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/destinations")
def list_switched_off() -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    call.takes("limit", "cursor")
    found, cursor = call.ports.switches().switched_off(call.tenant, call.limit(), call.cursor())
    answer = DestinationList(destinations=[_shown(switch) for switch in found], cursor=cursor)
    return answer.model_dump(mode="json")


@router.post("/destinations/<destination_id>/on")
def turn_on(destination_id: str) -> dict[str, Any]:
    call: Call[DeskPorts] = router.context["call"]
    if not DESTINATION_ID.fullmatch(destination_id):
        raise NotFound("there is no such destination")
    switches, now = call.ports.switches(), call.ports.now()
    switch = switches.turn_on(call.tenant, destination_id, call.person, call.subject, now)
    note(destination=destination_id, state=switch.state)
    return _shown(switch).model_dump(mode="json")


def _shown(switch: Switch) -> SwitchedDestination:
    turns = [DestinationTurn(state=turn.state, at=turn.at, by=turn.by) for turn in switch.history]
    return SwitchedDestination(
        id=switch.id, channel=switch.channel, address=switch.address, state=switch.state, history=turns
    )
