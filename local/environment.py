"""What a running function sees as its environment, its standard output and its caller's name.

All functions share one process, so `os.environ` and `sys.stdout` answer by the invocation that asks: a
context variable says which one that is.
"""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass(slots=True)
class Invocation:
    """One call of a function while it runs."""

    function: str
    request_id: str
    environment: Mapping[str, str]
    killed: threading.Event = field(default_factory=threading.Event)
    scratch: dict[Any, Any] = field(default_factory=dict)


class SandboxKilled(BaseException):
    """Raised inside a function whose sandbox is gone (timed out or crashed), so that it has no more effects.

    Not an Exception: on AWS no `except` of the function sees the end of its sandbox.
    """


current_invocation: ContextVar[Invocation | None] = ContextVar("current_invocation", default=None)
current_caller: ContextVar[str] = ContextVar("current_caller", default="client")


class _FunctionEnviron(os._Environ):  # type: ignore[type-arg]  # typeshed makes it generic, at run time it is not
    """`os.environ`, overlaid by the variables of the function that is running."""

    def __getitem__(self, key: str) -> str:
        invocation = current_invocation.get()
        if invocation is not None and key in invocation.environment:
            return invocation.environment[key]
        value: str = super().__getitem__(key)
        return value

    def __iter__(self) -> Iterator[str]:
        invocation = current_invocation.get()
        yield from super().__iter__()
        if invocation is not None:
            shared = set(super().__iter__())
            yield from (key for key in invocation.environment if key not in shared)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@contextmanager
def function_environments(shared: Mapping[str, str]) -> Iterator[None]:
    """Let functions see their own variables, and the whole process the `shared` ones, while the block runs.

    The shared ones are set in the process itself because threads that a function starts don't inherit the
    context variable.
    """
    environ = os.environ
    before = {name: environ.get(name) for name in shared}
    plain = environ.__class__
    # The object stays the same one, so modules that hold `os.environ` see the overlay as well.
    environ.__class__ = _FunctionEnviron
    environ.update(shared)
    try:
        yield
    finally:
        environ.__class__ = plain
        for name, value in before.items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value


class _FunctionOutput(io.TextIOBase):
    """A standard output that hands whole lines written by functions to a sink, and passes on the rest.

    One object for the whole process: loggers made during a cold start keep it for ever.
    """

    def __init__(self) -> None:
        self.behind: TextIO | None = None
        self.sink: Callable[[Invocation, str], None] | None = None
        self._partial: dict[str, str] = {}

    def write(self, text: str) -> int:
        invocation = current_invocation.get()
        if invocation is None or self.sink is None:
            (self.behind or sys.__stdout__ or sys.stderr).write(text)
            return len(text)
        *lines, rest = (self._partial.pop(invocation.request_id, "") + text).split("\n")
        if rest:
            self._partial[invocation.request_id] = rest
        for line in lines:
            if line.strip():
                self.sink(invocation, line)
        return len(text)

    def flush(self) -> None:
        if self.behind is not None:
            self.behind.flush()

    def isatty(self) -> bool:
        return self.behind is not None and self.behind.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a TextIOBase may have one as well as be without
        return getattr(self.behind, "encoding", None) or "utf-8"


_output = _FunctionOutput()


def claim_output() -> None:
    """Stand in front of standard output again, if somebody (such as pytest) has replaced it since."""
    if _output.sink is not None and sys.stdout is not _output:
        _output.behind = sys.stdout
        sys.stdout = _output


@contextmanager
def function_output(sink: Callable[[Invocation, str], None]) -> Iterator[None]:
    """Hand what functions print, line by line, to `sink(invocation, line)` while the block runs."""
    _output.sink = sink
    claim_output()
    try:
        yield
    finally:
        if sys.stdout is _output and _output.behind is not None:
            sys.stdout = _output.behind
        # Loggers that outlive the stack must not write to a stream that somebody closes.
        _output.behind, _output.sink = None, None
