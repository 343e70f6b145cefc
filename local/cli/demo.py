"""`countersign demo`: one case from the signed webhook to the delivered reply, for reading along."""

import sys
import time
from pathlib import Path

import click

from local.cli.api_client import ApiError, Json
from local.cli.demo_case import DemoCase, DemoFailed
from local.cli.demo_person import VERDICTS, Person
from local.cli.demo_view import DemoView
from local.cli.options import json_option
from local.cli.output import console, print_json
from local.cli.serving import Serving, knowledge_option, model_name_option, model_option, serving

EVENT = Path(__file__).resolve().parent / "demo_issue.json"
_GOOD_ENDS = frozenset({"delivered", "rejected"})


@click.command()
@click.option(
    "--answer",
    type=click.Choice(list(VERDICTS.values())),
    envvar="ANSWER",
    help="Decide like this without asking (or ANSWER=...).",
)
@knowledge_option
@model_option
@model_name_option
@json_option
def demo(answer: str | None, knowledge: Path, model: str, model_name: str | None, as_json: bool) -> None:
    """Show one case from the signed webhook to the delivered reply.

    Starts the stack, reads the documents, and posts a signed GitHub `issues.opened` event with a question
    that the documents answer. You see the case go from state to state, the draft with its citations, and
    decide; then what was delivered where, the timeline, tokens, cost and seconds. Without a terminal it
    approves.

    \b
    countersign demo
    countersign demo --answer respond      # send the first draft back, approve the second
    ANSWER=reject make demo
    """
    started = time.monotonic()
    view = DemoView(console(stderr=as_json), quiet=as_json)
    can_ask = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    try:
        view.busy("Deploying template.yaml on this machine, and reading the documents")
        with serving(knowledge=knowledge, model=model, model_name=model_name, port=0, aws_port=0) as served:
            view.stack(served, model, time.monotonic() - started)
            summary = _run(view, served, answer, can_ask=can_ask)
            view.busy("Stopping")
    except (DemoFailed, ApiError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        view.idle()
    summary["seconds"] = round(time.monotonic() - started, 2)
    if as_json:
        print_json(summary)
    else:
        view.done(summary)


def _run(view: DemoView, served: Serving, answer: str | None, *, can_ask: bool) -> Json:
    """Take one case from its event to its end. Raises DemoFailed, ApiError."""
    case = DemoCase(served, EVENT, view.visit)
    person = Person(view, case.api, answer=answer, can_ask=can_ask)
    view.request(case.issue, case.repository)
    sent_at = time.monotonic()
    case.send()
    view.case(case.case_id)
    while (status := case.next_stop()) == "awaiting_approval":
        card = case.card()
        view.card(card)
        person.decide(card)
        view.busy("")
    took_s = time.monotonic() - sent_at - person.waited_s
    if status not in _GOOD_ENDS:
        raise DemoFailed(f"the case ended as {status} in {case.states()[-1].state}")
    whole, delivered = case.whole(), list(case.delivered())
    view.delivered(delivered)
    view.timeline(whole)
    return {
        **{name: whole[name] for name in ("case_id", "status", "draft", "timeline", "usage", "cost_usd")},
        "states": [{"state": visit.state, "seconds": visit.seconds} for visit in case.states()],
        "delivered": delivered,
        "case_seconds": round(took_s, 2),
    }
