"""`countersign demo`: one case from the signed webhook to the delivered reply, for reading along."""

import select
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import click

from local.cli.api_client import ApiError, Json, Refused
from local.cli.decide import DONE, decide, open_editor, refusal
from local.cli.demo_case import Decision, DemoCase, DemoFailed
from local.cli.demo_view import DemoView
from local.cli.options import json_option
from local.cli.output import console, print_json
from local.cli.render import spent, status_text
from local.cli.serving import knowledge_option, model_name_option, model_option, serving

EVENT = Path(__file__).resolve().parent / "demo_issue.json"
VERDICTS = {"a": "approve", "e": "edit", "s": "respond", "r": "reject"}
FEEDBACK = "Shorter, please: only what the author needs to do next."
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
    view = DemoView(console(stderr=as_json))
    view.out.quiet = as_json
    started = time.monotonic()
    try:
        summary = _show(view, answer, as_json, knowledge=knowledge, model=model, model_name=model_name)
    except (DemoFailed, ApiError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        view.idle()
    summary["seconds"] = round(time.monotonic() - started, 2)
    if as_json:
        print_json(summary)
    else:
        _conclude(view, summary)


def _show(
    view: DemoView, answer: str | None, as_json: bool, *, knowledge: Path, model: str, model_name: str | None
) -> Json:
    with ExitStack() as parts:
        view.busy("Deploying template.yaml here, and reading the documents")
        began = time.monotonic()
        served = parts.enter_context(
            serving(knowledge=knowledge, model=model, model_name=model_name, port=0, aws_port=0)
        )
        view.idle()
        view.chapter(
            "Stack",
            f"{len(served.app.stack.functions)} functions, {served.ingested.indexed} documents, "
            f"model {model}, {time.monotonic() - began:.1f} s",
        )
        case = DemoCase(served, EVENT, view.visit)
        view.chapter("Event", "a GitHub issue, signed as GitHub signs")
        view.request(case.issue, case.repository)
        sent_at = time.monotonic()
        case.send()
        view.chapter("Case", case.case_id)
        view.busy("")
        status, waited_s, asked = case.next_stop(), 0.0, 0
        while status == "awaiting_approval":
            view.idle()
            asked += 1
            card = case.card()
            view.card(card)
            asked_at = time.monotonic()
            _decide(view, case, card, answer if asked == 1 or answer != "respond" else "approve", as_json)
            waited_s += time.monotonic() - asked_at
            view.chapter("Case", "goes on")
            view.busy("")
            status = case.next_stop()
        view.idle()
        took_s = time.monotonic() - sent_at - waited_s
        whole, delivered = case.whole(), list(case.delivered())
        if status not in _GOOD_ENDS:
            raise DemoFailed(f"the case ended as {status} in {case.states()[-1].state}")
        if not as_json:
            view.delivered(delivered)
            view.timeline(whole)
        states = [{"state": visit.state, "seconds": visit.seconds} for visit in case.states()]
        return {
            **{name: whole[name] for name in ("case_id", "status", "draft", "timeline", "usage", "cost_usd")},
            "states": states,
            "delivered": delivered,
            "case_seconds": round(took_s, 2),
        }


def _conclude(view: DemoView, summary: Json) -> None:
    view.chapter("Done")
    view.out.print("  ", status_text(summary["status"]), f" · {spent(summary)}", sep="")
    view.out.print(
        f"  {summary['case_seconds']:.1f} s for the case, people's time left out; "
        f"{summary['seconds']:.1f} s in all."
    )
    view.out.print(
        '  Run it yourself: countersign up, and in another terminal countersign ask "…"', style="quiet"
    )


def _decide(view: DemoView, case: DemoCase, card: Json, answer: str | None, as_json: bool) -> None:
    """Take a decision on the card: the one given, the person's at the terminal, or approve."""
    asks = answer is None and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    if answer is None and not asks:
        view.out.print("\nThere is no terminal to ask at, so the demo approves.", style="warn")
    elif answer is not None:
        view.out.print(f"\nThe demo was told to answer: {answer}.", style="warn")
    while True:
        decision = _ask(view, case, card) if asks else _given(answer or "approve", card)
        if decision is None:
            view.out.print("Decided in the inbox.", style="good")
            return
        try:
            decide(case.api, card, decision.verdict, text=decision.text, reason=decision.reason)
        except Refused as error:
            if not asks:
                raise DemoFailed(f"the decision was refused: {refusal(error)}") from error
            view.out.print(f"  {refusal(error)}", style="bad")
            if error.status in {409, 410}:
                return
            continue
        view.out.print(DONE[decision.verdict], style="good")
        return


def _given(verdict: str, card: Json) -> Decision:
    """The decision of a demo that nobody watches, with words where the verdict needs them."""
    if verdict == "edit":
        return Decision(verdict, text=f"{card['draft']['text']}\n\nA person read this before it was sent.")
    if verdict == "respond":
        return Decision(verdict, reason=FEEDBACK)
    if verdict == "reject":
        return Decision(verdict, reason="The demo was told to reject.")
    return Decision(verdict)


def _ask(view: DemoView, case: DemoCase, card: Json) -> Decision | None:
    """The decision that a person types; None where it was taken in the inbox meanwhile."""
    view.out.print(f"\nDecide here, or in the inbox: {case.api.inbox}", soft_wrap=True)
    while True:
        view.out.print("[a]pprove  [e]dit  [s]end back  [r]eject: ", end="", style="name")
        key = _line_or_decided(case, card)
        if key is None:
            view.out.print()
            return None
        verdict = VERDICTS.get(key.strip().lower()[:1])
        if verdict == "approve":
            return Decision(verdict)
        if verdict == "edit":
            text = open_editor(card["draft"]["text"])
            if text is not None:
                return Decision(verdict, text=text)
            view.out.print("  The text is as it was.", style="quiet")
        elif verdict is not None:
            question = "What should change? " if verdict == "respond" else "Why? "
            view.out.print(f"  {question}", end="", style="name")
            reason = (sys.stdin.readline() or "").strip()
            if reason:
                return Decision(verdict, reason=reason)
            view.out.print("  Nothing said, nothing decided.", style="quiet")


def _line_or_decided(case: DemoCase, card: Json) -> str | None:
    """The line that is typed; None once the approval is decided elsewhere. Raises click.Abort at the end."""
    sys.stdout.flush()
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.5)
        if ready:
            line = sys.stdin.readline()
            if not line:
                raise click.Abort
            return line
        if case.is_decided(card):
            return None
