"""What the demo prints: at a terminal with the state that works now, elsewhere line by line."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from local.cli import render
from local.cli.demo_case import WAITING
from local.cli.literal import literal, one_line
from local.cli.phrases import facts, spent
from local.cli.progress import Visit
from local.cli.serving import Serving

type Json = dict[str, Any]

_NAME_WIDTH = 20


class DemoView:
    """Prints the demo on one console."""

    def __init__(self, out: Console, *, quiet: bool = False) -> None:
        self._out = out
        self._out.quiet = quiet
        self._status = out.status("")
        self._printed: set[int] = set()
        self._case_id = ""

    def busy(self, with_what: str) -> None:
        """Something takes a while."""
        self._status.update(with_what)
        self._status.start()

    def idle(self) -> None:
        """It is over."""
        self._status.stop()

    def stack(self, served: Serving, model: str, seconds: float) -> None:
        """What runs now."""
        self._chapter(
            "Stack",
            f"{len(served.app.stack.functions)} functions, {served.ingested.indexed} documents, "
            f"model {model}, {seconds:.1f} s",
        )

    def request(self, issue: Json, repository: str) -> None:
        """The event, as its author wrote it."""
        self._chapter("Event", "a GitHub issue, signed as GitHub signs")
        self._out.print(
            Panel(
                Text(literal(issue["body"].strip())),
                title=Text(one_line(issue["title"])),
                subtitle=Text(
                    f"{one_line(issue['user']['login'])} · {one_line(repository)}#{issue['number']}"
                ),
                title_align="left",
                subtitle_align="left",
                border_style="quiet",
            )
        )

    def case(self, case_id: str) -> None:
        """The webhook was accepted."""
        self._case_id = case_id
        self._chapter("Case", case_id)
        self.busy("queued")

    def visit(self, place: int, visit: Visit) -> None:
        """A state that the case entered or left. One that it left is printed, once."""
        if visit.seconds is None:
            waits = "waits for a person" if visit.state in WAITING else "…"
            self._status.update(Text(f"{visit.state} {waits}", style="cyan"))
            return
        if place not in self._printed:
            self._printed.add(place)
            self._out.print(state_line(visit, self._case_id))

    def card(self, card: Json) -> None:
        """What a person decides about."""
        self.idle()
        self._chapter("Draft", f"approval {card['approval_id'].rpartition('-')[2]}", f"risk {card['risk']}")
        if card.get("reason"):
            self._out.print(Text(f"  Why a person is asked: {one_line(card['reason'])}", style="warn"))
        self._out.print(render.draft(card["draft"]))
        if card.get("review"):
            self._chapter("Review")
            self._out.print(render.review(card["review"]))
        self._chapter("If approved")
        self._out.print(Text.assemble("  ", render.destination(card["destination"])))

    def delivered(self, requests: Sequence[Json]) -> None:
        """What left, and for where."""
        self.idle()
        self._chapter(
            "Delivered", "to the local outbox, which stands in for GitHub's API" if requests else "nothing"
        )
        for sent in requests:
            self._out.print(Text(f"  {sent['method']} {one_line(sent['path'])} → {sent['status']}"))
            if isinstance(sent["body"], dict) and "body" in sent["body"]:
                words = Text(literal(sent["body"]["body"]))
                self._out.print(Padding(Panel(words, border_style="good"), (0, 0, 0, 2)))

    def timeline(self, case: Json) -> None:
        """The ledger of the case."""
        self._chapter("Timeline", case["case_id"])
        self._out.print(Padding(render.timeline(case["timeline"], case["case_id"]), (0, 0, 0, 2)))

    def done(self, summary: Json) -> None:
        """What it took."""
        self._chapter("Done")
        status = render.status_text(summary["status"])
        self._out.print(Text.assemble("  ", status, f" · {spent(summary)}"))
        self._out.print(
            f"  {summary['case_seconds']:.1f} s for the case, people's time left out; "
            f"{summary['seconds']:.1f} s in all."
        )
        self._out.print(
            '  Yours to try: countersign up, and in another terminal countersign ask "…"', style="quiet"
        )

    def note(self, words: str) -> None:
        """A line that a person should see."""
        self._out.print(f"\n{words}", style="warn", soft_wrap=True)

    def good(self, words: str) -> None:
        """A line about what went well."""
        self._out.print(words, style="good")

    def prompt(self, words: str) -> None:
        """A question on a line that is not ended."""
        self._out.print(words, end="", style="name")

    def _chapter(self, title: str, *facts: str) -> None:
        self.idle()
        self._out.print()
        self._out.print(Text.assemble((title, "name"), *((f"  {fact}", "quiet") for fact in facts)))


def state_line(visit: Visit, case_id: str) -> Text:
    """One line for a state that was left."""
    if not visit.is_task:
        return Text(f"  · {visit.state}", style="quiet")
    sign, style = ("!", "warn") if visit.errors else ("✓", "good")
    name = f"{visit.state} ×{visit.times}" if visit.kind == "Map" else visit.state
    tried_again = visit.errors if visit.succeeded else visit.errors[:-1]
    said = [facts(visit.result, case_id), *(f"{error}, tried again" for error in tried_again)]
    said += visit.errors[len(tried_again) :]
    return Text.assemble(
        ("  " + sign, style),
        f" {name:<{_NAME_WIDTH}}",
        (f"{visit.seconds:6.2f} s", "quiet"),
        ("   " + " · ".join(filter(None, said)), "quiet"),
    )
