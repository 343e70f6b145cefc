"""What a receiver's answer means: delivered, to be tried again, or failed for good.

2xx is delivered and 410 is the end (Standard Webhooks, "Delivery success and failure"). Everything else, a
redirect and no answer at all included, is tried again on the schedule of the state machine, so that a
receiver that was down for a day, or misconfigured, still gets its reply.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

from pydantic import Field

from countersign.models import Record
from countersign.outbound import Answer

MAX_RETRY_AFTER_S = 43_200
"""What a receiver may ask for beyond the schedule: twelve hours, so that none can hold a reply for ever."""

_SECONDS = re.compile(r"[0-9]+")


class Outcome(Record):
    """How an attempt went. `retry_after_s` is what the receiver asked for, 0 for the schedule's own wait.

    `status` is the HTTP status, None where none came; `reason` a code that says more than the status does.
    """

    outcome: Literal["delivered", "retry", "failed"]
    retry_after_s: int = Field(default=0, ge=0, le=MAX_RETRY_AFTER_S)
    status: int | None = None
    reason: str | None = None


def read_answer(answer: Answer, now: datetime) -> Outcome:
    """`now` is when the answer came: dates in its headers are counted from there."""
    if 200 <= answer.status < 300:
        return Outcome(outcome="delivered", status=answer.status)
    if answer.status == HTTPStatus.GONE:
        return Outcome(outcome="failed", status=answer.status)
    return Outcome(outcome="retry", status=answer.status, retry_after_s=retry_after_s(answer.headers, now))


def retry_after_s(headers: Mapping[str, str], now: datetime) -> int:
    """Whole seconds, from 0 to MAX_RETRY_AFTER_S; 0 where the headers ask for nothing, the past or nonsense.

    Reads `retry-after` in seconds or as an HTTP date, and where it is missing GitHub's `x-ratelimit-reset`
    (Unix seconds) if `x-ratelimit-remaining` is 0.
    """
    asked = headers.get("retry-after", "").strip()
    if not asked and headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = headers.get("x-ratelimit-reset", "").strip()
        return _bounded(float(reset) - now.timestamp()) if _SECONDS.fullmatch(reset) else 0
    # A float takes any number of digits, which an int does not.
    return _bounded(float(asked)) if _SECONDS.fullmatch(asked) else _bounded(_until_date(asked, now))


def _until_date(text: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _bounded(seconds: float) -> int:
    return math.ceil(max(0, min(MAX_RETRY_AFTER_S, seconds)))
