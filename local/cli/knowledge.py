"""`countersign search` and `ingest`: the knowledge that replies rest on."""

import click

from local.cli.api_client import ApiClient
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.render import found_passages


@click.command()
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="How many at most.")
@talks_to_api
def search(api: ApiClient, as_json: bool, text: str, limit: int) -> None:
    """Search the knowledge that replies rest on: the passages nearest to TEXT, best first.

    \b
    countersign search "how long does an approval wait"
    """
    found = api.search(text, limit)
    if as_json:
        print_json(found)
    else:
        console().print(found_passages(found["results"]))
