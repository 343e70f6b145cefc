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
from local.cli.progress import Visit

type Json = dict[str, Any]

_NAME_WIDTH = 20


class DemoView:
    """Prints the demo on one console."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self._status = out.status("")
        self._printed: set[int] = set()

    def chapter(self, title: str, *facts: str) -> None:
        """A heading with what there is to say about it."""
        self.out.print()
        self.out.print(Text.assemble((title, "name"), *((f"  {fact}", "quiet") for fact in facts)))

    def busy(self, with_what: str) -> None:
        """Something takes a while."""
        self._status.update(with_what)
        self._status.start()

    def idle(self) -> None:
        """It is over."""
        self._status.stop()

    def request(self, issue: Json, repository: str) -> None:
        """The event, as its author wrote it."""
        self.out.print(
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

    def visit(self, place: int, visit: Visit) -> None:
        """A state that the case entered or left. One that it left is printed, once."""
        if visit.seconds is None:
            waits = "waits for a person" if visit.state in WAITING else "…"
            self._status.update(Text(f"{visit.state} {waits}", style="cyan"))
            return
        if place not in self._printed:
            self._printed.add(place)
            self.out.print(state_line(visit))

    def card(self, card: Json) -> None:
        """What a person decides about."""
        self.chapter("Draft", f"approval {card['approval_id'].rpartition('-')[2]}", f"risk {card['risk']}")
        if card.get("reason"):
            self.out.print(Text(f"  Why a person is asked: {one_line(card['reason'])}", style="warn"))
        self.out.print(render.draft(card["draft"]))
        if card.get("review"):
            self.chapter("Review")
            self.out.print(render.review(card["review"]))
        self.chapter("If approved")
        self.out.print(Text.assemble("  ", render.destination(card["destination"])))

    def delivered(self, requests: Sequence[Json]) -> None:
        """What left, and for where."""
        self.chapter(
            "Delivered", "to the local outbox, which stands in for GitHub's API" if requests else "nothing"
        )
        for sent in requests:
            self.out.print(Text(f"  {sent['method']} {one_line(sent['path'])} → {sent['status']}"))
            if isinstance(sent["body"], dict) and "body" in sent["body"]:
                words = Text(literal(sent["body"]["body"]))
                self.out.print(Padding(Panel(words, border_style="good"), (0, 0, 0, 2)))

    def timeline(self, case: Json) -> None:
        """The ledger of the case."""
        self.chapter("Timeline", case["case_id"])
        self.out.print(Padding(render.timeline(case["timeline"]), (0, 0, 0, 2)))


def state_line(visit: Visit) -> Text:
    """One line for a state that was left."""
    if not visit.is_task:
        return Text(f"  · {visit.state}", style="quiet")
    sign, style = ("!", "warn") if visit.errors else ("✓", "good")
    name = f"{visit.state} ×{visit.times}" if visit.kind == "Map" else visit.state
    result = {k: v for k, v in visit.result.items() if k not in {"case_id", "approval_id", "thread"}}
    facts = [render.facts(result), *(f"{error}, tried again" for error in visit.errors)]
    return Text.assemble(
        ("  " + sign, style),
        f" {name:<{_NAME_WIDTH}}",
        (f"{visit.seconds:6.2f} s", "quiet"),
        ("   " + " · ".join(filter(None, facts)), "quiet"),
    )
