"""A text as the words that grounding compares: stems, numbers with their units, names, negations.

    "They aren't kept for 1,000 hours."  ->  not, kept, 1000 (hour)

Languages with a list of function words are told by it, and stemmed by Snowball; any other text is compared
word by word, and scripts without spaces by pairs of characters.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import Stemmer

from countersign_knowledge.function_words import FUNCTION_WORDS, MONTHS, NEGATIONS, NUMBER_WORDS, UNITS

Kind = Literal["word", "name", "number", "negation"]

_UNSPACED = r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_TOKEN = re.compile(
    r"\d{4}-\d{2}-\d{2}(?!\d)"  # a date in ISO 8601
    r"|\d+(?:[.:]\d+){2,}|\d+:\d+"  # a version, an address, a time
    r"|\d{1,3}(?:[.,'’\u202f\u00a0]\d{3})+(?!\d)(?:[.,]\d+)?|\d+[.,]\d+"
    r"|\d+(?:st|nd|rd|th)?(?![a-zA-Z_\u00c0-\u024f])"
    rf"|{_UNSPACED}+"
    r"|[^\W_](?:\w|[-'’](?=[^\W\d_]))*"
    r"|[%€$£¥°]"
)
_CURRENCY = "$€£¥"
_THOUSANDS = re.compile(r"\d{1,3}([.,'’\u202f\u00a0])\d{3}(?:\1\d{3})*")
_SNOWBALL = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
}
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Word:
    """One word that carries meaning. `key` is what is compared; `unit` belongs to a number, "" without one.

    Names are words that a text with capitals writes with one inside a sentence, and identifiers: letters with
    digits or underscores, capitals only, capitals inside.
    """

    key: str
    kind: Kind
    start: int
    end: int
    unit: str = ""


def language_of(text: str) -> str:
    """The code of the language whose function words are the most frequent; "" where there are none."""
    words = [match[0].casefold() for match in re.finditer(r"[^\W\d_]+", text)]
    counts = {code: sum(word in known for word in words) for code, known in FUNCTION_WORDS.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] else ""


@lru_cache(maxsize=512)
def read_words(text: str, language: str) -> tuple[Word, ...]:
    """The words of `text` in their order, function words left out. Offsets count characters of `text`."""
    found = [word for match in _TOKEN.finditer(text) for word in _words(text, match, language)]
    return tuple(_with_units(found))


def _words(text: str, match: re.Match[str], language: str) -> Iterator[Word]:
    raw, start, end = match[0], match.start(), match.end()
    if raw[0].isdigit():
        yield from _numbers(raw, start, end)
        return
    folded = unicodedata.normalize("NFKC", raw).casefold().replace("’", "'")
    if raw in "%€$£¥°":
        yield Word(raw, "word", start, end)
    elif re.match(_UNSPACED, raw):
        yield from _pairs(raw, start)
    elif folded in NEGATIONS or folded.endswith("n't"):
        yield Word("not", "negation", start, end)
    elif folded in MONTHS and (folded != "may" or raw == "May"):
        yield Word(f"month {MONTHS[folded]}", "word", start, end)
    elif folded in NUMBER_WORDS:
        yield Word(NUMBER_WORDS[folded], "number", start, end)
    elif folded not in FUNCTION_WORDS.get(language, frozenset()):
        yield from _parts(text, raw, start, language)


def _parts(text: str, raw: str, start: int, language: str) -> Iterator[Word]:
    """The parts of a word with hyphens, each a word of its own; possessives lose their ending."""
    for part in re.finditer(r"[^-]+", raw):
        word = re.sub(r"['’]s?$", "", part[0])
        if not word:
            continue
        place = start + part.start()
        folded = unicodedata.normalize("NFKC", word).casefold()
        if _is_identifier(word):
            yield Word(folded, "name", place, place + len(word))
            continue
        if part.start() and folded in FUNCTION_WORDS.get(language, frozenset()):
            continue
        # German writes every noun with a capital: there it tells nothing.
        named = word[0].isupper() and language != "de" and not _opens_sentence(text, place)
        yield Word(_stem(folded, language), "name" if named else "word", place, place + len(word))


def _is_identifier(word: str) -> bool:
    return (
        "_" in word
        or any(char.isdigit() for char in word)
        or (len(word) > 1 and word.isupper())
        or any(before.islower() and after.isupper() for before, after in pairwise(word))
    )


def _opens_sentence(text: str, place: int) -> bool:
    before = text[:place].rstrip(" \t\"'“„‘«([*_`")
    return not before or before[-1] in ".!?:…\n•>|"


def _numbers(raw: str, start: int, end: int) -> Iterator[Word]:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", raw):
        year, month, day = raw.split("-")
        yield Word(year, "number", start, start + 4)
        yield Word(f"month {int(month)}", "word", start + 5, start + 7)
        yield Word(str(int(day)), "number", start + 8, end)
        return
    number = re.match(r"[\d.,:'’\u202f\u00a0]+", raw)
    digits = number[0].rstrip(".,:'’") if number else raw
    rest = raw[len(digits) :]
    yield Word(_value(digits), "number", start, start + len(digits))
    if rest and rest not in ("st", "nd", "rd", "th"):
        yield Word(rest.casefold(), "word", start + len(digits), end)


def _value(digits: str) -> str:
    if ":" in digits or (digits.count(".") > 1 and not _THOUSANDS.fullmatch(digits)):
        return digits
    whole = _THOUSANDS.match(digits)
    if whole:
        rest = digits[whole.end() :].replace(",", ".")
        digits = re.sub(r"\D", "", whole[0]) + rest
    digits = digits.replace(",", ".")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return digits.lstrip("0") or "0"


def _with_units(found: list[Word]) -> Iterator[Word]:
    """Gives each number its unit, and each unit beside a number one name. A currency's sign comes first."""
    units: dict[int, str] = {}
    for place, word in enumerate(found):
        if word.kind != "number":
            continue
        before = [place - 1] if place and found[place - 1].key in _CURRENCY else []
        for near in [*before, place + 1, place + 2]:
            if near >= len(found) or found[near].kind == "number":
                break
            unit = UNITS.get(found[near].key)
            if unit:
                units[place] = units[near] = unit
                break
    for place, word in enumerate(found):
        if place not in units:
            yield word
        elif word.kind == "number":
            yield replace(word, unit=units[place])
        else:
            yield replace(word, key=f"unit {units[place]}")


def _pairs(raw: str, start: int) -> Iterator[Word]:
    if len(raw) == 1:
        yield Word(raw, "word", start, start + 1)
    for place in range(len(raw) - 1):
        yield Word(raw[place : place + 2], "word", start + place, start + place + 2)


def _stem(word: str, language: str) -> str:
    name = _SNOWBALL.get(language)
    return str(_stemmer(name).stemWord(word)) if name else word


def _stemmer(name: str) -> Stemmer.Stemmer:
    # A stemmer keeps state between calls, so each thread has its own.
    stemmers: dict[str, Stemmer.Stemmer] = getattr(_local, "stemmers", {})
    _local.stemmers = stemmers
    if name not in stemmers:
        stemmers[name] = Stemmer.Stemmer(name)
    return stemmers[name]
