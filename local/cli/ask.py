"""`countersign ask`: open a case with a question, wait for its draft, and show it."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import click
from rich.text import Text

from local.cli.api_client import ApiClient, Json, Refused
from local.cli.literal import one_line
from local.cli.options import access, talks_to_api
from local.cli.output import console, print_json
from local.cli.render import card as whole_card
from local.cli.running import RunningStack
from local.cli.signing import Event, sign

SOURCE = "webhook"
ENDED = frozenset({"delivered", "rejected", "expired", "blocked", "failed"})
PATIENCE_S = 300.0
_PAUSE_S = 0.2
_SUBJECT_LENGTH = 80


@click.command()
@click.argument("text")
@click.option("--subject", help="Its subject; the beginning of TEXT without.")
@talks_to_api
def ask(api: ApiClient, as_json: bool, text: str, subject: str | None) -> None:
    """Open a case with a question, as a sender on the source `webhook`, and wait for its draft.

    Prints the draft with its citations, and how to approve it. With --json it prints the approval's card.

    \b
    countersign ask "How long do I have to approve a draft?"
    """
    if not text.strip():
        raise click.BadParameter("there is no question", param_hint="TEXT")
    running = access().running()
    event = question(text, subject, running, datetime.now(UTC))
    sender = running.sources[SOURCE]
    headers = sign(sender.scheme, sender.secret, event, time.time())
    answer = api.send(SOURCE, headers, event.body)
    case_id = answer["case_id"]
    out = console(stderr=as_json)
    with out.status("queued") as status:
        case = wait_for_draft(api, case_id, on_look=lambda each: status.update(each["status"]))
    if case["status"] != "awaiting_approval":
        raise click.ClickException(f"case {case_id} is {case['status']} and has no draft to decide about")
    card = api.approval(case["approval_id"])
    if as_json:
        print_json(card)
        return
    out.print(whole_card(card))
    out.print(
        Text(f"\ncountersign approve {case_id[:10]}", style="name"),
        Text("sends it. Or edit, respond, reject;"),
    )
    out.print(f"or in the inbox: {api.inbox}", soft_wrap=True)


def question(text: str, subject: str | None, running: RunningStack, now: datetime) -> Event:
    """The event of the source `webhook` that asks this; its reply goes to the stack's outbox."""
    beginning = one_line(text)
    if len(beginning) > _SUBJECT_LENGTH:
        beginning = beginning[: _SUBJECT_LENGTH - 1] + "…"
    data = {
        "id": f"ask-{uuid.uuid4().hex[:12]}",
        "subject": subject or beginning,
        "text": text,
        "author": "command line",
        "callback_url": f"{running.outbox}/replies",
    }
    event = {"type": "case.opened", "timestamp": now.isoformat(timespec="seconds"), "data": data}
    return Event(json.dumps(event).encode())


def wait_for_draft(
    api: ApiClient,
    case_id: str,
    *,
    on_look: Callable[[Json], object] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    patience_s: float = PATIENCE_S,
) -> Json:
    """The case once a person is asked or it has ended. Raises click.ClickException after `patience_s`."""
    waited = 0.0
    while True:
        try:
            case = api.case(case_id)
        except Refused as error:
            # Accepted and not started yet: the queue comes first.
            if error.status != 404:
                raise
        else:
            if on_look is not None:
                on_look(case)
            if case["status"] == "awaiting_approval" or case["status"] in ENDED:
                return case
        if waited >= patience_s:
            raise click.ClickException(
                f"case {case_id} has no draft after {patience_s:.0f} s; it goes on by itself"
            )
        sleep(_PAUSE_S)
        waited += _PAUSE_S
