"""A model's text made inert: what a person reads is all there is, and nothing in it acts by itself.

Where the reply ends up is not known here (a Markdown comment, a mail, a page), so nothing that Markdown or
HTML would act on is left as such:

    invisible characters    dropped: zero width, direction overrides, tags, variation selectors, control
    images                  never load: what stands for them stays, the address goes
    links                   stay where the evidence or the request has exactly this address; else the address
                            goes, as it may carry what was read, and a note names its host
    HTML                    stays to be read, as code
    @mentions               stay to be read, as code: they call nobody

Code is understood line by line, as Markdown does, and what looks like code to one reader only is none.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

_ANGLED = re.compile(r"<((?:[a-z][a-z0-9+.-]*:)[^<>\s]*)>", re.IGNORECASE)
_URL = re.compile(r"(?:\b[a-z][a-z0-9+.-]*://|\bwww\.)[^\s<>\"`|\\^{}\[\]]+", re.IGNORECASE)
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<label>[^\[\]]{0,500})\]"
    r"(?:\(\s*<?(?P<address>[^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s[^()]*)?\)|\[[^\[\]\d][^\[\]]{0,200}\])"
)
_FENCE = re.compile(r" {0,3}(?P<run>`{3,}(?=[^`]*$)|~{3,})")
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?:[^<>`\n]*>)?")
_MENTION = re.compile(r"(?<![\w/.@`+-])@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:/[\w.-]*\w)?(?![\w@])")
_BACKTICKS = re.compile(r"`+")
_HALF_LINKS = ("](", "]:", "![")
_TRAILING = ".,;:!?'\")]}*_~"
_LABELS_DEEP = 4
_PASSES = 6

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_KEPT_FORMATS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_JOINER = re.compile(r"(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
_EMOJI_STYLE = re.compile(r"(?<=[\u203c-\u3299\U0001f000-\U0001faff])\ufe0f")
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MARKS_IN_A_ROW = 4


def visible(text: str) -> str:
    """The text without characters that no reader sees; joiners stay where a script or an emoji needs them."""
    kept = {match.start() for pattern in (_JOINER, _EMOJI_STYLE) for match in pattern.finditer(text)}
    shown, marks = [], 0
    for place, char in enumerate(text):
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if place in kept or char in "\n\t" or char in _KEPT_FORMATS:
            shown.append(char)
        elif category in _UNSEEN or _BLANKS.match(char) or marks > _MARKS_IN_A_ROW:
            continue
        else:
            shown.append(char)
    return "".join(shown)


def addresses(texts: Iterable[str]) -> frozenset[str]:
    """The addresses that stand in the texts, in one spelling."""
    return frozenset(_spelled(_trimmed(match[0])) for text in texts for match in _URL.finditer(text))


def inert(text: str, allowed: frozenset[str] = frozenset(), mentioned: frozenset[str] = frozenset()) -> str:
    """The text as it may be shown and sent: what is shown is what is sent.

    `allowed` are addresses as `addresses` gives them, `mentioned` are names that may be called by `@`.
    """
    # What one pass takes away may let what stood beside it act: a mention behind a lone backtick does.
    for _ in range(_PASSES):
        before, text = text, _pass(text, allowed, mentioned)
        if text == before:
            break
    return text


def _pass(text: str, allowed: frozenset[str], mentioned: frozenset[str]) -> str:
    text = _without_addresses(visible(text.replace("\r\n", "\n")), allowed)
    lines, fence = [], ""
    for line in text.split("\n"):
        opening = _FENCE.match(line)
        if fence:
            lines.append(line)
            if opening and opening["run"].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif opening:
            fence = opening["run"]
            lines.append(line)
        else:
            lines.append("".join(_line(line, mentioned)))
    if fence:
        lines.append(fence)
    return "\n".join(lines)


def _without_addresses(text: str, allowed: frozenset[str]) -> str:
    """Labels in the place of links and images, a note in the place of every address that is not allowed."""

    def link(match: re.Match[str]) -> str:
        address, label = match["address"], match["label"]
        if not address or not _leads_elsewhere(address):
            return label
        if not match["image"] and _spelled(address) in allowed:
            return f"{label} ({address})" if label != address else address
        return f"{label} {_note(address)}".strip()

    def bare(match: re.Match[str]) -> str:
        address = _trimmed(match[0])
        if _spelled(address) in allowed:
            return match[0]
        return _note(address) + match[0][len(address) :]

    text = _ANGLED.sub(r"\1", text)
    for _ in range(_LABELS_DEEP):
        text, count = _LINK.subn(link, text)
        if not count:
            break
    return _URL.sub(bare, text)


def _leads_elsewhere(address: str) -> bool:
    """Whether it names a host or a scheme; a path alone leads to a place that the reader does not have."""
    return ":" in address or address.startswith("//")


def _line(line: str, mentioned: frozenset[str]) -> Iterator[str]:
    """A line outside a fence. Backticks without their like on the line are no code to anybody, so they go."""
    place = 0
    while place < len(line):
        run, tag, mention = (pattern.match(line, place) for pattern in (_BACKTICKS, _TAG, _MENTION))
        escaped = place > 0 and line[place - 1] == "\\"
        # A backtick of ours right behind a backslash would open no code, and what it encloses would act.
        apart = " " if escaped else ""
        if run:
            closing = re.compile(rf"(?<!`){run[0]}(?!`)").search(line, run.end())
            if closing and not escaped:
                text, end = line[place : closing.end()], closing.end()
            else:
                text, end = "'" * len(run[0]), run.end()
        elif tag:
            text, end = f"{apart}`{tag[0]}`", tag.end()
        elif mention and mention[0][1:].casefold() not in mentioned:
            text, end = f"{apart}`{mention[0]}`", mention.end()
        elif line.startswith(_HALF_LINKS, place):
            # What is left of a link: a definition, or one that only some readers see.
            text, end = f"{line[place]} ", place + 1
        else:
            text, end = line[place], place + 1
        # Two runs of backticks that touch would be read as one longer run.
        touches = text.endswith("`") and line[end : end + 1] in ("`", "<", "@")
        yield f"{text} " if touches else text
        place = end


def _note(address: str) -> str:
    host = _host(address)
    return f"(link to {host.replace('.', '(.)')} removed)" if host else "(link removed)"


def _host(address: str) -> str:
    """The host in ASCII, "" where there is none or none that can be shown."""
    if "//" not in address and not address.lower().startswith("www."):
        return ""
    try:
        host = urlsplit(address if "//" in address else f"//{address}").hostname or ""
        host = host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return ""
    return host if re.fullmatch(r"[\w.-]+", host) else ""


def _spelled(address: str) -> str:
    """Scheme and host in lower case, `https://` for an address without one, no slash at the end."""
    whole = address if "://" in address else f"https://{address}"
    scheme, _, rest = whole.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")


def _trimmed(address: str) -> str:
    """Without the punctuation of the sentence around it; a closing bracket stays where it was opened."""
    while address and address[-1] in _TRAILING:
        if address[-1] == ")" and address.count("(") >= address.count(")"):
            break
        address = address[:-1]
    return address
