"""Faults at one call: of AWS, or to a receiver. Says which calls a piece of work makes, and strikes one.

A call is named by its function, service, operation and how many of the same came before it, so that the n-th
call of one run is the n-th of the next. Requests to receivers are calls of the service `http`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import requests
from botocore.exceptions import ClientError, ReadTimeoutError
from requests.adapters import HTTPAdapter

from local.environment import SandboxKilled, current_caller, current_invocation
from local.faults import Crash, Moment, client_error
from local.replacement import replaced
from local.stack import Stack

READS = ("Get", "Query", "List", "Describe", "Scan", "Retrieve", "GET")


@dataclass(frozen=True)
class Call:
    """The `number`-th call of its kind, from 1."""

    function: str
    service: str
    operation: str
    number: int

    def __str__(self) -> str:
        return f"{self.function} {self.service}.{self.operation} #{self.number}"

    @property
    def changes_something(self) -> bool:
        """Whether it makes a difference that it happened, or happened twice."""
        return not self.operation.startswith(READS)


class Kind(StrEnum):
    """What befalls a call."""

    CRASH_BEFORE = "the sandbox dies before it"
    CRASH_AFTER = "the sandbox dies after it"
    REFUSED = "the service answers an error"
    UNANSWERED = "it takes effect and no answer comes"
    REPEATED = "it takes effect, no answer comes, and the SDK sends it again"

    @property
    def is_late(self) -> bool:
        """Whether the call takes effect first."""
        return self in {Kind.CRASH_AFTER, Kind.UNANSWERED}

    def strikes(self, call: Call) -> bool:
        """Whether this is another fault than one of the kinds before it."""
        if self is Kind.UNANSWERED:
            return call.changes_something
        if self is Kind.REPEATED:
            # A transaction carries a token by which AWS knows it again. Bedrock and receivers are not asked
            # again by any SDK here.
            return call.changes_something and call.service in {"dynamodb", "s3", "sqs", "stepfunctions"}
        return True


@dataclass
class Fault:
    """What shall befall which call. `after` counts all calls instead: the n-th after the fault before it."""

    kind: Kind
    call: Call | None = None
    after: int = 0
    struck: bool = False


class Sabotage:
    """The faults of one stack's calls, struck in the order given, each once.

    `calls` are all so far, `answered` those that were not answered by an error: after the others nothing can
    strike. While `paused`, calls are neither counted nor struck: a test that only looks disturbs nothing.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._paused = False
        self.begin([])

    def begin(self, faults: list[Fault]) -> None:
        """Counts from the start, with these faults to come."""
        self._faults = faults
        self._numbers: Counter[tuple[str, str, str]] = Counter()
        self._since = 0
        self.calls: list[Call] = []
        self.answered: set[Call] = set()

    @property
    def struck(self) -> int:
        return sum(fault.struck for fault in self._faults)

    @contextmanager
    def paused(self) -> Iterator[None]:
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watches every call of functions while the block runs."""
        original: Any = HTTPAdapter.send

        def send(adapter: Any, request: Any, *args: Any, **options: Any) -> Any:
            invocation = current_invocation.get()
            if invocation is None:
                return original(adapter, request, *args, **options)
            if invocation.killed.is_set():
                raise SandboxKilled(invocation.function)
            self._raise(self.strike("before", invocation.function, "http", request.method, {}))
            answer = original(adapter, request, *args, **options)
            error = self.strike("after", invocation.function, "http", request.method, {})
            if error is not None:
                answer.close()
            self._raise(error)
            return answer

        remove = self._stack.faults.add(self.strike)
        try:
            with replaced(HTTPAdapter, "send", send):
                yield
        finally:
            remove()

    def strike(
        self, moment: Moment, function: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> BaseException | None:
        """A fault as `Faults.add` takes it."""
        if self._paused:
            return None
        kind = (function, service, operation)
        if moment == "before":
            self._numbers[kind] += 1
            self._since += 1
            self.calls.append(Call(*kind, self._numbers[kind]))
        else:
            self.answered.add(Call(*kind, self._numbers[kind]))
        fault = next((fault for fault in self._faults if not fault.struck), None)
        if fault is None:
            return None
        call = Call(*kind, self._numbers[kind])
        due = fault.call == call if fault.call else fault.after <= self._since
        if not due:
            return None
        return self._error(fault, moment, call, params)

    def _error(self, fault: Fault, moment: Moment, call: Call, params: Any) -> BaseException | None:
        if fault.kind.is_late == (moment == "before"):
            return None
        fault.struck, self._since = True, 0
        if fault.kind in {Kind.CRASH_BEFORE, Kind.CRASH_AFTER}:
            return Crash()
        if call.service == "http":
            return requests.ConnectionError() if fault.kind is Kind.REFUSED else requests.ReadTimeout()
        if fault.kind is Kind.REFUSED:
            return client_error(call.operation, "InternalServerError", status=500)
        if fault.kind is Kind.UNANSWERED:
            return ReadTimeoutError(endpoint_url=f"https://{call.service}.test")
        self._call_first(call, params)
        return None

    def _call_first(self, call: Call, params: Any) -> None:
        """The call whose answer is lost; the function's own is the second."""
        invocation, caller = current_invocation.set(None), current_caller.set(call.function)
        try:
            with suppress(ClientError):  # then the second is answered the same
                self._stack.client(call.service)._make_api_call(call.operation, dict(params))
        finally:
            current_invocation.reset(invocation)
            current_caller.reset(caller)

    @staticmethod
    def _raise(error: BaseException | None) -> None:
        if error is not None:
            raise error
