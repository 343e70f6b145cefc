"""`countersign destinations`: receivers that answered 410, and turning one on again."""

import click
from rich.text import Text

from local.cli.api_client import ApiClient
from local.cli.literal import one_line
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.render import destination_list


@click.command()
@click.argument("turn", required=False, metavar="[on")
@click.argument("destination_id", required=False, metavar="ID]")
@click.option("--cursor", help="Where the last list ended (its `cursor`).")
@talks_to_api
def destinations(
    api: ApiClient, as_json: bool, turn: str | None, destination_id: str | None, cursor: str | None
) -> None:
    """List the destinations that nothing is sent to, because their receiver answered 410 Gone; or turn one
    on, because it is back. Cases that failed meanwhile wait to be redriven.

    ID is a destination's id, or the beginning of one.

    \b
    countersign destinations
    countersign destinations on d-3f9a
    """
    if turn is None:
        found = api.destinations(cursor)
        if as_json:
            print_json(found)
            return
        out = console()
        out.print(destination_list(found["destinations"]))
        if found.get("cursor"):
            out.print(f"There are more: --cursor {found['cursor']}", style="quiet", soft_wrap=True)
        return
    if turn != "on":
        raise click.UsageError(f"{turn!r} is no word of this command: a destination is turned `on ID`")
    if destination_id is None:
        raise click.UsageError("`on` needs the id of a destination")
    switched = api.turn_on(api.find_destination(destination_id))
    if as_json:
        print_json(switched)
        return
    last = switched["history"][-1]
    said = f"{one_line(switched['address'])} is on: turned on by {one_line(last['by'])} at {last['at']}."
    console().print(Text(said), soft_wrap=True)
