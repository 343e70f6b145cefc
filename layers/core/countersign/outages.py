"""Whose fault an error of AWS is: its own, and gone in a while, or ours, which no second try mends."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

SLOW_DOWN = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottlingError",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "SlowDown",
        # Of a transaction that another call with the same token is still running.
        "TransactionInProgressException",
    }
)


def outage(error: Exception) -> str | None:
    """What AWS said where it did not answer, failed or asked us to slow down; None for any other error.

    botocore has tried several times by then, but not where a transaction was cancelled for one of its rows.
    """
    if isinstance(error, ClientError):
        response: Mapping[str, Any] = error.response
        code = response.get("Error", {}).get("Code")
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
        reasons = {reason.get("Code") for reason in response.get("CancellationReasons", [])}
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or SLOW_DOWN & {code, *reasons}:
            return f"{error.operation_name} answered {code}"
        return None
    if isinstance(error, ConnectionError | HTTPClientError):
        kind: type[BotoCoreError] = type(error)
        return f"AWS did not answer: {kind.__name__}"
    return None
