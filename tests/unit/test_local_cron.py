"""When schedule expressions fire."""

from datetime import UTC, datetime

import pytest

from local.cron import ScheduleError, next_fire


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "after", "following"),
    [
        ("rate(5 minutes)", "2026-11-24T10:00:30", "2026-11-24T10:05:30"),
        ("rate(1 hour)", "2026-11-24T23:30:00", "2026-11-25T00:30:00"),
        ("cron(0 8 * * ? *)", "2026-11-24T08:00:00", "2026-11-25T08:00:00"),
        ("cron(0/15 * * * ? *)", "2026-11-24T10:01:00", "2026-11-24T10:15:00"),
        ("cron(30 9 ? * MON-FRI *)", "2026-11-27T10:00:00", "2026-11-30T09:30:00"),
        ("cron(0 0 1 JAN ? *)", "2026-11-24T10:00:00", "2027-01-01T00:00:00"),
        ("cron(0 0 29 2 ? *)", "2026-11-24T10:00:00", "2028-02-29T00:00:00"),
        ("cron(0 18 ? * 1 *)", "2026-11-24T10:00:00", "2026-11-29T18:00:00"),
        ("at(2026-12-01T00:00:00)", "2026-11-24T10:00:00", "2026-12-01T00:00:00"),
    ],
)
def test_next_moment(expression: str, after: str, following: str) -> None:
    assert next_fire(expression)(_seconds(after)) == _seconds(following)


def test_a_past_moment_never_fires() -> None:
    assert next_fire("at(2026-01-01T00:00:00)")(_seconds("2026-11-24T10:00:00")) is None
    assert next_fire("cron(0 0 1 1 ? 2020)")(_seconds("2026-11-24T10:00:00")) is None


@pytest.mark.parametrize(
    "expression",
    [
        "every day",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(0 minutes)",
        "cron(0 8 * * *)",
        "cron(0 8 * * * *)",
        "cron(0 8 ? * ? *)",
        "cron(61 8 * * ? *)",
        "cron(0 8 L * ? *)",
        "cron(0/0 8 * * ? *)",
    ],
)
def test_what_eventbridge_refuses(expression: str) -> None:
    with pytest.raises(ScheduleError):
        next_fire(expression)
