"""Small things in a few words: what happened, what it cost, how long ago."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from local.cli.literal import one_line

type Json = Mapping[str, Any]

_SHORT_ID = 10
_HIDDEN = frozenset({"task", "thread", "feedback_key"})
"""Details for machines: hashes and keys."""


def short_id(case_id: str) -> str:
    """Enough of an id for a person to type: the commands take it."""
    return case_id[:_SHORT_ID]


def facts(detail: Json, case_id: str = "") -> str:
    """The plain values of an event's detail in a few words; what only repeats the case's id is left out."""
    shown = []
    for name, value in detail.items():
        if name in _HIDDEN or value in (None, "", case_id) or isinstance(value, dict | list):
            continue
        if name in _PHRASES:
            shown.append(_PHRASES[name](value))
            continue
        text = _plain(value).removeprefix(f"{case_id}-")
        shown.append(f"{name.replace('_', ' ')} {text[:8] if name.endswith('sha256') else text}")
    return " · ".join(filter(None, shown))


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else one_line(str(value))


def spent(case: Json) -> str:
    """Tokens, calls and dollars."""
    usage = case["usage"]
    return (
        f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out, "
        f"{usage['model_calls']} model calls, {dollars(case['cost_usd'])}"
    )


def dollars(amount: Any) -> str:
    """US dollars, as exact as small sums need."""
    try:
        return f"${Decimal(str(amount)):.4f}"
    except InvalidOperation:
        return "no price known"


def moment(at: str) -> datetime:
    """ISO 8601 as the API writes it."""
    return datetime.fromisoformat(at)


def age(at: str, now: datetime | None = None) -> str:
    """How long ago, or in how long."""
    seconds = ((now or datetime.now(UTC)) - moment(at)).total_seconds()
    words = _duration(abs(seconds))
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


_PHRASES: dict[str, Callable[[Any], str]] = {
    "input_tokens": lambda tokens: f"{tokens:,} tokens in",
    "output_tokens": lambda tokens: f"{tokens:,} out",
    "model_calls": lambda calls: f"{calls} model call{'' if calls == 1 else 's'}",
    "latency_ms": lambda ms: f"{ms:.0f} ms",
    "ttft_ms": lambda ms: f"first token after {ms:.0f} ms",
    "cost_usd": dollars,
    "reserved_usd": lambda amount: f"{dollars(amount)} reserved",
    "retry_after_s": lambda seconds: f"again after {seconds} s" if seconds else "",
}
"""How some details are said."""
