"""Where sentences begin and end, and which markers belong to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign_knowledge.sentences import cited, split, without_markers


def sentences(text: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(text[s.start : s.end], s.markers) for s in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 dollars. It is e.g. cheap.", ["It costs 3.50 dollars.", "It is e.g. cheap."]),
        ("Dr. Smith lives in the U.S. The rule holds.", ["Dr. Smith lives in the U.S.", "The rule holds."]),
        ("See https://example.com/a.b?c=1. Then stop.", ["See https://example.com/a.b?c=1.", "Then stop."]),
        ("Run `a. b` now. Stop.", ["Run `a. b` now.", "Stop."]),
        ("Am 3. Mai beginnt es. Danach z. B. nicht.", ["Am 3. Mai beginnt es.", "Danach z. B. nicht."]),
        ("これは一つ。これは二つ。", ["これは一つ。", "これは二つ。"]),
        ("# Title\nText.\n- first\n- second", ["# Title", "Text.", "- first", "- second"]),
        ("Before.\n```\na. b. c.\n```\nAfter.", ["Before.", "```\na. b. c.\n```\n", "After."]),
        ("He said “Stop.” Then left.", ["He said “Stop.”", "Then left."]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_a_text_is_split_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert [said.rstrip("\n") for said, _ in sentences(text)] == [said.rstrip("\n") for said in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. [1] Two. [2][3]", [("One.", (1,)), ("Two.", (2, 3))]),
        ("One [1]. Two.", [("One [1].", (1,)), ("Two.", ())]),
        ("One. [1, 2]\nTwo [2].", [("One.", (1, 2)), ("Two [2].", (2,))]),
        ("one. [1] two. [2]", [("one.", (1,)), ("two.", (2,))]),
        ("```\nx[1]\n```\n[2]", [("```\nx[1]\n```", (2,))]),
        ("Use `x[1]` here. [2]", [("Use `x[1]` here.", (2,))]),
        ("See [1](https://example.com).", [("See [1](https://example.com).", ())]),
        ("[4]", []),
    ],
)
def test_markers_belong_to_the_sentence_before_them(
    text: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "markers", "expected"),
    [
        ("One.", [1], "One. [1]"),
        ("One. Two.", [2, 1], "One. [2][1] Two. [2][1]"),
        ("One.", [], "One."),
        ("```\ncode\n```", [1], "```\ncode\n```\n[1]"),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", [3], "| a | b | [3]\n| --- | --- |\n| 1 | 2 | [3]"),
    ],
)
def test_markers_are_put_where_they_are_read_again(text: str, markers: list[int], expected: str) -> None:
    assert cited(text, markers) == expected


@pytest.mark.parametrize(
    ("text", "expected", "markers"),
    [
        ("One. [1] Two [2, 3].", "One. Two.", (1, 2, 3)),
        ("`x[1]` and [a](b) stay. [4]", "`x[1]` and [a](b) stay.", (4,)),
    ],
)
def test_markers_are_taken_out(text: str, expected: str, markers: tuple[int, ...]) -> None:
    assert without_markers(text) == (expected, markers)


@given(st.text(alphabet="ab .!?[]12\n`#-|。", max_size=200))
def test_sentences_are_in_order_and_do_not_overlap(text: str) -> None:
    place = 0
    for sentence in split(text):
        assert place <= sentence.start < sentence.end <= len(text)
        place = sentence.end


@given(
    st.lists(st.sampled_from(["One thing.", "It is so!", "Is it?", "すべて。"]), min_size=1),
    st.sets(st.integers(1, 99), min_size=1),
)
def test_every_cited_sentence_has_its_markers(said: list[str], markers: set[int]) -> None:
    text = cited(" ".join(said), sorted(markers))
    assert [found for _, found in sentences(text)] == [tuple(sorted(markers))] * len(said)
