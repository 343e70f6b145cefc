"""`countersign forget`: erasing what a case says, and keeping who did what."""

import click

from local.cli.api_client import ApiClient
from local.cli.literal import one_line
from local.cli.options import talks_to_api
from local.cli.output import console, print_json


@click.command()
@click.argument("case_id", metavar="CASE")
@click.option("--yes", is_flag=True, help="Do not ask: what is erased cannot be brought back.")
@talks_to_api
def forget(api: ApiClient, as_json: bool, case_id: str, yes: bool) -> None:
    """Erase the text of a case that has ended, in every store. Its ledger stays: who did what, and hashes.

    CASE is a case's id or the beginning of one. After a crash, run it again: it does what is left.

    \b
    countersign forget c-3f9a
    """
    case = api.find_case(case_id)
    if not yes:
        click.confirm(f"Erase all text of case {case}? It cannot be brought back", abort=True, err=True)
    done = api.forget(case)
    if as_json:
        print_json(done)
        return
    out = console()
    out.print(f"{case} is forgotten: {done['erased']} objects erased, the ledger kept.", style="good")
    for other in done["recalled_by"]:
        out.print(f"{one_line(other)} was given its answer, and may quote it in its own text.", style="warn")
