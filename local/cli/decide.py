"""`countersign approve`, `edit`, `respond` and `reject`: a person's decision, bound to what was shown."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from local.cli.api_client import ApiClient, Refused
from local.cli.literal import one_line
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.render import card as whole_card

DONE = {
    "approve": "Approved. The reply is on its way.",
    "edit": "Approved with your text. The reply is on its way.",
    "respond": "Sent back. A new draft will come for approval.",
    "reject": "Rejected. Nothing is sent.",
}
_PAST = {"approve": "approved", "edit": "edited and approved", "respond": "sent back", "reject": "rejected"}

approval_argument = click.argument("approval_id", metavar="ID")
reason_option = click.option("--reason", required=True, help="Goes to the writer, or into the record.")


def decide(api: ApiClient, card: dict[str, Any], verdict: str, **words: str | None) -> dict[str, Any]:
    """Send a decision about exactly the card that was shown; the API's answer.

    Raises ApiError; who came first and what changed is said in a person's words by `refusal`.
    """
    given = {name: text for name, text in words.items() if text is not None}
    decision = {"verdict": verdict, "shown_sha256": card["shown_sha256"], **given}
    return api.decide(card["approval_id"], decision)


def refusal(error: Refused) -> str:
    """One sentence for a decision that was not taken."""
    if error.status == 409 and error.body.get("decided_by"):
        how = _PAST.get(error.body.get("verdict", ""), "decided")
        at = error.body.get("decided_at", "")
        return f"already {how} by {error.body['decided_by']} at {at}; your decision was not taken"
    if error.status == 409:
        return "the card changed after it was shown to you, so nothing was decided; look at it again"
    if error.status == 410:
        return "the deadline has passed, so nothing was decided and nothing is sent"
    return str(error)


def open_editor(text: str) -> str | None:
    """What a person makes of the text in $EDITOR; None where they left it as it is."""
    edited = click.edit(text + "\n", extension=".md")
    return None if edited is None or edited.strip() == text.strip() else edited.strip()


@click.command()
@approval_argument
@talks_to_api
def approve(api: ApiClient, as_json: bool, approval_id: str) -> None:
    """Approve a draft. What you sign, byte for byte, is what is sent.

    ID is an approval's or a case's id, or the beginning of one; the card is shown first, and the decision
    only counts for that card.

    \b
    countersign approve c-3f9a
    """
    _decide_and_tell(api, as_json, approval_id, "approve")


@click.command()
@approval_argument
@click.option("--text", help="The reply as it shall be sent.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file with it; - reads standard input.",
)
@talks_to_api
def edit(api: ApiClient, as_json: bool, approval_id: str, text: str | None, path: Path | None) -> None:
    """Approve with your own text in place of the draft. Without --text or --file, $EDITOR opens with it.

    A citation stays with the reply as long as its number, such as [1], stands in the text.

    \b
    countersign edit c-3f9a
    countersign edit c-3f9a --file reply.md
    """
    if text is not None and path is not None:
        raise click.UsageError("give --text or --file, not both")
    if path is not None:
        text = _read(path)
    if text is None and (as_json or not sys.stdin.isatty()):
        raise click.UsageError("without a terminal, edit needs --text or --file")
    _decide_and_tell(
        api, as_json, approval_id, "edit", make_text=lambda draft: _edited(draft) if text is None else text
    )


@click.command()
@approval_argument
@reason_option
@talks_to_api
def respond(api: ApiClient, as_json: bool, approval_id: str, reason: str) -> None:
    """Send a draft back: the writer reads your reason and writes another one, which comes for approval again.

    \b
    countersign respond c-3f9a --reason "Shorter, and say how long it takes."
    """
    _decide_and_tell(api, as_json, approval_id, "respond", reason=reason)


@click.command()
@approval_argument
@reason_option
@talks_to_api
def reject(api: ApiClient, as_json: bool, approval_id: str, reason: str) -> None:
    """Reject a draft: nothing is sent, and the case is closed.

    \b
    countersign reject c-3f9a --reason "Answered by phone."
    """
    _decide_and_tell(api, as_json, approval_id, "reject", reason=reason)


def _decide_and_tell(
    api: ApiClient,
    as_json: bool,
    given: str,
    verdict: str,
    *,
    reason: str | None = None,
    make_text: Callable[[str], str] | None = None,
) -> None:
    card = api.approval(api.find_approval(given))
    out = console(stderr=as_json)
    if not as_json:
        out.print(whole_card(card))
        out.print()
    text = make_text(card["draft"]["text"]) if make_text else None
    try:
        outcome = decide(api, card, verdict, text=text, reason=reason)
    except Refused as error:
        raise click.ClickException(refusal(error)) from error
    if as_json:
        print_json(outcome)
    else:
        out.print(DONE[verdict], style="good")
        out.print(f"countersign case {card['case_id']} shows what becomes of it.", style="quiet")


def _edited(draft: str) -> str:
    text = open_editor(draft)
    if text is None:
        raise click.ClickException(
            "the text is as it was, so nothing was decided; approve sends it like that"
        )
    return text


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"can't read {one_line(str(path))}: {error}") from None
