"""Words as the stand-ins compare them: folded, stemmed, and without the ones that carry no meaning."""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from math import log

import Stemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STOPWORDS = frozenset(
    _WORD.findall(
        """
        a about above after again all also am an and answer any anybody anyone anything anyway are
        arent as at be because been before being below best between both but by can cannot cant
        cheers could dear did didnt do does doesnt doing done dont down during each either else ever
        every everyone explain few for from further get gets getting give go goes going got had
        happen happened happening happens has have having he hello help her here hers hi him his how
        i id if im in into is isnt it its itself ive just kind kindly know let like may me might
        mine more most much must my myself need needs no nobody none nor not now of off ok on once
        one only or other our ours out over own please possible question questions quite really
        regards same say see shall she should so some somebody someone something still such team
        tell than thank thanks that thats the their theirs them then there theres these they thing
        things this those through to too tried try trying under until up upon us very want wants was
        wasnt way we were what whatever whats when where whether which while who whom whose why will
        wish with wonder wont work working works would yes you your youre yours
        """
    )
)
_local = threading.local()


def stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in their order."""
    return list(_stems(text))


@lru_cache(maxsize=2048)
def _stems(text: str) -> tuple[str, ...]:
    words = [word.replace("’", "'").removesuffix("'s").replace("'", "") for word in all_words(text)]
    return tuple(_stemmer().stemWords([word for word in words if word and word not in _STOPWORDS]))


def all_words(text: str) -> list[str]:
    """Every word, folded, none left out."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class Weights:
    """How much each stem tells documents apart: one plus Lucene's inverse document frequency.

    A stem that no document has weighs the most. The one keeps few documents from saying that a word which all
    of them have means nothing.
    """

    def __init__(self, documents: Iterable[Iterable[str]]) -> None:
        self._count = 0
        self._frequency: Counter[str] = Counter()
        for document in documents:
            self._count += 1
            self._frequency.update(set(document))

    def __getitem__(self, stem: str) -> float:
        frequency = self._frequency[stem]
        return 1 + log(1 + (self._count - frequency + 0.5) / (frequency + 0.5))

    def total(self, stems: Iterable[str]) -> float:
        """The weight of a set of stems."""
        return sum(self[stem] for stem in stems)


def _stemmer() -> Stemmer.Stemmer:
    # A stemmer keeps state between calls, so each thread has its own.
    stemmer: Stemmer.Stemmer | None = getattr(_local, "stemmer", None)
    if stemmer is None:
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    return stemmer
