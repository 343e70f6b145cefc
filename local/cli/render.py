"""How cases, drafts and cards look at a terminal. All text from outside goes through `literal`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local.cli.literal import literal, one_line
from local.cli.phrases import age, facts, moment, short_id, spent

type Json = Mapping[str, Any]

STATUS_STYLES = {
    "received": "quiet",
    "queued": "quiet",
    "running": "cyan",
    "awaiting_approval": "warn",
    "delivering": "cyan",
    "delivered": "good",
    "rejected": "magenta",
    "expired": "bad",
    "blocked": "bad",
    "parked": "warn",
    "failed": "bad",
}
_SIGNS = {"supported": ("✓", "good"), "unsupported": ("?", "warn"), "contradicted": ("✗", "bad")}
_RISKS = {"low": "good", "medium": "warn", "high": "bad"}
_CHANNELS = {
    "callback": "callback",
    "github_issue": "comment on the GitHub issue",
    "github_discussion": "comment in the GitHub discussion",
    "slack_thread": "message in the Slack thread",
}


def status_text(status: str) -> Text:
    return Text(status, style=STATUS_STYLES.get(status, ""))


def case_list(cases: Sequence[Json]) -> RenderableType:
    """The table of `countersign cases`."""
    if not cases:
        return Text("There are no cases.", style="quiet")
    table = listing("case", "status", "source", "opened", "subject")
    for case in cases:
        table.add_row(
            short_id(case["case_id"]),
            status_text(case["status"]),
            one_line(case["source"]),
            age(case["created_at"]),
            _subject(case),
        )
    return table


def destination_list(destinations: Sequence[Json]) -> RenderableType:
    """The table of `countersign destinations`."""
    if not destinations:
        return Text("No destination is switched off.", style="quiet")
    table = listing("destination", "channel", "off", "after", "address")
    for each in destinations:
        turn = each["history"][-1]
        table.add_row(
            short_id(each["id"]),
            each["channel"],
            age(turn["at"]),
            short_id(turn["by"]),
            one_line(each["address"]),
        )
    return table


def lease_list(leases: Sequence[Json]) -> RenderableType:
    """The table of `countersign limits`: the cases that draft."""
    table = listing("case", "slot until", "reserved")
    for lease in leases:
        reserved = lease["reserved_usd"]
        table.add_row(short_id(lease["case_id"]), lease["expires_at"], f"${reserved}" if reserved else "")
    return table


def _subject(case: Json) -> Text:
    """The subject of a case; what was erased on request says so."""
    return Text("(forgotten)", style="quiet") if case.get("forgotten_at") else Text(one_line(case["subject"]))


def approval_list(approvals: Sequence[Json]) -> RenderableType:
    """The table of `countersign approvals`."""
    if not approvals:
        return Text("Nothing waits for a decision.", style="quiet")
    table = listing("case", "risk", "reviewer", "asked", "expires", "subject")
    for approval in approvals:
        score = approval.get("reviewer_score")
        table.add_row(
            short_id(approval["case_id"]),
            Text(approval["risk"], style=_RISKS.get(approval["risk"], "")),
            "" if score is None else f"{score:.2f}",
            age(approval["requested_at"]),
            age(approval["expires_at"]),
            one_line(approval["subject"]),
        )
    return table


def timeline(events: Sequence[Json], case_id: str) -> RenderableType:
    """What happened, a line each, with the seconds since the first."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="quiet", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="quiet", overflow="fold")
    first = moment(events[0]["at"]) if events else None
    for event in events:
        seconds = (moment(event["at"]) - first).total_seconds() if first else 0.0
        said = facts(event["detail"], case_id)
        table.add_row(f"+{seconds:.2f} s", one_line(event["event"]), one_line(event["actor"]), said)
    return table


def draft(draft: Json) -> RenderableType:
    """The draft's text with a sign before each claim, then its numbered sources with their quotes."""
    return Group(
        Padding(draft_text(draft["text"], draft.get("claims") or []), (0, 0, 1, 2)),
        sources(draft.get("citations") or []),
    )


def draft_text(text: str, claims: Iterable[Json]) -> Text:
    """The text with a line for each claim, preceded by how the evidence bears on it."""
    shown, place = Text(), 0
    for claim in sorted(claims, key=lambda claim: claim["start"]):
        start, end = max(claim["start"], place), min(claim["end"], len(text))
        if end <= start:
            continue
        before = text[place:start]
        if place and "\n" not in before:
            before = before.rstrip() + "\n"
        shown.append(literal(before))
        sign, style = _SIGNS.get(claim["verdict"], ("?", "warn"))
        shown.append(f"{sign} ", style=style)
        shown.append(literal(text[start:end]), style="" if claim["verdict"] == "supported" else style)
        place = end
    shown.append(literal(text[place:]))
    shown.highlight_regex(r"\[\d{1,3}\]", "cite")
    return shown


def sources(citations: Sequence[Json]) -> RenderableType:
    """`[1] document`, and under it the exact words that are cited."""
    if not citations:
        return Text("  No passage is cited.", style="quiet")
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(style="cite", no_wrap=True)
    table.add_column(overflow="fold")
    last = None
    for citation in sorted(citations, key=lambda each: each["marker"]):
        marker = citation["marker"]
        if marker != last:
            table.add_row(f"[{marker}]", Text(one_line(citation["document"]), style="name"))
        table.add_row("", Text(f"“{one_line(citation['quote'])}”", style="quiet"))
        last = marker
    return table


def card(card: Json) -> RenderableType:
    """All that a person needs to decide at a terminal."""
    request = card["request"]
    written = card["draft"]
    parts: list[RenderableType] = [
        Panel(
            Text(literal(request["text"])),
            title=Text(one_line(request["subject"])),
            subtitle=Text(f"{one_line(request['author'])} · {request['source']}"),
            title_align="left",
            subtitle_align="left",
            border_style="quiet",
        ),
        heading("Draft"),
        draft(written)
        if written["text"]
        else Text("  There is none: write the reply yourself with edit.", style="warn"),
    ]
    if card.get("reason"):
        parts.append(Text(f"  Why a person is asked: {card['reason']}", style="warn"))
    if card.get("review"):
        parts += [heading("Review"), review(card["review"])]
    parts.append(heading("If approved"))
    parts.append(Text.assemble("  ", destination(card["destination"])))
    for action in written.get("actions") or []:
        parts.append(Text(f"  and does: {one_line(action['name'])}", style="warn"))
    parts.append(Text(f"  {spent(card)} · expires {age(card['expires_at'])}", style="quiet"))
    return Group(*parts)


def review(review: Json) -> RenderableType:
    """The reviewer's verdict and what it holds against the draft."""
    style = "good" if review["verdict"] == "accept" else "warn"
    line = Text.assemble(
        "  ",
        (review["verdict"], style),
        f" · score {review['score']:.2f} · support {review['support']:.2f}",
        f" · {review['unsupported']} unsupported" if review["unsupported"] else "",
    )
    found = [Text(f"  - {one_line(finding['problem'])}") for finding in review.get("findings") or []]
    summary = [Text(f"  {one_line(review['summary'])}", style="quiet")] if review.get("summary") else []
    return Group(line, *summary, *found)


def destination(destination: Json) -> Text:
    """Channel and address."""
    channel = _CHANNELS.get(destination["channel"], destination["channel"])
    off = ("  switched off: its receiver was gone", "warn") if destination.get("off_since") else ""
    return Text.assemble(f"{channel}: ", (one_line(destination["address"]), "name"), off)


def whole_case(case: Json, signed: str | None = None) -> RenderableType:
    """What `countersign case` prints; `signed` is what a person wrote in place of the draft."""
    erased = case.get("forgotten_at")
    head = Text.assemble(
        ("The text of this case has been erased.", "warn") if erased else (one_line(case["subject"]), "name"),
        "\n",
        f"{case['case_id']} · {one_line(case['source'])} · ",
        status_text(case["status"]),
    )
    if case.get("outcome") and case["outcome"] != case["status"]:
        head.append(f" ({one_line(case['outcome'])})")
    parts: list[RenderableType] = [
        head,
        heading("Timeline"),
        Padding(timeline(case["timeline"], case["case_id"]), (0, 0, 0, 2)),
    ]
    if case.get("draft") and case["draft"]["text"]:
        parts += [heading("Draft"), draft(case["draft"])]
    if case.get("review"):
        parts += [heading("Review"), review(case["review"])]
    if signed:
        parts += [heading("Signed in place of the draft"), Padding(Text(literal(signed)), (0, 0, 0, 2))]
    if not erased:  # the ledger's last line has what it cost
        parts += [heading("Cost"), Text(f"  {spent(case)}")]
    return Group(*parts)


def found_passages(results: Sequence[Json]) -> RenderableType:
    """What `countersign search` prints."""
    if not results:
        return Text("Nothing in the knowledge fits.", style="quiet")
    parts: list[RenderableType] = []
    for result in results:
        parts.append(
            Text.assemble((one_line(result["document"]), "name"), (f"  {result['score']:.2f}", "quiet"))
        )
        parts.append(Padding(Text(literal(result["text"].strip())), (0, 0, 1, 2)))
    return Group(*parts)


def heading(title: str) -> Text:
    return Text(f"\n{title}", style="bold underline")


def listing(*columns: str) -> Table:
    """Every column as wide as it has to be, and the last one what is left."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, expand=True)
    for name in columns[:-1]:
        table.add_column(name, no_wrap=True)
    table.add_column(columns[-1], overflow="ellipsis", no_wrap=True, ratio=1)
    return table
