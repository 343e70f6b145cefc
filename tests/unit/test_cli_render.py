"""How cases look at a terminal."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType

from local.cli import phrases, render
from local.cli.literal import literal, one_line
from local.cli.output import THEME


def shown(what: RenderableType) -> str:
    out = Console(file=io.StringIO(), width=100, theme=THEME, markup=False, emoji=False, highlight=False)
    out.print(what)
    return out.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ü 漢字\n\tnext", "plain ü 漢字\n\tnext"),
        ("\x1b[2Jgone", "␛[2Jgone"),
        ("a\rb", "a␍b"),
        ("a\r\nb", "a\nb"),
        ("\x9b31m", "<U+009B>31m"),
        ("pay \u202eevil", "pay <U+202E>evil"),
        ("a\u200bb", "a<U+200B>b"),
        ("a\u200db", "a<U+200D>b"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\U000e0041", "<U+E0041>"),
    ],
)
def test_text_from_outside_is_literal(text: str, seen: str) -> None:
    assert literal(text) == seen


def test_a_line_of_a_list_is_one_line() -> None:
    assert one_line("a\n b\t\x1bc") == "a b ␛c"


def test_claims_are_marked_where_they_stand() -> None:
    text = "It waits 24 hours [1]. It is 🐘 never sent [2]. Maybe."
    claims = [
        {"start": 23, "end": 42, "verdict": "contradicted"},  # markers may stand in a claim or behind it
        {"start": 0, "end": 22, "verdict": "supported"},
        {"start": 47, "end": 53, "verdict": "unsupported"},
    ]
    assert render.draft_text(text, claims).plain == (
        "✓ It waits 24 hours [1].\n✗ It is 🐘 never sent [2].\n? Maybe."
    )


def test_claims_that_overlap_or_run_out_lose_no_text() -> None:
    claims = [{"start": 0, "end": 4, "verdict": "supported"}, {"start": 2, "end": 99, "verdict": "supported"}]
    assert render.draft_text("abcdef", claims).plain == "✓ abcd\n✓ ef"


def test_sources_are_numbered_with_their_quotes() -> None:
    citations = [
        {"marker": 2, "document": "b.md", "quote": "second"},
        {"marker": 1, "document": "a.md", "quote": "first\nline"},
        {"marker": 1, "document": "a.md", "quote": "again"},
    ]
    seen = [" ".join(line.split()) for line in shown(render.sources(citations)).splitlines()]
    assert seen == ["[1] a.md", "“first line”", "“again”", "[2] b.md", "“second”"]


def test_nothing_from_outside_is_read_as_markup() -> None:
    cases = [
        {
            "case_id": "c-" + "a" * 32,
            "status": "failed",
            "source": "webhook",
            "created_at": "2026-11-02T09:30:00Z",
            "subject": "[red]sale[/red] :smile: \x1b[31m",
        }
    ]
    assert "[red]sale[/red] :smile: ␛[31m" in shown(render.case_list(cases))


def test_empty_lists_say_so() -> None:
    assert "no cases" in shown(render.case_list([]))
    assert "Nothing waits" in shown(render.approval_list([]))


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-11-02T09:29:15Z", "45 s ago"),
        ("2026-11-02T09:00:00Z", "30 min ago"),
        ("2026-11-05T09:30:00Z", "in 3 d"),
        ("2026-11-02T11:30:00Z", "in 2 h"),
    ],
)
def test_ages(at: str, words: str) -> None:
    assert phrases.age(at, datetime(2026, 11, 2, 9, 30, tzinfo=UTC)) == words


@pytest.mark.parametrize(
    ("amount", "words"), [("0.00123", "$0.0012"), ("0", "$0.0000"), ("x", "no price known")]
)
def test_dollars(amount: str, words: str) -> None:
    assert phrases.dollars(amount) == words


def test_facts_leave_out_what_has_no_short_form() -> None:
    detail = {"score": 0.5, "shown_sha256": "f" * 64, "steps": 2, "none": None, "terms": {}, "reason": ""}
    assert phrases.facts(detail) == f"score 0.50 · shown sha256 {'f' * 8} · steps 2"


def test_facts_are_said_short() -> None:
    case_id = "c-" + "a" * 32
    detail = {
        "execution": case_id,
        "approval_id": f"{case_id}-a2",
        "answered": True,
        "input_tokens": 3702,
        "output_tokens": 211,
        "model_calls": 1,
        "latency_ms": 265.9,
        "ttft_ms": 97.2,
        "cost_usd": "0.0036368",
        "retry_after_s": 0,
        "task": "a45e92cee0979a3c",
    }
    assert phrases.facts(detail, case_id) == (
        "approval id a2 · answered yes · 3,702 tokens in · 211 out · 1 model call · 266 ms · "
        "first token after 97 ms · $0.0036"
    )


def test_a_draft_keeps_its_own_lines() -> None:
    text = "Yes [1].\n\n- First. And more."
    claims = [
        {"start": 0, "end": 8, "verdict": "supported"},
        {"start": 12, "end": 18, "verdict": "supported"},
        {"start": 19, "end": 28, "verdict": "unsupported"},
    ]
    assert render.draft_text(text, claims).plain == "✓ Yes [1].\n\n- ✓ First.\n? And more."


CASE_SHOWN = {
    "case_id": "c-" + "3f" * 16,
    "status": "delivered",
    "source": "webhook",
    "subject": "Waiting",
    "timeline": [],
    "draft": None,
    "review": None,
    "usage": {"input_tokens": 0, "output_tokens": 0, "model_calls": 0},
    "cost_usd": None,
    "outcome": "delivered",
    "forgotten_at": None,
}


def test_a_case_shows_what_a_person_signed_in_place_of_the_draft() -> None:
    seen = shown(render.whole_case(CASE_SHOWN, "For three days.\x1b[2J"))
    assert "Signed in place of the draft\n  For three days.␛[2J" in seen
    assert "Signed" not in shown(render.whole_case(CASE_SHOWN))


def test_an_erased_case_says_so_and_claims_no_cost() -> None:
    seen = shown(render.whole_case(CASE_SHOWN | {"subject": "", "forgotten_at": "2026-11-02T09:30:00Z"}))
    assert seen.startswith("The text of this case has been erased.")
    assert "Cost" not in seen
