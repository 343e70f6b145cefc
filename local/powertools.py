"""Keeps what Powertools knows of concurrent calls apart.

Powertools collects metrics in dictionaries of the class `Metrics`, and keeps the event that is being answered
on the class `BaseRouter`, which is safe on Lambda, where a process handles one call at a time. Here many
functions run at once in one process.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

from aws_lambda_powertools.event_handler.api_gateway import ApiGatewayResolver, Route
from aws_lambda_powertools.metrics import Metrics

from local.environment import current_invocation
from local.replacement import replaced


class PerInvocation(MutableMapping[str, Any]):
    """A dictionary of which each running invocation has its own."""

    def __init__(self) -> None:
        self._outside: dict[str, Any] = {}

    @property
    def _values(self) -> dict[str, Any]:
        invocation = current_invocation.get()
        return self._outside if invocation is None else invocation.scratch.setdefault(self, {})

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@contextmanager
def metrics_per_invocation() -> Iterator[None]:
    """Let every `Metrics` made while the block runs collect for each invocation by itself."""
    with ExitStack() as stack:
        for name in ("_metrics", "_dimensions", "_metadata"):
            stack.enter_context(replaced(Metrics, name, PerInvocation()))
        yield


@contextmanager
def loggers_print_here() -> Iterator[None]:
    """Let the loggers that an earlier stack or test made print to today's standard output in the block.

    Powertools sets a logger up once in a process, with the standard output of that moment.
    """
    with ExitStack() as stack:
        for logger in list(logging.Logger.manager.loggerDict.values()):
            if not isinstance(logger, logging.Logger) or getattr(logger, "init", False) is not True:
                continue
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler):
                    # Not `setStream`, which flushes a stream that may have been closed.
                    stack.enter_context(replaced(handler, "stream", sys.stdout))
        yield


class OfInvocation:
    """An attribute of a resolver of which each running invocation has its own value."""

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, app: Any, owner: type | None = None) -> Any:
        if app is None:
            return self
        key, values = self._place(app)
        return values.setdefault(key, self._make()) if key not in values else values[key]

    def __set__(self, app: Any, value: Any) -> None:
        key, values = self._place(app)
        values[key] = value

    def _place(self, app: Any) -> tuple[Any, dict[Any, Any]]:
        invocation = current_invocation.get()
        if invocation is None:
            return f"{self._name} outside", vars(app)
        return (self._name, id(app)), invocation.scratch


@contextmanager
def requests_per_invocation() -> Iterator[None]:
    """Let resolvers keep event and context of each invocation apart while the block runs."""
    resolve, build = ApiGatewayResolver.resolve, Route._build_middleware_stack
    building = threading.Lock()

    def resolve_apart(app: Any, event: Any, context: Any) -> dict[str, Any]:
        app.current_event, app.lambda_context = app._to_proxy_event(event), context
        return resolve(app, event, context)

    def build_once(route: Any, *args: Any, **kwargs: Any) -> None:
        with building:
            if not route._middleware_stack_built:
                build(route, *args, **kwargs)

    with ExitStack() as stack:
        stack.enter_context(replaced(ApiGatewayResolver, "resolve", resolve_apart))
        stack.enter_context(replaced(Route, "_build_middleware_stack", build_once))
        for name, make in (
            ("current_event", lambda: None),
            ("lambda_context", lambda: None),
            ("context", dict),
        ):
            # Not `replaced`: these are attributes of instances, and the class has none.
            setattr(ApiGatewayResolver, name, OfInvocation(name, make))
            stack.callback(delattr, ApiGatewayResolver, name)
        yield
