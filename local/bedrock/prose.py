"""Takes markdown apart into sentences that can stand in a letter."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from local.bedrock.words import stems

_LONGEST_JOINED_LIST = 280
_SHORTEST_SENTENCE = 3
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)\s*$")
_ITEM = re.compile(r"^(\s*)(?:[-*+]|\d{1,3}[.)])\s+(.*)$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|cf|Mr|Mrs|Ms|Dr|St|No|Fig|resp|ca|Inc|Ltd)|\b[A-Z])\.$", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"""(?<=[.!?])["')\]*_]{0,3}\s+(?=["'(\[`*_]{0,3}[A-Z0-9`])""")
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])")
_AUTOLINK = re.compile(r"<(https?://[^>\s]+)>")
_HTML = re.compile(r"</?[a-zA-Z][^>]*>|<!--.*?-->", re.DOTALL)
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+.!|>-])")
_LEANING = re.compile(
    r"^(?:it|its|this|that|these|those|they|their|he|she|otherwise|however|then|but|and|so|also|both|instead|"
    r"therefore|such|there|in that case|the same|the former|the latter|again|only then)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A sentence in plain words.

    `heading` is the path of headings above it; `paragraph` numbers the paragraph or list item it stands in;
    `leaning` says that it needs the sentence before it ("It also …").
    """

    text: str
    heading: str
    paragraph: int
    leaning: bool

    @property
    def stems(self) -> frozenset[str]:
        """Its own words."""
        return frozenset(stems(self.text))


@lru_cache(maxsize=2048)
def sentences(markdown: str) -> tuple[Sentence, ...]:
    """The sentences of a text, in order. Headings, code blocks and tables' rules are none."""
    found = []
    for number, (heading, kind, text) in enumerate(_blocks(markdown)):
        if text.endswith(":"):
            continue  # introduces a list or a code block that can't come along
        for index, sentence in enumerate(split(text) if kind != "joined" else [text]):
            clean = _finished(sentence)
            if len(clean.split()) >= _SHORTEST_SENTENCE:
                leaning = index > 0 and _LEANING.match(clean) is not None
                found.append(Sentence(clean, heading, number, leaning))
    return tuple(found)


def split(text: str) -> list[str]:
    """The sentences of one line of prose."""
    pieces: list[str] = []
    for piece in _SENTENCE_END.split(text):
        if pieces and _ABBREVIATION.search(pieces[-1]):
            pieces[-1] += " " + piece
        else:
            pieces.append(piece)
    return [piece.strip() for piece in pieces if piece.strip()]


def plain(text: str) -> str:
    """A line without markdown's signs; code keeps its backticks, which show where it ends."""
    parts = re.split(r"(`+[^`]*`+)", text)
    for index in range(0, len(parts), 2):
        part = _IMAGE.sub(r"\1", parts[index])
        part = _LINK.sub(r"\1", part)
        part = _AUTOLINK.sub(r"\1", part)
        part = _HTML.sub("", part)
        part = _STRONG.sub(r"\2", part)
        part = _EMPHASIS.sub(lambda match: match[1] or match[2], part)
        parts[index] = _ESCAPE.sub(r"\1", part)
    # Links and emphasis may enclose code, and are then cut in two by the split above.
    whole = _LINK.sub(r"\1", "".join(parts))
    whole = _STRONG.sub(r"\2", whole)
    return re.sub(r"\s+", " ", whole).strip()


def _blocks(markdown: str) -> Iterator[tuple[str, str, str]]:
    """Paragraphs and list items as (heading path, kind, plain text)."""
    headings: list[tuple[int, str]] = []
    pending: list[tuple[str, str, str]] = []
    for kind, level, text in _raw_blocks(markdown):
        clean = plain(text)
        if kind == "heading":
            yield from _listed(pending)
            pending = []
            headings = [*((depth, title) for depth, title in headings if depth < level), (level, clean)]
            continue
        path = " > ".join(title for _, title in headings)
        if kind != "item":
            yield from _listed(pending)
            pending = []
        pending.append((path, kind, clean))
    yield from _listed(pending)


def _listed(blocks: list[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """A paragraph and the list under it; a short list becomes one sentence with what introduces it."""
    if len(blocks) > 1 and blocks[0][1] == "text" and blocks[0][2].endswith(":"):
        path, _, lead = blocks[0]
        items = [text.rstrip(".;,") for _, _, text in blocks[1:]]
        joined = f"{lead} {'; '.join(items)}."
        whole = all(len(split(item)) == 1 for item in items)
        if whole and len(joined) <= _LONGEST_JOINED_LIST:
            *before, lead = split(lead)
            for sentence in before:
                yield path, "text", sentence
            yield path, "joined", f"{lead} {'; '.join(items)}."
            return
    yield from blocks


def _raw_blocks(markdown: str) -> Iterator[tuple[str, int, str]]:
    """(kind, heading level, text): kind is heading, text or item. Code and front matter are left out."""
    kind, fence = "text", ""
    lines: list[str] = []
    source = _without_front_matter(markdown).splitlines()
    for line, following in zip(source, [*source[1:], ""], strict=True):
        if fence:
            fence = "" if line.strip().startswith(fence) else fence
            continue
        marks = _FENCE.match(line)
        heading, item = _HEADING.match(line), _ITEM.match(line)
        table = line.lstrip().startswith("|")
        underlined = bool(lines) and kind == "text" and _UNDERLINE.match(line) is not None
        if underlined and len(lines) == 1:
            yield "heading", 1 if "=" in line else 2, lines[0]
            lines = []
            continue
        if (marks or heading or item or table or not line.strip()) and lines:
            yield kind, 0, " ".join(lines)
            kind, lines = "text", []
        if marks:
            fence = marks[1]
        elif heading:
            yield "heading", len(heading[1]), heading[2]
        elif item:
            kind, lines = "item", [item[2]]
        elif table:
            if not _TABLE_RULE.match(line) and not _TABLE_RULE.match(following):  # the rule is under the head
                yield "item", 0, _row(line)
        elif line.strip() and not _UNDERLINE.match(line):
            lines.append(line.strip().lstrip(">").strip())
    if lines:
        yield kind, 0, " ".join(lines)


def _row(line: str) -> str:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
    first, *rest = [cell for cell in cells if cell] or [""]
    return f"{first}: {', '.join(rest)}" if rest else first


def _without_front_matter(markdown: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL)


def _finished(sentence: str) -> str:
    """With a capital at the start and a full stop at the end."""
    text = sentence.strip().rstrip(",;")
    if not text:
        return ""
    if text.split()[0].strip(",;:.").isalpha():  # a name such as max_size or example.org keeps its spelling
        text = text[0].upper() + text[1:]
    if text.rstrip("\"')]*`")[-1:] not in (".", "!", "?", "…"):
        text += "."
    return text
