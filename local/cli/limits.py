"""`countersign limits`: what today's budget has left, which cases draft, and which wait."""

import click
from rich.text import Text

from local.cli.api_client import ApiClient
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.render import lease_list


@click.command()
@talks_to_api
def limits(api: ApiClient, as_json: bool) -> None:
    """Show the tenant's budget of today (UTC), the cases that draft now, and how many are parked."""
    found = api.limits()
    if as_json:
        print_json(found)
        return
    out, parked = console(), found["parked"]
    out.print(
        Text(
            f"Budget of {found['day']}: ${found['spent_usd']} spent, ${found['reserved_usd']} reserved, "
            f"of ${found['cap_usd']}."
        ),
        soft_wrap=True,
    )
    more = "" if parked["counted_all"] else " at least"
    said = f"Parked:{more} {parked['budget']} for budget,{more} {parked['slot']} for a slot."
    if parked["budget"] + parked["slot"]:
        said += " They ask again by themselves, for budget every 15 minutes."
    out.print(Text(said), soft_wrap=True)
    out.print(Text(f"Drafting: {len(found['leases'])} of {found['max_cases_at_once']} at once."))
    if found["leases"]:
        out.print(lease_list(found["leases"]))
