"""One JSON log line and one trace segment for each call of a function, and no customer text in them."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

from countersign.errors import CountersignError

# What an event may say about itself in a log line: names and numbers, never text or tokens.
LOGGED = ("tenant", "case_id", "approval_id", "source", "round", "index", "attempt", "outcome", "run")


class LambdaContext(Protocol):
    aws_request_id: str
    function_name: str

    def get_remaining_time_in_millis(self) -> int: ...


type Handler = Callable[..., Any]


def observed(handler: Handler) -> Handler:
    """Decorates a handler: logs its outcome with the case's ids, counts failures by error name, traces it.

    An error that we raise on purpose is logged by its name and message; of any other only the type is
    logged, as its message may quote what came from outside.
    """

    @functools.wraps(handler)
    def call(event: Any, context: LambdaContext, *ports: Any) -> Any:
        logger = _logger()
        ids = {k: event[k] for k in LOGGED if k in event} if isinstance(event, dict) else {}
        ids |= {"function": context.function_name, "request_id": context.aws_request_id}
        try:
            result = _tracer().capture_method(handler)(event, context, *ports)
        except Exception as error:
            known = isinstance(error, CountersignError)
            logger.error(
                "failed",
                extra={**ids, "error": type(error).__name__, **({"reason": str(error)} if known else {})},
            )
            _count(f"Failed{type(error).__name__}")
            raise
        logger.info("done", extra=ids)
        return result

    return call


@functools.lru_cache(maxsize=1)
def _logger() -> Logger:
    return Logger()


@functools.lru_cache(maxsize=1)
def _tracer() -> Tracer:
    # Results carry scores and ids only, but a trace is no place for them either.
    return Tracer(auto_patch=False)


def _count(name: str) -> None:
    metrics = Metrics()
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
