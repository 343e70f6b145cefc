"""When an EventBridge schedule expression fires: `rate(5 minutes)`, `cron(0 8 ? * MON-FRI *)`, `at(...)`.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html; times are UTC. The cron letters
L, W and # are not supported.
"""

import datetime as dt
import re
from collections.abc import Callable

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


class ScheduleError(ValueError):
    """An expression that EventBridge does not take, or that is not supported here."""


def next_fire(expression: str) -> Callable[[float], float | None]:
    """A function from a moment (seconds since 1970) to the next one after it; None if there is none any more.

    Raises ScheduleError.
    """
    match = re.fullmatch(r"(rate|cron|at)\((.+)\)", expression.strip())
    if match is None:
        raise ScheduleError(f"not a schedule expression: {expression}")
    kind, argument = match.groups()
    if kind == "rate":
        return _rate(argument)
    if kind == "at":
        moment = dt.datetime.fromisoformat(argument).replace(tzinfo=dt.UTC).timestamp()
        return lambda after: moment if moment > after else None
    return _cron(argument)


def _rate(argument: str) -> Callable[[float], float | None]:
    match = re.fullmatch(r"(\d+) (minute|hour|day)(s?)", argument)
    if match is None or int(match[1]) < 1 or (int(match[1]) == 1) == bool(match[3]):
        raise ScheduleError(f"not a rate: {argument}")
    seconds = int(match[1]) * _UNITS[match[2]]
    return lambda after: after + seconds


def _cron(argument: str) -> Callable[[float], float | None]:
    fields = argument.split()
    if len(fields) != 6:
        raise ScheduleError(f"a cron expression has six fields: {argument}")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(f"exactly one of day of month and day of week must be ?: {argument}")
    minutes, hours = _values(fields[0], 0, 59), _values(fields[1], 0, 23)
    days, months = _values(fields[2], 1, 31), _values(fields[3], 1, 12, _MONTHS, first=1)
    weekdays, years = _values(fields[4], 1, 7, _DAYS, first=1), _values(fields[5], 1970, 2199)

    def fires_on(day: dt.date) -> bool:
        sunday_is_one = day.isoweekday() % 7 + 1
        return day.year in years and day.month in months and day.day in days and sunday_is_one in weekdays

    def following(after: float) -> float | None:
        start = dt.datetime.fromtimestamp(after, dt.UTC).replace(second=0, microsecond=0) + dt.timedelta(
            minutes=1
        )
        for offset in range(366 * 8):  # a leap day on a given weekday needs a few years
            day = start.date() + dt.timedelta(days=offset)
            if not fires_on(day):
                continue
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    moment = dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=dt.UTC)
                    if moment >= start:
                        return moment.timestamp()
        return None

    return following


def _values(
    field: str, low: int, high: int, names: list[str] | None = None, *, first: int = 0
) -> frozenset[int]:
    def number(text: str) -> int:
        if names and text.upper() in names:
            return names.index(text.upper()) + first
        if not text.isdigit() or not low <= int(text) <= high:
            raise ScheduleError(f"not supported in a cron expression: {text}")
        return int(text)

    result: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            start, end = low, high
        elif "-" in span:
            start, end = (number(end) for end in span.split("-", 1))
        else:
            start = number(span)
            end = high if step else start
        if step and (not step.isdigit() or int(step) < 1):
            raise ScheduleError(f"not supported in a cron expression: {part}")
        result.update(range(start, end + 1, int(step or 1)))
    return frozenset(result)
