"""What a call leaves behind: a line with ids, a count of failures, and no text of anybody."""

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from countersign import observability
from countersign.errors import ModelThrottled
from countersign.observability import note, observed
from local.faults import client_error
from tests.unit.stores import CASE, Context

SECRET = "the text of Mrs Quagga's mail"
EVENT = {"tenant": "default", "case_id": CASE, "task_token": "token-1", "text": SECRET}


def cancelled(*reasons: str) -> ClientError:
    """A transaction of which one row could not be written."""
    error = client_error("TransactWriteItems", "TransactionCanceledException")
    response: dict[str, Any] = error.response  # type: ignore[assignment]
    response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return error


class Tracer:
    """Powertools' tracer as far as it is asked here."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def capture_method(self, **options: Any) -> Callable[[Any], Any]:
        self.asked.append(options)
        return lambda handler: handler


@pytest.fixture(autouse=True)
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    tracer = Tracer()
    monkeypatch.setattr(observability, "_tracer", lambda: tracer)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Countersign")
    return tracer


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The records of our logger, as they come."""
    caplog.set_level(logging.INFO)
    return caplog


def test_a_call_leaves_one_line_with_its_ids(lines: pytest.LogCaptureFixture) -> None:
    @observed
    def handler(event: Any, context: Any) -> str:
        note(outcome="delivered")
        return SECRET

    assert handler(EVENT, Context()) == SECRET
    line: Any = lines.records[0]
    assert len(lines.records) == 1
    assert (line.getMessage(), line.tenant, line.case_id) == ("done", "default", CASE)
    assert line.outcome == "delivered"
    assert not {"task_token", "text"} & vars(line).keys()


def test_neither_results_nor_messages_are_traced(tracer: Tracer) -> None:
    observed(lambda event, context: SECRET)(EVENT, Context())
    assert tracer.asked == [{"capture_response": False, "capture_error": False}]


SILENT = EndpointConnectionError(endpoint_url=f"https://dynamodb.example/{SECRET}")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (client_error("GetItem", "InternalServerError", SECRET, 500), "StoreUnavailable"),
        (client_error("PutItem", "ThrottlingException", SECRET), "StoreUnavailable"),
        (client_error("PutObject", "SlowDown", SECRET, 503), "StoreUnavailable"),
        (cancelled("None", "ThrottlingError"), "StoreUnavailable"),
        (SILENT, "StoreUnavailable"),
        (cancelled("None", "ValidationError"), "ClientError"),
        (client_error("PutItem", "AccessDeniedException", SECRET), "ClientError"),
        (ParamValidationError(report=SECRET), "ParamValidationError"),
    ],
)
def test_trouble_of_aws_has_a_name_that_is_retried(
    lines: pytest.LogCaptureFixture, error: Exception, name: str
) -> None:
    def handler(event: Any, context: Any) -> None:
        raise error

    with pytest.raises(Exception, match=r"AWS|answered|not shown") as raised:
        observed(handler)(EVENT, Context())
    assert type(raised.value).__name__ == name
    line: Any = lines.records[0]
    assert line.error == name
    assert SECRET not in "".join(traceback.format_exception(raised.value)) + str(vars(line))


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError(SECRET), None), (ModelThrottled("slow down"), "slow down")]
)
def test_an_error_is_logged_by_its_name_and_quoted_only_where_it_is_ours(
    lines: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], error: Exception, reason: str | None
) -> None:
    @observed
    def handler(event: Any, context: Any) -> None:
        raise error

    with pytest.raises(Exception, match=r"slow down|not shown") as raised:
        handler(EVENT, Context())
    # Lambda logs name, message and trace, and Step Functions shows them.
    assert type(raised.value).__name__ == type(error).__name__
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    line: Any = lines.records[0]
    assert len(lines.records) == 1
    assert (line.getMessage(), line.error) == ("failed", type(error).__name__)
    assert getattr(line, "reason", None) == reason
    printed = capsys.readouterr().out
    assert f"Failed{type(error).__name__}" in printed
    assert SECRET not in printed + str(vars(line))
