"""One JSON log line and one trace segment for each call of a function, and no customer text in them."""

import functools
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

from countersign.errors import CountersignError, StoreUnavailable
from countersign.outages import outage

# It logs every error that passes with its message and trace, which may quote what came from outside.
logging.getLogger("aws_lambda_powertools.tracing.tracer").setLevel(logging.CRITICAL)

# What an event may say about itself in a log line: names and numbers, never text or tokens.
LOGGED = ("tenant", "case_id", "approval_id", "source", "round", "index", "attempt", "outcome", "run")


MESSAGE = "not shown, as it may quote what came from outside"


class LambdaContext(Protocol):
    aws_request_id: str
    function_name: str

    def get_remaining_time_in_millis(self) -> int: ...


type Handler = Callable[..., Any]

_noted: ContextVar[dict[str, Any]] = ContextVar("noted")


def observed(handler: Handler) -> Handler:
    """Decorates a handler: logs its outcome with the case's ids, counts failures by error name, traces it.

    An error that is not ours goes on by its name alone: Lambda logs what a handler raises, Step Functions
    keeps it in the history, and its message may quote what came from outside. Where AWS itself was in trouble
    that is StoreUnavailable, which the machine retries.
    """

    @functools.cache
    def traced() -> Handler:
        # A trace is no place for results, which may hold text, nor for messages, which may quote it.
        decorated: Handler = _tracer().capture_method(capture_response=False, capture_error=False)(handler)
        return decorated

    @functools.wraps(handler)
    def call(event: Any, context: LambdaContext, *ports: Any) -> Any:
        logger = _logger()
        ids = {k: event[k] for k in LOGGED if k in event} if isinstance(event, dict) else {}
        ids |= {"function": context.function_name, "request_id": context.aws_request_id}
        before = _noted.set(ids)
        try:
            result = traced()(event, context, *ports)
        except Exception as error:
            if trouble := outage(error):
                unavailable = StoreUnavailable(trouble)
                log_failure(unavailable, **ids)
                raise unavailable from None
            log_failure(error, **ids)
            if isinstance(error, CountersignError):
                raise
            raise _unquoted(error) from None
        finally:
            _noted.reset(before)
        logger.info("done", extra=ids)
        return result

    return call


def _unquoted(error: Exception) -> Exception:
    """An error of the same name and place without its message: what Lambda and Step Functions know one by."""
    kind = type(error)
    unquoted: Exception = type(kind.__name__, (Exception,), {"__module__": kind.__module__})(MESSAGE)
    return unquoted.with_traceback(error.__traceback__)


def note(**ids: Any) -> None:
    """Adds to what the running call logs at its end: ids, codes and words of our own, no text."""
    _noted.get({}).update(ids)


def log_failure(error: Exception, **ids: Any) -> None:
    """Logs an error and counts it by its name.

    One that we raise on purpose is logged with its message; of any other only the type is logged, as its
    message may quote what came from outside.
    """
    reason = {"reason": str(error)} if isinstance(error, CountersignError) else {}
    _logger().error("failed", extra={**ids, "error": type(error).__name__, **reason})
    _count(f"Failed{type(error).__name__}")


def log_outcome(name: str, outcome: str, **ids: Any) -> None:
    """Logs how one record of a batch went and counts it, such as `DeliveryRetry`. `ids` hold no text."""
    _logger().info(f"{name} {outcome}", extra=ids)
    _count(f"{name}{outcome.title()}")


@functools.lru_cache(maxsize=1)
def _logger() -> Logger:
    return Logger()


@functools.lru_cache(maxsize=1)
def _tracer() -> Tracer:
    return Tracer(auto_patch=False)


def _count(name: str) -> None:
    metrics = Metrics()
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
