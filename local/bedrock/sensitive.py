"""Finds sensitive information by its form: addresses, numbers with their check digits, and keys."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A match: `kind` is Bedrock's type of it, `start` and `end` count characters."""

    kind: str
    match: str
    start: int
    end: int


def find_sensitive(text: str, kinds: Iterable[str]) -> list[Finding]:
    """What of these kinds stands in a text, in order, without overlaps. Kinds unknown here find nothing."""
    wanted = set(kinds)
    found: list[Finding] = []
    for kind, (pattern, check) in _FORMS.items():
        if kind not in wanted:
            continue
        for match in pattern.finditer(text):
            if check(match[0]) and not any(
                match.start() < each.end and each.start < match.end() for each in found
            ):
                found.append(Finding(kind, match[0], match.start(), match.end()))
    return sorted(found, key=lambda each: each.start)


def _digits(text: str) -> str:
    return "".join(sign for sign in text if sign.isdigit())


def _luhn(text: str) -> bool:
    digits = [int(sign) for sign in _digits(text)]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    compact = text.replace(" ", "").upper()
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def _phone(text: str) -> bool:
    # A date, a version or an address of four numbers is no phone number.
    digits = _digits(text)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}.*|\d{1,3}(?:\.\d{1,3}){3}", text):
        return False
    return 7 <= len(digits) <= 15 and (text.startswith(("+", "(")) or len(digits) >= 9)


def _address(text: str) -> bool:
    return all(int(part) <= 255 for part in text.split("."))


def _always(_: str) -> bool:
    return True


_FORMS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "EMAIL": (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-zA-Z0-9-]{1,63}\.)+[a-zA-Z]{2,24}\b"), _always),
    "URL": (re.compile(r"\bhttps?://[^\s<>\"')\]]+"), _always),
    "AWS_ACCESS_KEY": (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), _always),
    "AWS_SECRET_KEY": (
        re.compile(r"(?i:secret[\w -]{0,20}[=:\s\"']{1,4})(?-i:[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"),
        _always,
    ),
    "CREDIT_DEBIT_CARD_NUMBER": (re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), _luhn),
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER": (
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        _iban,
    ),
    "US_SOCIAL_SECURITY_NUMBER": (
        re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
        _always,
    ),
    "IP_ADDRESS": (re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"), _address),
    "PHONE": (
        re.compile(
            r"(?<![\w.+/=-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,5}){1,4}(?![\w-])"
        ),
        _phone,
    ),
}
