"""The bodies of the desk's calls about switched-off destinations. Times are ISO 8601 in UTC with a `Z`."""

from typing import Literal

from countersign.api import Body
from countersign.models import Channel


class DestinationTurn(Body):
    """One turn of a destination's switch. `by` is the case whose reply was answered 410, or a person."""

    state: Literal["off", "on"]
    at: str
    by: str


class SwitchedDestination(Body):
    """A destination that was switched off, and every turn since, the last one last.

    `address` is without its query; the cases that reply there have all of it.
    """

    id: str
    channel: Channel
    address: str
    state: Literal["off", "on"]
    history: list[DestinationTurn]


class DestinationList(Body):
    """What is off now, the latest first."""

    destinations: list[SwitchedDestination]
    cursor: str | None
