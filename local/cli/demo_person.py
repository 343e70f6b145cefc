"""Who decides in the demo: a person at the terminal or in the inbox, or nobody but what was asked for."""

import select
import sys
import time
from dataclasses import dataclass

import click

from local.cli.api_client import ApiClient, Json, Refused
from local.cli.decide import DONE, decide, open_editor, refusal
from local.cli.demo_case import DemoFailed
from local.cli.demo_view import DemoView

VERDICTS = {"a": "approve", "e": "edit", "s": "respond", "r": "reject"}
FEEDBACK = "Shorter, please: only how long we have to approve."
ADDITION = "A person has read this before it was sent."
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Decision:
    """A verdict with its text or reason."""

    verdict: str
    text: str | None = None
    reason: str | None = None


class Person:
    """Decides about the drafts of one demo. `waited_s` is how long the case stood for that."""

    def __init__(self, view: DemoView, api: ApiClient, *, answer: str | None, can_ask: bool) -> None:
        """`answer` decides the first draft without asking; later ones are then approved."""
        self._view = view
        self._api = api
        self._answer = answer
        self._asks = can_ask and answer is None
        self._approves_unasked = answer is None and not can_ask
        self.waited_s = 0.0

    def decide(self, card: Json) -> None:
        """Take a decision on the card, here or in the inbox. Raises DemoFailed, click.Abort."""
        started = time.monotonic()
        if self._asks:
            self._let_decide(card)
        else:
            self._decide_unasked(card)
        self.waited_s += time.monotonic() - started

    def _decide_unasked(self, card: Json) -> None:
        verdict, self._answer = self._answer or "approve", None
        if self._approves_unasked:
            self._view.note("There is no terminal to ask at, so the demo approves.")
        else:
            self._view.note(f"As told beforehand, the demo answers: {verdict}.")
        if verdict == "approve" and not card["draft"]["text"]:
            raise DemoFailed(f"there is no draft to approve: {card['reason']}")
        try:
            self._send(_decision(verdict, card), card)
        except Refused as error:
            raise DemoFailed(f"the decision was refused: {refusal(error)}") from error

    def _let_decide(self, card: Json) -> None:
        self._view.note(f"Decide here, or in the inbox: {self._api.inbox}")
        while True:
            decision = self._ask(card)
            if decision is None:
                self._view.good("\nDecided in the inbox.")
                return
            try:
                self._send(decision, card)
                return
            except Refused as error:
                self._view.note(refusal(error))
                if error.status in {409, 410}:  # somebody or the deadline came first
                    return

    def _send(self, decision: Decision, card: Json) -> None:
        decide(self._api, card, decision.verdict, text=decision.text, reason=decision.reason)
        self._view.good(DONE[decision.verdict])

    def _ask(self, card: Json) -> Decision | None:
        """What is typed; None where the inbox was faster."""
        while True:
            self._view.prompt("[a]pprove  [e]dit  [s]end back  [r]eject: ")
            key = self._line_or_decided(card)
            if key is None:
                return None
            verdict = VERDICTS.get(key.strip().lower()[:1])
            if verdict == "approve":
                return Decision(verdict)
            if verdict == "edit":
                text = open_editor(card["draft"]["text"])
                if text is not None:
                    return Decision(verdict, text=text)
            elif verdict is not None:
                self._view.prompt("What should change? " if verdict == "respond" else "Why? ")
                reason = sys.stdin.readline().strip()
                if reason:
                    return Decision(verdict, reason=reason)

    def _line_or_decided(self, card: Json) -> str | None:
        """What is typed; None once the approval is decided elsewhere. Raises click.Abort at the end."""
        while not select.select([sys.stdin], [], [], _LOOK_EVERY_S)[0]:
            if self._api.approval(card["approval_id"])["decision"] is not None:
                return None
        line = sys.stdin.readline()
        if not line:
            raise click.Abort
        return line


def _decision(verdict: str, card: Json) -> Decision:
    """The decision of a demo that nobody watches, with words where the verdict needs them."""
    if verdict == "edit":
        return Decision(verdict, text=f"{card['draft']['text']}\n\n{ADDITION}".strip())
    if verdict == "respond":
        return Decision(verdict, reason=FEEDBACK)
    if verdict == "reject":
        return Decision(verdict, reason="The demo was told to reject.")
    return Decision(verdict)
