"""`countersign failures` and `redrive`: what waits for an operator, and running it again."""

from collections.abc import Sequence
from itertools import batched

import click
from rich.console import Group, RenderableType
from rich.text import Text

from local.cli.api_client import ApiClient, Json, NotOne, pages
from local.cli.literal import one_line
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.phrases import age, short_id
from local.cli.render import listing

_KINDS = {"case": "failed case", "intake": "intake, dead", "delivery": "delivery, dead"}
_DID = {
    "started": "runs again",
    "queued_again": "is on its queue again",
    "put_away": "was put away: nobody waits for it any more",
}
_BATCH = 100


@click.command()
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many cases.")
@click.option("--cursor", help="Where the last list ended (its `cursor`).")
@talks_to_api
def failures(api: ApiClient, as_json: bool, limit: int, cursor: str | None) -> None:
    """List what waits for an operator: messages that their queue gave up, and cases that failed, with why.

    \b
    countersign failures
    countersign failures --json
    """
    found = api.failures(limit, cursor)
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(failure_list(found["failures"]))
    if found.get("cursor"):
        out.print(f"There are more: --cursor {found['cursor']}", style="quiet", soft_wrap=True)
    elif found["failures"]:
        out.print("countersign redrive ID… or --all runs them again.", style="quiet")
    if any(failure["reason"] == "DestinationOff" for failure in found["failures"]):
        out.print("First turn on what is off: countersign destinations.", style="quiet")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="Everything that `countersign failures` lists.")
@talks_to_api
def redrive(api: ApiClient, as_json: bool, ids: Sequence[str], every: bool) -> int:
    """Run failed cases again, and put dead letters back on their queues.

    What was paid for is not paid again, a decision that was made stands, and a receiver that honours delivery
    ids sees one reply. ID is one that `countersign failures` lists, or the beginning of one.

    \b
    countersign redrive c-3f9a
    countersign redrive --all
    """
    if every == bool(ids):
        raise click.UsageError("give the ids of failures, or --all")
    redriven, refused = _all_of_them(api) if every else _these(api, ids)
    if as_json:
        print_json({"redriven": redriven, "refused": refused})
    else:
        console().print(redrive_report(redriven, refused))
    return 1 if refused else 0


def failure_list(failures: Sequence[Json]) -> RenderableType:
    """The table of `countersign failures`."""
    if not failures:
        return Text("Nothing has failed, and no letter is dead.", style="good")
    rows = listing("id", "what", "case", "in", "since", "why")
    for failure in failures:
        rows.add_row(
            _short(failure["id"]),
            _KINDS[failure["kind"]],
            "" if failure["kind"] == "case" else short_id(failure["case_id"] or "unknown"),
            failure["state"] or "",
            age(failure["at"]),
            Text(one_line(failure["reason"]), style="bad"),
        )
    return rows


def redrive_report(redriven: Sequence[Json], refused: Sequence[Json]) -> RenderableType:
    """What became of each, a line each."""
    lines = []
    for each in redriven:
        execution = each["execution"] if each["did"] == "started" else None
        said = f"{_short(each['id'])} {_DID[each['did']]}" + (f" as {execution}" if execution else "")
        lines.append(Text(said, style="good"))
    lines += [
        Text(f"{_short(each['id'])} stays: {one_line(each['reason'])}", style="bad") for each in refused
    ]
    return Group(*lines) if lines else Text("There is nothing to redrive.", style="quiet")


def _all_of_them(api: ApiClient) -> tuple[list[Json], list[Json]]:
    redriven: list[Json] = []
    refused: list[Json] = []
    for page in pages(api.redrive_all):
        redriven += page["redriven"]
        refused += page["refused"]
    return redriven, refused


def _these(api: ApiClient, given: Sequence[str]) -> tuple[list[Json], list[Json]]:
    listed: list[str] | None = None
    wanted: dict[str, None] = {}
    for id in given:
        if listed is None:
            listed = list(api.failure_ids())
        fitting = [each for each in listed if each.startswith((id, f"c-{id}"))]
        if id in fitting:
            wanted[id] = None
        elif not fitting:
            # Not listed may only mean that somebody else was looking: whether it has failed, the API says.
            wanted[id if ":" in id else api.find_case(id)] = None
        elif len(fitting) > 1:
            raise NotOne(f"{len(fitting)} failures begin with {id}: give more of the id")
        else:
            wanted[fitting[0]] = None
    redriven: list[Json] = []
    refused: list[Json] = []
    for some in batched(wanted, _BATCH, strict=False):
        answer = api.redrive(some)
        redriven += answer["redriven"]
        refused += answer["refused"]
    return redriven, refused


def _short(id: str) -> str:
    """Enough of an id to type: a case's, or a letter's after the name of its queue."""
    kind, colon, message = id.partition(":")
    return f"{kind}:{message[:8]}" if colon else short_id(id)
