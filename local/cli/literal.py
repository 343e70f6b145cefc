"""Text from outside, as a terminal may show it: nothing in it moves the cursor, hides or reorders words."""

import unicodedata

_PICTURES = 0x2400
"""Where Unicode keeps pictures of the control characters 0 to 31."""
_JOINERS = "\u200c\u200d"


def literal(text: str) -> str:
    """The text with each control, format and private character as a visible label.

    Line feeds and tabs stay, and so do joiners after a letter that is not ASCII: scripts and emoji need them.
    """
    shown: list[str] = []
    for place, character in enumerate(text.replace("\r\n", "\n")):
        if _is_plain(character) or (character in _JOINERS and place and not shown[-1].isascii()):
            shown.append(character)
        elif ord(character) < 32:
            shown.append(chr(_PICTURES + ord(character)))
        else:
            shown.append(f"<U+{ord(character):04X}>")
    return "".join(shown)


def one_line(text: str) -> str:
    """The same in one line, for lists."""
    return literal(" ".join(text.split()))


def _is_plain(character: str) -> bool:
    if character in "\n\t":
        return True
    category = unicodedata.category(character)
    return category[0] != "C" and category not in {"Zl", "Zp"}
