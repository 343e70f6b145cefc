"""`countersign cases`, `case` and `approvals`: looking at what there is."""

import click

from local.cli.api_client import ApiClient, Json
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.render import STATUS_STYLES, approval_list, case_list, whole_case


@click.command()
@click.option("--status", type=click.Choice(list(STATUS_STYLES)), help="Only cases in this status.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many at most.")
@click.option("--cursor", help="Where the last list ended (its `cursor`).")
@talks_to_api
def cases(api: ApiClient, as_json: bool, status: str | None, limit: int, cursor: str | None) -> None:
    """List the cases, newest first.

    \b
    countersign cases
    countersign cases --status awaiting_approval --json
    """
    found = api.cases(status, limit, cursor)
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(case_list(found["cases"]))
    if found.get("cursor"):
        out.print(f"There are more: --cursor {found['cursor']}", style="quiet", soft_wrap=True)


@click.command()
@click.argument("case_id", metavar="ID")
@talks_to_api
def case(api: ApiClient, as_json: bool, case_id: str) -> None:
    """Show a case: its timeline, the draft with its claims marked, citations with their quotes, the review,
    what a person wrote in place of the draft, tokens and cost.

    ID is a case's or an approval's id, or the beginning of one. A claim is marked ✓ where the evidence
    supports it, ? where it does not and ✗ where it contradicts it.

    \b
    countersign case c-3f9a
    """
    found = api.case(api.find_case(case_id))
    if as_json:
        print_json(found)
    else:
        console().print(whole_case(found, _signed_in_place(api, found)))


def _signed_in_place(api: ApiClient, case: Json) -> str | None:
    """What a person signed in place of the draft; None where nobody did, or its text was erased."""
    edited = any(line["event"] == "decision.edit" for line in case["timeline"])
    if not edited or not case["approval_id"] or case["forgotten_at"]:
        return None
    decision = api.approval(case["approval_id"])["decision"] or {}
    return decision.get("signed_text") if decision.get("verdict") == "edit" else None


@click.command()
@click.option(
    "--status",
    type=click.Choice(["pending", "decided", "expired"]),
    default="pending",
    show_default=True,
    help="Which approvals.",
)
@talks_to_api
def approvals(api: ApiClient, as_json: bool, status: str) -> None:
    """List what waits for a decision, the longest waiting first.

    \b
    countersign approvals
    countersign approvals --status decided
    """
    found = api.approvals(status)
    if as_json:
        print_json(found)
    else:
        console().print(approval_list(found["approvals"]))
