"""Where the sentences of a text begin and end, and which passages they cite.

Rules rather than a model: a line that opens a list item, a heading, a table row or a paragraph opens a
sentence; a fenced block is one; else a sentence ends at its punctuation, unless that belongs to an
abbreviation, an initial, an ordinal, a number, a link or code. Scripts without spaces end at theirs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MARKER = r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\](?![(:\[]\s*[^\s\d])"
MARKERS = re.compile(rf"[ \t]*{_MARKER}")
_MARKER_RUN = rf"(?:[ \t]*{_MARKER})*"

_CLOSERS = r"[\"'”’»›)\]}*_`]"
_END = re.compile(
    rf"(?:(?P<wide>[。！？｡．؟۔।॥။።፧]+[」』）】”’\"')]*)|(?P<mark>[.!?…]+{_CLOSERS}*))(?P<cited>{_MARKER_RUN})"
)
_OPENERS = "\"'“‘«‹(¿¡*_`[„"

# What may hold full stops and brackets that mean nothing: code, links, addresses.
_OPAQUE = re.compile(
    r"`[^`\n]+`"
    r"|\[[^\]\n]*\]\([^)\s]*\)"
    r"|<https?://[^>\s]+>"
    r"|\b(?:https?|s3|ftp)://[^\s<>\"”」）。、]*[^\s<>\"”」）。、.,;:!?)\]]"
    r"|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
)
_FENCE = re.compile(r"^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_OPENS_BLOCK = re.compile(r"[ \t]*(?:#{1,6}[ \t]+|(?:[-*+•‣–]|\(?\d{1,3}[.)]|[a-z]\))[ \t]+|\||>[ \t]*)")
_ABBREVIATION = re.compile(
    r"""(?:^|[\s("'“‘«\[])(?:
        mr|mrs|ms|dr|prof|st|sr|jr|rev|hon|gen|col|capt|lt|sgt|messrs|mmes?|m
        |vs|cf|e\.?\ ?g|i\.?\ ?e|viz|approx|ca|incl|excl|esp|resp|max|min|avg|est|ref|fig|figs|eq|no|nos|nr
        |vol|ed|eds|pp|p|ch|sec|art|para|ext|tel|dept|univ|assn|bros
        |jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tue|wed|thu|fri|sat
        |z\.?\ ?b|d\.?\ ?h|u\.?\ ?a|o\.?\ ?ä|bzw|bspw|ggf|inkl|evtl|vgl|abs|str|hr|fr|usf|sog|zzgl|mind
        |p\.?\ ?ej|ej|sra?|srta|ud|uds|núm|pág|av|dña|etc(?=\.[ \t]+[a-zà-ÿ])
    )\.$""",
    re.IGNORECASE | re.VERBOSE,
)
_INITIAL = re.compile(r"(?:^|[\s(.])[^\W\d_]\.$")
_DOTTED = re.compile(r"(?:^|\s)(?:[^\W\d_]\.){2,}$")
_ORDINAL = re.compile(r"\b(?:am|der|den|dem|des|vom|zum|bis|ab|im|die|seit|und)\s+\d{1,2}\.$", re.IGNORECASE)
_STARTERS = frozenset(
    re.findall(
        r"\w+",
        """
        the this that these those it its they we you he she i a an in on at if when while after before for to
        by as there here however but and or also no not all each every both some only then once since
        """,
    )
)


@dataclass(frozen=True)
class Sentence:
    """`text[start:end]` without the markers that follow it; `markers` in their order, each once."""

    start: int
    end: int
    markers: tuple[int, ...] = ()


def split(text: str) -> list[Sentence]:
    """The sentences of `text` in their order. Offsets count characters; blank stretches belong to none."""
    opaque = _opaque(text)
    found: list[Sentence] = []
    for start, end, fenced in _blocks(text):
        spans = [(start, end)] if fenced else _within(text, start, end, opaque)
        for first, last in spans:
            sentence = _sentence(text, first, last, opaque)
            if sentence.end > sentence.start:
                found.append(sentence)
            elif sentence.markers and found:
                # A marker on its own, such as after a fenced block, belongs to what stands before it.
                before = found[-1]
                joined = tuple(dict.fromkeys((*before.markers, *sentence.markers)))
                found[-1] = Sentence(before.start, before.end, joined)
    return found


def cited(text: str, markers: Sequence[int]) -> str:
    """The text with `[1][2]` after each of its sentences; below a fenced block, which would swallow them."""
    if not markers:
        return text
    shown = "".join(f"[{marker}]" for marker in markers)
    for sentence in reversed(split(text)):
        said = text[sentence.start : sentence.end]
        if any(char.isalnum() for char in said):
            gap = "\n" if _FENCE.match(said) else " "
            text = f"{text[: sentence.end]}{gap}{shown}{text[sentence.end :]}"
    return text


def without_markers(text: str) -> tuple[str, tuple[int, ...]]:
    """A text without its `[1]` markers, and their numbers. Brackets in code and links are left alone."""
    opaque = _opaque(text)
    kept, numbers, place = [], list[int](), 0
    for match in MARKERS.finditer(text):
        if _inside(match.end() - 1, opaque):
            continue
        kept.append(text[place : match.start()])
        numbers += _numbers(match[0])
        place = match.end()
    kept.append(text[place:])
    return "".join(kept), tuple(dict.fromkeys(numbers))


def _sentence(text: str, start: int, end: int, opaque: list[tuple[int, int]]) -> Sentence:
    """The span without white space and closing markers; its markers are those anywhere in it."""
    markers = [
        number
        for match in MARKERS.finditer(text, start, end)
        if not _inside(match.end() - 1, opaque)
        for number in _numbers(match[0])
    ]
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        closing = re.search(rf"{_MARKER_RUN}\Z", text[start:end])
        if closing is None or not closing[0] or _inside(end - 1, opaque):
            break
        end -= len(closing[0])
    if end - start <= 2 and not any(char.isalnum() for char in text[start:end]):
        end = start
    return Sentence(start, end, tuple(dict.fromkeys(markers)))


def _numbers(markers: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", markers)]


def _opaque(text: str) -> list[tuple[int, int]]:
    spans = [match.span() for match in _FENCE.finditer(text)]
    spans += [match.span() for match in _OPAQUE.finditer(text)]
    return spans


def _inside(place: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in spans)


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Stretches that no sentence crosses: (start, end, whether it is a fenced block)."""
    place = 0
    for fence in _FENCE.finditer(text):
        yield from ((start, end, False) for start, end in _line_blocks(text, place, fence.start()))
        yield fence.start(), fence.end(), True
        place = fence.end()
    yield from ((start, end, False) for start, end in _line_blocks(text, place, len(text)))


def _line_blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    block = place = start
    heading = False
    for line in text[start:end].splitlines(keepends=True):
        if heading or not line.strip() or _OPENS_BLOCK.match(line):
            yield block, place
            block = place
        heading = line.lstrip().startswith("#")
        place += len(line)
    yield block, place


def _within(text: str, start: int, end: int, opaque: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    opening = _OPENS_BLOCK.match(text, start, end)
    search = opening.end() if opening else start
    for match in _END.finditer(text, search, end):
        if _inside(match.start(), opaque) and not _ends_opaque(match.start(), opaque):
            continue
        if match["wide"] or match["cited"] or _ends(text, match, start, end):
            yield start, match.end()
            start = match.end()
    yield start, end


def _ends_opaque(place: int, opaque: list[tuple[int, int]]) -> bool:
    return any(place == end for _, end in opaque)


def _ends(text: str, match: re.Match[str], start: int, end: int) -> bool:
    """Whether punctuation without a marker behind it ends the sentence."""
    rest = text[match.end() : end]
    if rest and not rest[0].isspace():
        return False
    following = rest.lstrip().lstrip(_OPENERS)
    if not following:
        return True
    if following[0].islower():
        return False
    if match["mark"][0] != ".":
        return True
    before = text[start : match.start() + 1]
    word = re.match(r"\w+", following)
    if _ABBREVIATION.search(before) or (_ORDINAL.search(before) and following[0].isupper()):
        return False
    if _DOTTED.search(before) or _INITIAL.search(before):
        # "the U.S. The rule" ends, "the U.S. Senate" does not.
        return word is not None and word[0].lower() in _STARTERS
    return True
