"""Whether the passages that a draft cites state its sentences. Deterministic, without a model.

Each sentence of the draft is one claim. It is compared with the sentences of the passages it cites, up to
three that follow each other at a time, and the closest stretch becomes its citation's quote:

    supported     nearly all of its words are there, and all of its numbers, units and names
    contradicted  its words are there, but with another number or unit, or with a negation more or less
    unsupported   anything else: the passage does not say it, or says it of somebody else

`score` is the share of the claim's words found there, names and numbers counting more, halved where one of
these is missing. A sentence that cites nothing is unsupported with score 0 whatever it says, also where it
only says that something is not known: no passage vouches for it, and whoever signs should read it as the
writer's own words. `findings` tells those apart: they are no reason to have a draft written again.

A sentence without a word to compare ("Yes. [1]") stands and falls with the next one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from countersign.models import Citation, Claim, Finding, Passage
from countersign_knowledge.sentences import split
from countersign_knowledge.words import Word, language_of, read_words

_OWN_WORDS = 5
"""One ordinary word in so many may be the writer's own."""
_SAME_MATTER = 0.6
"""The share of a claim's other words that a stretch holds before a difference in one is a contradiction."""
_LONGEST_STRETCH = 3
_NEAR = 3
"""How many words before and after a number tell what it counts."""
_PRICE_OF_LENGTH = 0.02
_WEIGHTS: Mapping[str, float] = {"word": 1.0, "name": 1.5, "number": 1.5, "negation": 0.0}
_LOST_SPACE = re.compile(r"(?<=[a-z0-9)]\.)(?=[A-Z][a-zà-ÿ]+ )")

Verdict = Literal["supported", "unsupported", "contradicted"]


@dataclass(frozen=True)
class Grounded:
    """The claims of a text in their order, and the quotes that bear on them in the order they are cited."""

    claims: list[Claim]
    citations: list[Citation]


@dataclass(frozen=True)
class _Part:
    """A sentence of a passage. `own_subject` where it opens with a name, and so speaks of something else."""

    start: int
    end: int
    words: tuple[Word, ...]
    own_subject: bool


@dataclass(frozen=True)
class _Stretch:
    """Sentences of a passage that follow each other; offsets count characters of the passage's text."""

    passage: Passage
    language: str
    start: int
    end: int
    words: tuple[Word, ...]
    coverage: float


def ground(text: str, passages: Sequence[Passage]) -> Grounded:
    """The claims of a draft and its citations; markers of no passage count for nothing.

    Every citation holds `passage.text[start:end] == quote`.
    """
    known = {passage.marker: passage for passage in passages}
    usual = _usual_language(text, passages)
    claims: list[Claim] = []
    citations: dict[tuple[int, int, int], Citation] = {}
    wordless: list[int] = []
    for sentence in split(text):
        said = text[sentence.start : sentence.end]
        if not any(char.isalnum() for char in said):
            continue  # a rule, or the line below a table's head
        cited = [known[marker] for marker in sentence.markers if marker in known]
        stretches = [_closest(said, passage, usual) for passage in cited]
        verdict, score = _judge(said, stretches)
        if cited and all(word.kind == "negation" for word in read_words(said, stretches[0].language)):
            wordless.append(len(claims))
        claims.append(
            Claim(
                start=sentence.start,
                end=sentence.end,
                verdict=verdict,
                score=score,
                markers=[passage.marker for passage in cited],
            )
        )
        for citation in map(_citation, stretches):
            citations.setdefault((citation.marker, citation.start, citation.end), citation)
    for index in reversed(wordless):
        if index + 1 < len(claims):
            following = claims[index + 1]
            same = {"verdict": following.verdict, "score": following.score}
            claims[index] = claims[index].model_copy(update=same)
    return Grounded(claims, list(citations.values()))


def findings(text: str, grounded: Grounded, passages: Sequence[Passage], asked: str) -> list[Finding]:
    """What a writer should mend: claims that the evidence denies, does not state, or that cite nothing.

    One that cites nothing is left alone where it only says that something is not known: it negates, and
    brings in no name and no number that `asked`, the text of the request, does not have.
    """
    usual = _usual_language(text, passages)
    found = []
    for index, claim in enumerate(grounded.claims):
        if claim.verdict == "supported":
            continue
        said = text[claim.start : claim.end]
        if claim.verdict == "contradicted":
            problem = "What it cites says otherwise: compare its numbers, units and negations."
        elif claim.markers:
            problem = "What it cites does not state it: keep to the passage's words, or leave it out."
        elif (stating := _stating(said, passages, usual)) is not None:
            problem = f"It cites nothing, and passage {stating.marker} states it."
        elif _only_says_what_is_open(said, asked):
            continue
        else:
            problem = "It cites nothing, and no passage states it: leave it out."
        found.append(Finding(claim=index, problem=problem))
    return found


def _stating(said: str, passages: Sequence[Passage], usual: str) -> Passage | None:
    return next((p for p in passages if _judge(said, [_closest(said, p, usual)])[0] == "supported"), None)


def _only_says_what_is_open(said: str, asked: str) -> bool:
    language = language_of(said)
    known = {word.key for word in read_words(asked, language)}
    words = read_words(said, language)
    brought = [word for word in words if word.kind in ("name", "number") and word.key not in known]
    return _negations(words) > 0 and not brought


def _judge(said: str, stretches: Sequence[_Stretch]) -> tuple[Verdict, float]:
    if not stretches:
        return "unsupported", 0.0
    best = max(stretches, key=lambda stretch: stretch.coverage)
    claimed = read_words(said, best.language)
    facts = [word for word in claimed if word.kind in ("name", "number")]
    ordinary = [word for word in claimed if word.kind == "word"]
    if not facts and not ordinary:
        return "unsupported", 0.0
    found = [word for stretch in stretches for word in stretch.words]
    keys = {word.key for word in found}
    lost_facts = [word for word in facts if word.key not in keys]
    lost = [word for word in ordinary if word.key not in keys]
    score = _coverage(claimed, keys)
    same_matter = score >= _SAME_MATTER
    if lost_facts or _misplaced(claimed, stretches):
        other_number = same_matter and _other_number(lost_facts, found)
        return "contradicted" if other_number else "unsupported", round(score / 2, 3)
    if all(_negated_otherwise(claimed, stretch.words) for stretch in stretches):
        return "contradicted" if same_matter else "unsupported", round(score / 2, 3)
    enough = len(lost) <= len(ordinary) // _OWN_WORDS
    return "supported" if enough else "unsupported", round(score, 3)


def _coverage(claimed: Sequence[Word], keys: set[str]) -> float:
    total = sum(_WEIGHTS[word.kind] for word in claimed)
    return sum(_WEIGHTS[word.kind] for word in claimed if word.key in keys) / total if total else 0.0


def _misplaced(claimed: Sequence[Word], stretches: Sequence[_Stretch]) -> bool:
    """Whether a number of the claim stands there only with other units, or only among other words."""
    for place, word in enumerate(claimed):
        if word.kind != "number":
            continue
        around = _neighbours(claimed, place)
        occurrences = [
            (other, _neighbours(stretch.words, at))
            for stretch in stretches
            for at, other in enumerate(stretch.words)
            if other.kind == "number" and other.key == word.key
        ]
        if occurrences and not any(
            (not word.unit or other.unit in ("", word.unit)) and (not around or around & nearby)
            for other, nearby in occurrences
        ):
            return True
    return False


def _neighbours(words: Sequence[Word], place: int) -> set[str]:
    near = [*words[max(0, place - _NEAR) : place], *words[place + 1 : place + 1 + _NEAR]]
    # Its unit stands beside any number of that kind, and tells nothing.
    return {word.key for word in near if not word.key.startswith("unit ")}


def _other_number(lost: Sequence[Word], found: Sequence[Word]) -> bool:
    """Whether the stretch has a number where the claim has another one."""
    units = {word.unit for word in found if word.kind == "number"}
    if not lost:
        return bool(units)
    return any(word.kind == "number" and word.unit in units for word in lost)


def _negations(words: Sequence[Word]) -> int:
    return sum(word.kind == "negation" for word in words)


def _negated_otherwise(claimed: Sequence[Word], words: Sequence[Word]) -> bool:
    """Whether the claim denies what the stretch states, or states what it denies."""
    said, there = _negations(claimed), _negations(words)
    if not said:
        return there > 0 and _negations(_around(words, claimed, before=1, after=0)) > 0
    return said != there and not _negations(_around(words, claimed, before=2, after=2))


def _around(words: Sequence[Word], claimed: Sequence[Word], *, before: int, after: int) -> Sequence[Word]:
    """The closest run of words that holds those of the claim, with so many before and after it."""
    wanted = {word.key for word in claimed if word.kind != "negation"} & {word.key for word in words}
    best: tuple[int, int] | None = None
    last: dict[str, int] = {}
    for place, word in enumerate(words):
        if word.key in wanted:
            last[word.key] = place
            if len(last) == len(wanted):
                first = min(last.values())
                if best is None or place - first < best[1] - best[0]:
                    best = first, place
    return words[max(0, best[0] - before) : best[1] + 1 + after] if best else ()


def _closest(said: str, passage: Passage, usual: str) -> _Stretch:
    """The stretch of the passage with the most of the claim's words; the shorter one where two are alike.

    `usual` is the language of a passage too short to tell its own.
    """
    language = _language(passage.text) or usual
    claimed = read_words(said, language)
    parts = _parts(passage.text, language)
    best = _Stretch(passage, language, 0, len(passage.text), (), 0.0)
    best_value = -1.0
    for first, last in _runs(parts):
        words = tuple(word for part in parts[first : last + 1] for word in part.words)
        coverage = _coverage(claimed, {word.key for word in words})
        value = coverage - _PRICE_OF_LENGTH * (last - first)
        if value > best_value:
            start, end = parts[first].start, parts[last].end
            best = _Stretch(passage, language, start, end, words, coverage)
            best_value = value
    return best


def _runs(parts: Sequence[_Part]) -> Iterator[tuple[int, int]]:
    for first in range(len(parts)):
        for last in range(first, min(first + _LONGEST_STRETCH, len(parts))):
            if last > first and parts[last].own_subject:
                break
            yield first, last


@lru_cache(maxsize=256)
def _parts(text: str, language: str) -> tuple[_Part, ...]:
    spans = [span for sentence in split(text) for span in _unglued(text, sentence.start, sentence.end)]
    names = {word.key for word in read_words(text, language) if word.kind == "name"}
    parts = []
    for start, end in spans:
        words = read_words(text[start:end], language)
        parts.append(_Part(start, end, words, _opens_with_name(text[start:end], words, names)))
    return tuple(parts)


def _opens_with_name(text: str, words: Sequence[Word], names: set[str]) -> bool:
    """Whether its first word is known for a name, or the second has a capital as well."""
    opening = re.match(r"\W*([^\W\d_]\w*)\W+([^\W\d_]\w*)", text)
    if opening is None or not opening[1][0].isupper():
        return False
    known = bool(words) and words[0].start == opening.start(1) and words[0].key in names
    return known or opening[2][0].isupper()


def _unglued(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentence in two where the space between two sentences was lost, as it is in many a PDF."""
    for match in _LOST_SPACE.finditer(text, start, end):
        yield start, match.start()
        start = match.start()
    yield start, end


def _usual_language(text: str, passages: Sequence[Passage]) -> str:
    return _language("\n".join([text, *(passage.text for passage in passages)]))


@lru_cache(maxsize=256)
def _language(text: str) -> str:
    return language_of(text)


def _citation(stretch: _Stretch) -> Citation:
    passage = stretch.passage
    return Citation(
        marker=passage.marker,
        passage_id=passage.passage_id,
        document=passage.document,
        quote=passage.text[stretch.start : stretch.end],
        start=stretch.start,
        end=stretch.end,
        source_uri=passage.source_uri,
    )
