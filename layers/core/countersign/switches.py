"""Destinations that were switched off: their receiver answered 410, and nothing is sent to them any more.

    (none), on --a receiver says 410--> off --a person turns it on--> on

One row for each address that was ever off, under `{tenant}#destinations`; those that are off now are listed
by the index `by_status`. A delivery looks at that list, which it keeps for a minute, and reads a row only
where the list has it: an address that is on costs nothing, one that a person has just turned on is on at
once, and one that went off elsewhere may be asked once more, which its receiver answers as before.
"""

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from countersign.clock import instant
from countersign.errors import NotFound
from countersign.items import Item
from countersign.ledger import Ledger
from countersign.models import CaseRef, Channel, Destination, Record, sha256_hex

KEEP_S = 60
"""How long the list of a tenant is believed."""
KEEP_TENANTS = 1_000
PAGE = 1_000
DESTINATION_ID = re.compile(r"d-[0-9a-f]{32}")


class Switched(Record):
    """One turn of the switch, by a case (its id) or a person (`subject` is the issuer's id of them)."""

    state: Literal["off", "on"]
    at: str
    by: str
    subject: str | None = None


class Switch(Record):
    """A destination and how it was switched, the last turn last. `address` is without its query."""

    id: str
    channel: Channel
    address: str
    state: Literal["off", "on"]
    history: list[Switched]


@dataclass(frozen=True)
class Switches:
    """The switched-off destinations of all tenants. All writes raise StoreConflict."""

    ledger: Ledger
    _kept: dict[str, tuple[float, set[str]]] = field(default_factory=dict, repr=False)

    def is_off(self, tenant: str, destination: Destination) -> bool:
        """Whether nothing may be sent there."""
        name = destination_id(destination)
        off = self._listed(tenant)
        if name not in off:
            return False
        row = self.ledger.row(_pk(tenant), name)
        if row is not None and row["state"] == "off":
            return True
        off.discard(name)
        return False

    def off_since(self, tenant: str, destination: Destination) -> str | None:
        """When it was switched off; None where it is on."""
        name = destination_id(destination)
        if name not in self._listed(tenant):
            return None
        row = self.ledger.row(_pk(tenant), name)
        return str(row["at"]) if row is not None and row["state"] == "off" else None

    def turn_off(self, ref: CaseRef, destination: Destination, began: datetime) -> bool:
        """Switches off what answered 410 to a case's attempt, which `began` then.

        False where a person has turned it on since: they know more than the answer to that attempt does.
        """
        name, at = destination_id(destination), instant(began)
        off = Switched(state="off", at=at, by=ref.case_id)
        done, row = self.ledger.exchange(
            self.ledger.change_row(
                _pk(ref.tenant),
                name,
                "SET #state = :off, #at = :at, #channel = :channel, #address = :address,"
                " gsi2pk = :listed, gsi2sk = :at,"
                " #history = list_append(if_not_exists(#history, :none), :turn)",
                "attribute_not_exists(pk) or (#state = :on and #at < :at)",
                {
                    ":off": "off",
                    ":on": "on",
                    ":at": at,
                    ":channel": destination.channel,
                    ":address": shown_address(destination),
                    ":listed": _listed_pk(ref.tenant),
                    ":none": [],
                    ":turn": [off.model_dump(mode="json", exclude_none=True)],
                },
                {f"#{column}": column for column in ("state", "at", "channel", "address", "history")},
            )
        )
        if not done and row["state"] == "on":
            return False
        self._listed(ref.tenant).add(name)
        return True

    def turn_on(self, tenant: str, name: str, by: str, subject: str | None, now: datetime) -> Switch:
        """A person says that it works again; who does so second changes nothing. Raises NotFound."""
        at = instant(now)
        on = Switched(state="on", at=at, by=by, subject=subject)
        self.ledger.exchange(
            self.ledger.change_row(
                _pk(tenant),
                name,
                "SET #state = :on, #at = :at, #history = list_append(#history, :turn) REMOVE gsi2pk, gsi2sk",
                "#state = :off",
                {
                    ":off": "off",
                    ":on": "on",
                    ":at": at,
                    ":turn": [on.model_dump(mode="json", exclude_none=True)],
                },
                {f"#{column}": column for column in ("state", "at", "history")},
            )
        )
        row = self.ledger.row(_pk(tenant), name)
        if row is None:
            raise NotFound("there is no such destination")
        self._listed(tenant).discard(name)
        return _switch(row)

    def switched_off(self, tenant: str, limit: int, cursor: str | None) -> tuple[list[Switch], str | None]:
        """What is off, the latest first. Raises InvalidRequest for a cursor that is not of this list."""
        rows, following = self.ledger.page(
            "by_status", "gsi2pk", _listed_pk(tenant), limit, cursor, newest_first=True
        )
        return [_switch(row) for row in rows], following

    def _listed(self, tenant: str) -> set[str]:
        """The ids of what is off, as of at most a minute ago."""
        until, off = self._kept.get(tenant, (0.0, set[str]()))
        if time.monotonic() < until:
            return off
        off, cursor = set(), None
        while True:
            rows, cursor = self.ledger.page(
                "by_status", "gsi2pk", _listed_pk(tenant), PAGE, cursor, newest_first=True
            )
            off |= {row["sk"] for row in rows}
            if cursor is None:
                break
        if len(self._kept) >= KEEP_TENANTS:
            self._kept.clear()
        self._kept[tenant] = (time.monotonic() + KEEP_S, off)
        return off


def destination_id(destination: Destination) -> str:
    """The same for every case that replies there; says nothing of the address."""
    return f"d-{sha256_hex(f'{destination.channel}\0{destination.address}')[:32]}"


def shown_address(destination: Destination) -> str:
    """What a person knows it by. A query may hold a secret of the receiver's, and stays with its cases."""
    address, asked, _ = destination.address.partition("?")
    return f"{address}?…" if asked else address


def _switch(row: Item) -> Switch:
    return Switch.model_validate(
        {"id": row["sk"], **{name: row[name] for name in ("channel", "address", "state", "history")}}
    )


def _pk(tenant: str) -> str:
    return f"{tenant}#destinations"


def _listed_pk(tenant: str) -> str:
    return f"{tenant}#destination#off"
