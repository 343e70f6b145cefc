"""Grounding: what a passage states, denies and leaves open, sentence by sentence, in several languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.models import Passage
from countersign_knowledge.grounding import findings, ground
from tests.unit.stores import passage

UPLOADS = (
    "Uploads are kept for 30 days and then deleted. Deleted uploads cannot be restored. "
    "Paying customers can raise the retention of uploads to 365 days under Settings, Storage."
)
AGENT = "The agent opens outbound connections on TCP port 443 only."
PRICE = "The Pro plan costs $1,200 a year. It is billed on 2026-03-01 by Acme Ltd in Delhi."
HOTEL = "The Oberoi Group is a hotel company. It has its head office in Delhi and was founded in 1934."
AIRPORTS = (
    "Memphis International Airport is an airport in Memphis, Tennessee. "
    "Southwest Georgia Regional Airport is an airport near Albany."
)
GERMAN = (
    "Uploads werden 30 Tage aufbewahrt und danach gelöscht. "
    "Gelöschte Uploads können nicht zurückgeholt werden."
)
SPANISH = "Las copias se guardan durante 30 días. No se pueden restaurar después."
JAPANESE = "アップロードは30日間保存されます。削除後は復元できません。"


def verdict(said: str, text: str) -> str:
    (claim,) = ground(f"{said} [1]", [passage(1, "a.md", text)]).claims
    return claim.verdict


@pytest.mark.parametrize(
    ("said", "text", "expected"),
    [
        ("Uploads are kept for 30 days and then deleted.", UPLOADS, "supported"),
        ("They are kept for 30 days.", UPLOADS, "supported"),
        ("They cannot be restored after that.", UPLOADS, "supported"),
        (
            "As a paying customer you can raise this to 365 days under Settings, Storage.",
            UPLOADS,
            "supported",
        ),
        ("The agent needs outbound connections on TCP port 443 only.", AGENT, "supported"),
        ("The Oberoi Group has its head office in Delhi.", HOTEL, "supported"),
        ("It costs 1200 dollars a year.", PRICE, "supported"),
        ("It is billed on March 1, 2026.", PRICE, "supported"),
        # Numbers, units and dates that differ.
        ("Uploads are kept for 60 days.", UPLOADS, "contradicted"),
        ("Uploads are kept for 30 hours.", UPLOADS, "contradicted"),
        ("Uploads are kept for 365 days and then deleted.", UPLOADS, "contradicted"),
        (
            "The trial lasts 90 days.",
            "The trial lasts 14 days. Invoices are due after 90 days.",
            "contradicted",
        ),
        ("The agent opens outbound connections on TCP port 8443 only.", AGENT, "contradicted"),
        ("The Pro plan costs €1,200 a year.", PRICE, "contradicted"),
        ("It is billed on 2026-03-02 by Acme Ltd.", PRICE, "contradicted"),
        # Negations.
        ("Deleted uploads can be restored.", UPLOADS, "contradicted"),
        ("Uploads are not kept for 30 days.", UPLOADS, "contradicted"),
        ("The agent doesn't open outbound connections on TCP port 443.", AGENT, "contradicted"),
        # Names and words that are not there, or belong to something else.
        ("The Oberoi Group has its head office in Mumbai.", HOTEL, "unsupported"),
        ("Southwest Georgia Regional Airport is in Tennessee.", AIRPORTS, "unsupported"),
        ("The agent opens inbound connections.", AGENT, "unsupported"),
        ("Refunds take two weeks.", UPLOADS, "unsupported"),
        ("Yes.", UPLOADS, "unsupported"),
        # Other languages, with and without a stemmer, and without spaces.
        ("Ein Upload wird 30 Tage aufbewahrt.", GERMAN, "supported"),
        ("Ein Upload wird 90 Tage aufbewahrt.", GERMAN, "contradicted"),
        ("Gelöschte Uploads können zurückgeholt werden.", GERMAN, "contradicted"),
        ("Las copias se guardan 30 días.", SPANISH, "supported"),
        ("Las copias se guardan 31 días.", SPANISH, "contradicted"),
        ("アップロードは30日間保存されます。", JAPANESE, "supported"),
        ("アップロードは90日間保存されます。", JAPANESE, "contradicted"),
        (
            "Załączniki są przechowywane przez 30 dni.",
            "Załączniki są przechowywane przez 30 dni.",
            "supported",
        ),
    ],
)
def test_a_claim_is_what_its_passage_makes_of_it(said: str, text: str, expected: str) -> None:
    assert verdict(said, text) == expected


def test_a_claim_has_the_place_markers_and_score_of_its_sentence() -> None:
    text = "Uploads are kept for 30 days. [1]\n\nRefunds take a week. [9]"
    first, second = ground(text, [passage(1, "a.md", UPLOADS)]).claims
    assert (text[first.start : first.end], first.markers, first.score) == (
        "Uploads are kept for 30 days.",
        [1],
        1.0,
    )
    assert (second.verdict, second.markers, second.score) == ("unsupported", [], 0.0)


def test_a_citation_quotes_the_closest_sentence_by_its_place() -> None:
    passages = [passage(1, "a.md", AGENT), passage(2, "b.md", UPLOADS)]
    grounded = ground(
        "They cannot be restored. [2] It uses TCP port 443. [1][2] Deleted for good. [2]", passages
    )
    for citation in grounded.citations:
        text = passages[citation.marker - 1].text
        assert text[citation.start : citation.end] == citation.quote
    assert [(c.marker, c.quote) for c in grounded.citations][:2] == [
        (2, "Deleted uploads cannot be restored."),
        (1, AGENT),
    ]
    assert len({(c.marker, c.start, c.end) for c in grounded.citations}) == len(grounded.citations)


def test_two_passages_may_state_a_claim_together() -> None:
    passages = [
        passage(1, "a.md", "The Pro plan includes support."),
        passage(2, "b.md", "Support costs nothing."),
    ]
    (claim,) = ground("The Pro plan includes support, which costs nothing. [1][2]", passages).claims
    assert (claim.verdict, claim.markers) == ("supported", [1, 2])


def test_a_bare_yes_stands_and_falls_with_what_follows() -> None:
    passages = [passage(1, "a.md", UPLOADS)]
    right = ground("Yes. [1] Uploads are kept for 30 days. [1]", passages).claims
    wrong = ground("Yes. [1] Uploads are kept for 60 days. [1]", passages).claims
    assert [claim.verdict for claim in right] == ["supported", "supported"]
    assert [claim.verdict for claim in wrong] == ["contradicted", "contradicted"]


@pytest.mark.parametrize("text", ["", " \n", "---", "[1]", "| --- |\n"])
def test_what_says_nothing_is_no_claim(text: str) -> None:
    assert ground(text, [passage(1, "a.md", UPLOADS)]).claims == []


@pytest.mark.parametrize("text", ["", " ", "…", "[3]"])
def test_a_passage_without_words_supports_nothing(text: str) -> None:
    grounded = ground("Uploads are kept. [1]", [passage(1, "a.md", "x").model_copy(update={"text": text})])
    assert [claim.verdict for claim in grounded.claims] == ["unsupported"]
    (citation,) = grounded.citations
    assert citation.quote == text[citation.start : citation.end]


@given(st.text(max_size=300), st.text(min_size=1, max_size=300))
def test_any_text_has_claims_within_it_and_quotes_within_its_passage(text: str, source: str) -> None:
    grounded = ground(f"{text} [1]", [passage(1, "a.md", source)])
    for claim in grounded.claims:
        assert 0 <= claim.start < claim.end <= len(text) + 4
    for citation in grounded.citations:
        assert source[citation.start : citation.end] == citation.quote


def found(
    text: str, *passages: Passage, asked: str = "How long are uploads kept?"
) -> list[tuple[int | None, str]]:
    grounded = ground(text, passages)
    return [(finding.claim, finding.problem) for finding in findings(text, grounded, passages, asked)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Uploads are kept for 30 days. [1]", None),
        ("Uploads are kept for 60 days. [1]", "says otherwise"),
        ("Uploads are kept in Dublin. [1]", "does not state"),
        ("Uploads are kept for 30 days.", "passage 1 states it"),
        ("Uploads are kept in Dublin.", "no passage states it"),
        ("Whether they are encrypted is not described.", None),
        ("Die Dokumentation sagt nicht, ob sie verschlüsselt werden.", None),
        ("They are not sent to Acme Ltd in Dublin.", "no passage states it"),
        ("The fee is not more than 20 dollars.", "no passage states it"),
        ("We did not find an answer to this in our documentation.", None),
    ],
)
def test_findings_leave_open_points_alone_and_nothing_else(text: str, problem: str | None) -> None:
    results = found(text, passage(1, "a.md", UPLOADS))
    if problem is None:
        assert results == []
    else:
        ((claim, words),) = results
        assert claim == 0
        assert problem in words
