"""Turns a bucket's documents into passages: text of markdown, plain text and HTML, cut at its structure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import PurePosixPath

from local.bedrock.tokens import count_text

CHUNK_TOKENS = 300
"""About how long a passage becomes."""

_LARGEST_DOCUMENT = 50 * 1024 * 1024
_SMALLEST_CHUNK = 60
_MARKDOWN = frozenset({".md", ".markdown"})
_HTML = frozenset({".html", ".htm"})
_TEXT = frozenset({".txt"})
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+\S")
_FENCE = re.compile(r"^\s*(```|~~~)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Unreadable(ValueError):
    """A document that can't become text; the message says why."""


@dataclass(frozen=True)
class _Block:
    """A paragraph, list, table or code block with the heading lines above it."""

    headings: tuple[str, ...]
    text: str
    tokens: int


def read_text(key: str, content: bytes) -> str:
    """The text of a document, as markdown where it has headings. Raises Unreadable."""
    suffix = PurePosixPath(key).suffix.lower()
    if suffix not in _MARKDOWN | _HTML | _TEXT:
        raise Unreadable(f"the format {suffix or 'without a suffix'} is not supported")
    if len(content) > _LARGEST_DOCUMENT:
        raise Unreadable("it is larger than 50 MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise Unreadable("it is not UTF-8") from problem
    if suffix in _HTML:
        text = _html_text(text)
    text = text.replace("\r\n", "\n").replace("\x00", "").strip()
    if not text:
        raise Unreadable("it has no text")
    return text


def chunks(text: str) -> list[str]:
    """Passages of about CHUNK_TOKENS, each beginning with the headings it stands under.

    Small sections under one heading share a passage; a long block is cut between its lines or sentences.
    """
    found: list[str] = []
    pending: list[_Block] = []
    size = 0
    for block in _blocks(text):
        section_ends = bool(pending) and block.headings != pending[-1].headings
        other_topic = section_ends and block.headings[:1] != pending[-1].headings[:1]
        full = size + block.tokens > CHUNK_TOKENS
        if pending and (full or other_topic or (section_ends and size >= _SMALLEST_CHUNK * 2)):
            found.append(_joined(pending))
            pending, size = [], 0
        pending.append(block)
        size += block.tokens
    if pending:
        if found and size < _SMALLEST_CHUNK // 4 and not pending[0].headings:
            found[-1] += "\n\n" + _joined(pending)
        else:
            found.append(_joined(pending))
    return found


def _joined(blocks: list[_Block]) -> str:
    lines: list[str] = []
    above: tuple[str, ...] = ()
    for block in blocks:
        shared = 0
        while shared < min(len(above), len(block.headings)) and above[shared] == block.headings[shared]:
            shared += 1
        lines += [*block.headings[shared:], block.text]
        above = block.headings
    return "\n\n".join(lines)


def _blocks(text: str) -> Iterator[_Block]:
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""

    def done() -> Iterator[_Block]:
        whole = "\n".join(lines).strip("\n")
        lines.clear()
        if whole.strip():
            above = tuple(line for _, line in headings)
            for part in _cut(whole):
                yield _Block(above, part, count_text(part))

    for line in text.split("\n"):
        marks = _FENCE.match(line)
        if fence:
            lines.append(line)
            fence = "" if line.strip().startswith(fence) else fence
            continue
        if marks:
            fence = marks[1]
            lines.append(line)
            continue
        heading = _HEADING.match(line)
        if heading:
            yield from done()
            level = len(heading[1])
            headings = [
                *((depth, title) for depth, title in headings if depth < level),
                (level, line.strip()),
            ]
        elif not line.strip():
            yield from done()
        else:
            lines.append(line)
    yield from done()


def _cut(block: str) -> list[str]:
    """A block as it is, or in parts of at most CHUNK_TOKENS, cut between lines, sentences or words."""
    if count_text(block) <= CHUNK_TOKENS:
        return [block]
    for pattern, joint in ((re.compile("\n"), "\n"), (_SENTENCE, " "), (re.compile(r"\s+"), " ")):
        pieces = pattern.split(block)
        if len(pieces) > 1:
            return _packed(pieces, joint)
    half = len(block) // 2
    return [*_cut(block[:half]), *_cut(block[half:])]


def _packed(pieces: list[str], joint: str) -> list[str]:
    parts: list[str] = []
    size = CHUNK_TOKENS + 1
    for piece in pieces:
        tokens = count_text(piece)
        if tokens > CHUNK_TOKENS:
            parts += _cut(piece)
            size = CHUNK_TOKENS + 1
        elif size + tokens > CHUNK_TOKENS:
            parts.append(piece)
            size = tokens
        else:
            parts[-1] += joint + piece
            size += tokens
    return parts


class _HtmlText(HTMLParser):
    """Collects visible text; headings become markdown's, list items its items."""

    _BREAKS = frozenset(
        [
            "p",
            "div",
            "br",
            "tr",
            "section",
            "article",
            "header",
            "footer",
            "ul",
            "ol",
            "table",
            "blockquote",
            "pre",
        ]
    )
    _HIDDEN = frozenset(["script", "style", "head", "template", "noscript", "svg"])

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in self._HIDDEN:
            self._hidden += 1
        elif re.fullmatch("h[1-6]", tag):
            self.parts.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag in self._BREAKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in self._BREAKS or re.fullmatch("h[1-6]", tag):
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))


def _html_text(source: str) -> str:
    parser = _HtmlText()
    parser.feed(source)
    parser.close()
    lines = [line.strip() for line in "".join(parser.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
