"""Reads the data that a prompt carries in tags, whatever the words around them are.

The tags hold XML-escaped text: `<request><subject/><text/></request>`, `<passages><passage marker="1"
document="…"/></passages>`, `<draft/>` and `<feedback/>`. The last one of each counts, so that examples
further up are no data.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*\"([^\"]*)\"|([\w-]+)\s*=\s*'([^']*)'")
_PASSAGE = re.compile(r"<passage\b([^>]*)>(.*?)</passage>", re.DOTALL)
_SENTENCE = re.compile(r"<sentence\b([^>]*)>(.*?)</sentence>", re.DOTALL)
_NUMBERED = re.compile(r"^\s*(?:\[(\d+)\]|\(?(\d+)[.):])\s+(.*\S)\s*$")
_MARKERS = re.compile(r"\s*\[(\d+(?:\s*,\s*\d+)*)\]")
_TAG = re.compile(r"</?\w[^>]*>")


@dataclass(frozen=True)
class Passage:
    """A passage to answer from; `marker` is the number it is cited by."""

    marker: int
    text: str
    document: str = ""


@dataclass(frozen=True)
class DraftSentence:
    """A numbered sentence of a draft that is to be reviewed."""

    number: int
    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True)
class Prompt:
    """What a conversation asks for. Empty where it carries nothing of the kind."""

    subject: str
    text: str
    passages: tuple[Passage, ...]
    draft: tuple[DraftSentence, ...]
    feedback: str

    @property
    def request(self) -> str:
        """Subject and text as one."""
        return f"{self.subject}\n\n{self.text}".strip()


def read_prompt(params: Mapping[str, Any]) -> Prompt:
    """The data of a Converse request. A prompt without tags is all text."""
    texts = [text for message in params.get("messages", ()) for text in _texts(message["content"])]
    request = _last(texts, "request")
    if request is None:
        own = [text for message in params.get("messages", ()) for text in _own_texts(message)]
        subject, text = "", _untagged(own[-1]) if own else ""
    else:
        subject = _plain(_inside(request, "subject") or "")
        text = _plain(_inside(request, "text") or ("" if "<subject>" in request else request))
    passages = list(_passages(_last(texts, "passages") or ""))
    if not passages:
        passages = list(_results(params))
    return Prompt(
        subject=subject,
        text=text,
        passages=tuple(passages),
        draft=tuple(_draft(_last(texts, "draft") or "")),
        feedback=_plain(_last(texts, "feedback") or ""),
    )


def without_markers(text: str) -> tuple[str, tuple[int, ...]]:
    """A text without its `[1]` or `[1, 2]` markers, and the numbers they held."""
    numbers = [int(number) for group in _MARKERS.findall(text) for number in re.findall(r"\d+", group)]
    return _MARKERS.sub("", text).strip(), tuple(dict.fromkeys(numbers))


def _texts(content: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for block in content:
        if "text" in block:
            yield block["text"]
        elif "text" in block.get("guardContent", {}):
            yield block["guardContent"]["text"]["text"]


def _own_texts(message: Mapping[str, Any]) -> Iterator[str]:
    if message["role"] == "user":
        yield from _texts(message["content"])


def _results(params: Mapping[str, Any]) -> Iterator[Passage]:
    """What tools brought, as passages: an agent's loop has no tags for it."""
    marker = 0
    for message in params.get("messages", ()):
        for block in message["content"]:
            for part in block.get("toolResult", {}).get("content", ()):
                marker += 1
                text = part["text"] if "text" in part else "\n".join(_strings(part.get("json")))
                yield Passage(marker, text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _last(texts: Sequence[str], tag: str) -> str | None:
    for text in reversed(texts):
        found = re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", text, re.DOTALL)
        if found:
            return str(found[-1])
    return None


def _inside(text: str, tag: str) -> str | None:
    return _last([text], tag)


def _plain(text: str) -> str:
    return unescape(text).strip()


def _untagged(text: str) -> str:
    """A prompt's text without the data in its tags."""
    for tag in ("passages", "draft", "feedback"):
        text = re.sub(rf"<{tag}(?:\s[^>]*)?>.*?</{tag}>", " ", text, flags=re.DOTALL)
    return _plain(_TAG.sub(" ", text))


def _attributes(text: str) -> dict[str, str]:
    return {
        name or other: unescape(value or single) for name, value, other, single in _ATTRIBUTE.findall(text)
    }


def _passages(text: str) -> Iterator[Passage]:
    for index, (tag, body) in enumerate(_PASSAGE.findall(text), 1):
        attributes = _attributes(tag)
        marker = attributes.get("marker", "")
        yield Passage(
            int(marker) if marker.isdecimal() else index, _plain(body), attributes.get("document", "")
        )


def _draft(text: str) -> Iterator[DraftSentence]:
    """Sentences as `<sentence number= citations=>` elements, as numbered lines with markers, or as JSON."""
    elements = _SENTENCE.findall(text)
    if elements:
        for index, (tag, body) in enumerate(elements, 1):
            attributes = _attributes(tag)
            words, cited = without_markers(_plain(body))
            named = attributes.get("citations") or attributes.get("markers") or ""
            cited = cited or tuple(int(number) for number in re.findall(r"\d+", named))
            number = attributes.get("number") or attributes.get("n") or ""
            yield DraftSentence(int(number) if number.isdecimal() else index, words, cited)
        return
    plain = _plain(text)
    if plain.startswith("{"):
        yield from _json_draft(plain)
        return
    for index, line in enumerate((line for line in plain.splitlines() if line.strip()), 1):
        match = _NUMBERED.match(line)
        words, cited = without_markers(match[3] if match else line)
        yield DraftSentence(int(match[1] or match[2]) if match else index, words, cited)


def _json_draft(text: str) -> Iterator[DraftSentence]:
    try:
        sentences = json.loads(text)["sentences"]
        for index, sentence in enumerate(sentences, 1):
            yield DraftSentence(index, str(sentence["text"]), tuple(sentence.get("citations", ())))
    except (ValueError, KeyError, TypeError, AttributeError):
        return
