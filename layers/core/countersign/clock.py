"""Instants as Countersign writes them: ISO 8601 in UTC, to the millisecond, with a `Z`. They sort as text."""

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    return datetime.now(UTC)


def instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_text() -> str:
    return instant(now())


def later(moment: datetime, seconds: float) -> str:
    return instant(moment + timedelta(seconds=seconds))


def parse(text: str) -> datetime:
    """Raises ValueError where `text` is no ISO 8601 instant with a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
