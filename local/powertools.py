"""Keeps Powertools' metrics of concurrent calls apart.

Powertools collects metrics in dictionaries of the class `Metrics`, which is safe on Lambda, where a process
handles one call at a time. Here many functions run at once in one process.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

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
