"""Counts what a stack does: calls of AWS, state transitions, invocations, CPU and cold starts."""

import threading
from collections import Counter
from dataclasses import dataclass, field

INFRASTRUCTURE_CALLERS = frozenset({"gateway", "poller", "engine", "schedule"})
"""Callers that are AWS itself; everything else is a function, or `client` for code outside of the stack."""


@dataclass(frozen=True)
class Snapshot:
    """The counts since the last reset.

    `calls` is by (service, operation, caller), `transitions` (states entered) by execution ARN,
    `invocations` and `cpu_s` (thread CPU seconds, the time in boto3 and moto included) and `cold_start_s` by
    function.
    """

    calls: dict[tuple[str, str, str], int] = field(default_factory=dict)
    transitions: dict[str, int] = field(default_factory=dict)
    invocations: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    cold_start_s: dict[str, float] = field(default_factory=dict)

    def function_calls(self) -> int:
        """Calls of AWS that functions made."""
        return sum(
            count
            for (_, _, caller), count in self.calls.items()
            if caller not in INFRASTRUCTURE_CALLERS and caller != "client"
        )


class Meter:
    """Thread-safe counters of one stack."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start again at zero; cold starts are forgotten as well."""
        with self._lock:
            self._calls: Counter[tuple[str, str, str]] = Counter()
            self._transitions: Counter[str] = Counter()
            self._invocations: Counter[str] = Counter()
            self._cpu_s: dict[str, float] = {}
            self._cold_start_s: dict[str, float] = {}

    def count_call(self, service: str, operation: str, caller: str, number: int = 1) -> None:
        """`number` requests to an AWS service (boto3's name of it), by whom."""
        with self._lock:
            self._calls[service, operation, caller] += number

    def count_transition(self, execution_arn: str) -> None:
        """A state entered."""
        with self._lock:
            self._transitions[execution_arn] += 1

    def count_invocation(self, function: str, cpu_s: float) -> None:
        """One finished call and its CPU seconds."""
        with self._lock:
            self._invocations[function] += 1
            self._cpu_s[function] = self._cpu_s.get(function, 0.0) + cpu_s

    def count_cold_start(self, function: str, seconds: float) -> None:
        """The wall-clock seconds an import took."""
        with self._lock:
            self._cold_start_s[function] = seconds

    def snapshot(self) -> Snapshot:
        """The counts so far."""
        with self._lock:
            return Snapshot(
                dict(self._calls),
                dict(self._transitions),
                dict(self._invocations),
                dict(self._cpu_s),
                dict(self._cold_start_s),
            )
