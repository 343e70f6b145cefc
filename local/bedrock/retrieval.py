"""The search inside of a local knowledge base: BM25 over stems."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy

from local.bedrock.words import Weights, stems

_CANDIDATES = 60
_K1 = 1.5
_B = 0.75


@dataclass(frozen=True)
class StoredPassage:
    """A passage of a knowledge base: its chunk id, text, document's URI and metadata."""

    chunk_id: str
    text: str
    uri: str
    metadata: Mapping[str, Any]


class PassageIndex:
    """Searches a fixed set of passages. Reading it is thread-safe."""

    def __init__(self, passages: Sequence[StoredPassage]) -> None:
        self.passages = tuple(passages)
        self._stems = [stems(passage.text) for passage in self.passages]
        self._weights = Weights(self._stems)
        self._mean_length = sum(map(len, self._stems)) / (len(self._stems) or 1) or 1.0
        self._bm25 = bm25s.BM25(method="lucene", k1=_K1, b=_B)
        self._searchable = any(self._stems)
        if self._searchable:
            self._bm25.index(self._stems, show_progress=False)

    def search(
        self, query: str, allowed: Callable[[Mapping[str, Any]], bool] = lambda _: True
    ) -> list[tuple[StoredPassage, float]]:
        """The passages that share words with the query, best first, with a score of 0 to 1.

        Only passages whose metadata are `allowed` take part. The score is a share of the query's weight (a
        word that no passage has weighs the most): a word that the passage holds counts half for being there
        and up to half for how often, with BM25's saturation and length. So it compares across queries, and
        a question that the corpus can't answer scores low.
        """
        wanted = list(dict.fromkeys(stems(query)))
        total = self._weights.total(wanted)
        if not wanted or not total or not self._searchable:
            return []
        mask = numpy.array([allowed(passage.metadata) for passage in self.passages], dtype=numpy.float32)
        known = [stem for stem in wanted if stem in self._bm25.vocab_dict]
        if not known or not mask.any():
            return []
        sums = self._bm25.get_scores(known, weight_mask=mask)
        best = numpy.argsort(-sums, kind="stable")[:_CANDIDATES]
        found = []
        for place in best:
            if sums[place] <= 0:
                break
            found.append((self.passages[place], self._share(wanted, place) / total))
        found.sort(key=lambda pair: -pair[1])
        return found

    def _share(self, wanted: Sequence[str], place: int) -> float:
        counts = Counter(self._stems[place])
        length = len(self._stems[place]) / self._mean_length
        stretch = _K1 * (1 - _B + _B * length)
        return sum(
            self._weights[stem] * (0.5 + 0.5 * counts[stem] / (counts[stem] + stretch))
            for stem in wanted
            if counts[stem]
        )


def relevance_scores(query: str, texts: Sequence[str]) -> list[float]:
    """How relevant each text is to the query, 0 to 1, as Rerank says it: weighed within the texts alone."""
    passages = [StoredPassage(str(place), text, "", {}) for place, text in enumerate(texts)]
    scores = dict.fromkeys(range(len(texts)), 0.0)
    for passage, score in PassageIndex(passages).search(query):
        scores[int(passage.chunk_id)] = score
    return [scores[place] for place in range(len(texts))]
