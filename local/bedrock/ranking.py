"""Chooses, among the sentences of passages, those that answer a question."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from local.bedrock.prompt import Passage
from local.bedrock.prose import Sentence, sentences, split
from local.bedrock.words import Weights, stems

RELEVANT = 0.45
"""The share of a question's weight that one passage must hold for the question to count as answerable."""

_SALUTATION = re.compile(
    r"^(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|thanks|thank you|cheers)\b", re.I
)
_HEADING_SHARE = 0.35
_NEIGHBOUR_SHARE = 0.15
_RANK_DISCOUNT = 0.06
_FLOOR = 0.45
_TYPICAL_LENGTH = 14


@dataclass(frozen=True)
class Chosen:
    """A sentence that was chosen, and the marker of the passage it stands in."""

    text: str
    marker: int


@dataclass(frozen=True)
class _Candidate:
    sentence: Sentence
    marker: int
    place: tuple[int, int]
    score: float


def questions(text: str) -> list[str]:
    """What a text asks: its questions, or else its sentences without salutations and thanks."""
    said = [sentence for line in text.splitlines() for sentence in split(line) if stems(sentence)]
    asked = [sentence for sentence in said if sentence.rstrip("\"')").endswith("?")]
    if asked:
        return asked
    return [sentence for sentence in said if not _SALUTATION.match(sentence)] or said


def relevance(question: str, passages: Sequence[Passage], weights: Weights | None = None) -> float:
    """The share of the question's weight that the best of the passages holds, 0 to 1."""
    wanted = set(stems(question))
    if not wanted or not passages:
        return 0.0
    held = [set(stems(passage.text)) | set(stems(passage.document)) for passage in passages]
    if weights is None:
        weights = Weights(held)
    total = weights.total(wanted)
    return max(weights.total(wanted & words) for words in held) / total if total else 0.0


def answerable(asked: str, subject: str, passages: Sequence[Passage]) -> bool:
    """Whether the passages hold enough of any question of a request."""
    singles = questions(asked) or [subject]
    best = max((relevance(question, passages) for question in singles), default=0.0)
    if best >= RELEVANT:
        return True
    # A question may lean on its subject line ("Webhook limits": "How large may it be?").
    return bool(subject) and max(relevance(f"{subject} {single}", passages) for single in singles) >= RELEVANT


def choose(
    asked: str,
    subject: str,
    passages: Sequence[Passage],
    *,
    limit: int,
    more_words: str = "",
    without: Iterable[str] = (),
) -> list[Chosen]:
    """At most `limit` sentences that answer, in the order of the passages; one at least if there is any.

    `more_words` weigh as much as the question; sentences with a word of `without` are left out.
    """
    found = _candidates(asked, subject, passages, more_words, set(without))
    ranked = sorted(found, key=lambda candidate: -candidate.score)
    if not ranked:
        return []
    taken: dict[tuple[int, int], _Candidate] = {}
    by_place = {candidate.place: candidate for candidate in found}
    for candidate in ranked:
        if len(taken) >= limit or candidate.score < _FLOOR * ranked[0].score:
            break
        if any(_repeats(candidate.sentence, other.sentence) for other in taken.values()):
            continue
        before = by_place.get((candidate.place[0], candidate.place[1] - 1))
        if candidate.sentence.leaning and before is not None and before.place not in taken:
            if len(taken) + 2 > limit:
                continue
            taken[before.place] = before
        taken[candidate.place] = candidate
    first = ranked[0].place[0]
    order = sorted(taken.values(), key=lambda each: (each.place[0] != first, each.place))
    return [Chosen(candidate.sentence.text, candidate.marker) for candidate in order]


def support(claim: str, evidence: str) -> float:
    """The share of a claim's words that the evidence has, 0 to 1; 1 for a claim without any."""
    wanted = set(stems(claim))
    if not wanted:
        return 1.0
    return len(wanted & set(stems(evidence))) / len(wanted)


def _candidates(
    asked: str, subject: str, passages: Sequence[Passage], more_words: str, without: set[str]
) -> list[_Candidate]:
    wanted = dict.fromkeys(stems(subject), 0.5)
    wanted |= dict.fromkeys((stem for question in questions(asked) for stem in stems(question)), 1.0)
    wanted |= dict.fromkeys(stems(more_words), 1.0)
    taken_apart = [(rank, passage, sentences(passage.text)) for rank, passage in enumerate(passages)]
    weights = Weights(sentence.stems for _, _, parts in taken_apart for sentence in parts)
    shares = _shares(wanted, passages)
    found = []
    for rank, passage, parts in taken_apart:
        for index, sentence in enumerate(parts):
            words = sentence.stems
            if words & without:
                continue
            heading = set(stems(sentence.heading))
            around = parts[index - 1].stems if index and sentence.leaning else frozenset()
            score = sum(
                share * weights[stem] * _presence(stem, words, heading, around)
                for stem, share in wanted.items()
            )
            score *= shares[rank] * (1 - _RANK_DISCOUNT * min(rank, 8)) / _length_penalty(len(words))
            if score > 0:
                found.append(_Candidate(sentence, passage.marker, (rank, index), score))
    return found


def _shares(wanted: Mapping[str, float], passages: Sequence[Passage]) -> list[float]:
    """For each passage one half, and up to one more half by how much of what is wanted it holds."""
    held = [set(stems(passage.text)) for passage in passages]
    weights = Weights(held)
    sums = [sum(share * weights[stem] for stem, share in wanted.items() if stem in words) for words in held]
    best = max(sums, default=0.0) or 1.0
    return [0.5 + 0.5 * each / best for each in sums]


def _presence(stem: str, words: frozenset[str], heading: set[str], around: frozenset[str]) -> float:
    if stem in words:
        return 1.0
    if stem in heading:
        return _HEADING_SHARE
    return _NEIGHBOUR_SHARE if stem in around else 0.0


def _length_penalty(words: int) -> float:
    """Long sentences hold more words by chance, very short ones say little."""
    if words < 4:
        return 1.3
    return sqrt(max(1.0, words / _TYPICAL_LENGTH))


def _repeats(one: Sentence, other: Sentence) -> bool:
    shared = len(one.stems & other.stems)
    return shared >= 0.8 * min(len(one.stems), len(other.stems))
