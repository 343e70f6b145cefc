"""How much of a request a model reads, and what the guardrail therefore has to see: the same characters."""

import unicodedata

from countersign.models import Request

LONGEST_SUBJECT = 900
LONGEST_TEXT = 24_000
"""Characters. A guardrail takes 25,000 in a call; a case file keeps all of what came in."""


def is_blank(text: str | None) -> bool:
    """Whether a reader would see nothing: white space, controls and invisible characters alone."""
    return all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in text or "")


def asked(request: Request) -> tuple[str, str]:
    """The subject and the text of a request in their bounded length."""
    return excerpt(request.subject, LONGEST_SUBJECT), excerpt(request.text, LONGEST_TEXT)


def excerpt(text: str, limit: int) -> str:
    """The text, or its beginning and its end with a note of how much was left out between them."""
    if len(text) <= limit:
        return text
    head, tail = text[: limit * 3 // 4], text[len(text) - limit // 4 :]
    return f"{head}\n[… {len(text) - len(head) - len(tail)} characters left out …]\n{tail}"
