"""The time everything in a stack waits on: the real one, or one that a test moves.

The engine's waits, the poller and the schedules wait through a `Clock`. A `VirtualClock` knows which threads
are working and which only wait, so it can tell that nothing is left to do at this moment and jump to the
next moment at which something is due. It moves the time of the whole process (`time.time`, `datetime.now`),
so functions, queue visibility and expiry times agree with it; `time.monotonic` and CPU time stay real.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import time_machine


class Unsettled(Exception):
    """The stack did not come to rest, or came to rest before the wanted state was reached."""


class Signal:
    """A `threading.Event` that also counts how often it was touched.

    The count lets a waiter notice a `set` that was cleared again before it woke, and lets a clock see that a
    waiter is about to run although its thread has not been scheduled yet.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._flag = False
        self.touches = 0

    def is_set(self) -> bool:
        """Whether it is set now."""
        return self._flag

    def set(self) -> None:
        """Set it and wake every waiter."""
        with self._condition:
            self._flag = True
            self.touches += 1
            self._condition.notify_all()

    def clear(self) -> None:
        """Unset it."""
        with self._condition:
            self._flag = False

    def touch(self) -> None:
        """Wake every waiter without setting it, so that they look at the world again."""
        with self._condition:
            self.touches += 1
            self._condition.notify_all()

    def wait(self, timeout: float | None = None, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait for `set`, `touch`, `until()` or `timeout` seconds; says whether it was set or touched."""
        with self._condition:
            touches = self.touches
            deadline = None if timeout is None else time.monotonic() + timeout
            while not self._flag and self.touches == touches and not until():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._condition.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
            return self._flag or self.touches != touches

    def poke(self) -> None:
        """Make waiters evaluate their `until` again."""
        with self._condition:
            self._condition.notify_all()


class Clock:
    """Real time."""

    def __init__(self) -> None:
        self._threads = 0
        self._ended = False
        self._sleepers: set[Signal] = set()
        self._thread_count = threading.Condition(threading.Lock())

    def start(self) -> None:
        """Begin to control time."""
        self._ended = False

    def stop(self) -> None:
        """Give time back."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, signal: Signal, timeout_s: float | None) -> bool:
        """Wait until `signal` is set or touched, at most `timeout_s` seconds; False if the time ran out."""
        return signal.wait(timeout_s)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock's time."""
        if seconds <= 0 or self._ended:
            return
        signal = Signal()
        self._sleepers.add(signal)
        try:
            self.wait(signal, seconds)
        finally:
            self._sleepers.discard(signal)

    @contextmanager
    def work(self) -> Iterator[None]:
        """Say that this thread is busy while the block runs."""
        yield

    def spawn(self, target: Callable[[], Any], *, name: str, context: Context | None = None) -> None:
        """Run `target` in a daemon thread that counts as busy from this moment on."""
        context = context or copy_context()

        def run() -> None:
            try:
                context.run(target)
            finally:
                self._count_thread(-1)

        self._count_thread(1)
        try:
            threading.Thread(target=run, name=name, daemon=True).start()
        except BaseException:
            self._count_thread(-1)
            raise

    def end_threads(self, patience_s: float) -> bool:
        """Cut every `sleep` short and wait for the spawned threads; False if some still run afterwards."""
        self._ended = True
        for signal in list(self._sleepers):
            signal.set()
        with self._thread_count:
            return self._thread_count.wait_for(lambda: self._threads == 0, timeout=patience_s)

    def _count_thread(self, number: int) -> None:
        with self._thread_count:
            self._threads += number
            if self._threads == 0:
                self._thread_count.notify_all()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Waiter:
    """A thread that waits: what for, and until when (seconds since 1970, None without an end)."""

    def __init__(self, signal: Signal, due: float | None, thread: str) -> None:
        self.signal = signal
        self.due = due
        self.thread = thread
        self.touches = signal.touches

    def is_over(self, now: float) -> bool:
        return (
            self.signal.is_set()
            or self.signal.touches != self.touches
            or (self.due is not None and self.due <= now)
        )


class VirtualClock(Clock):
    """Time that a test moves. It ticks at its normal pace besides, so two moments are never the same.

    Only one can run in a process, because it changes what the process takes for the time.
    """

    def __init__(self, at: dt.datetime | None = None, *, patience_s: float = 30.0) -> None:
        """Start at the aware time `at` (now by default); be busy at most `patience_s` real seconds at a
        time.
        """
        super().__init__()
        self._start_at = at
        self._patience_s = patience_s
        self._condition = threading.Condition(threading.Lock())
        self._busy = 0
        self._waiters: set[_Waiter] = set()
        self._thread = threading.local()
        self._travel: time_machine.travel | None = None
        self._traveller: time_machine.Traveller | None = None

    def start(self) -> None:
        """Take over the time of the process."""
        super().start()
        # Imports pytest where that is installed: too slow for who only lets time pass.
        import time_machine

        self._travel = time_machine.travel(self._start_at or dt.datetime.now(dt.UTC), tick=True)
        self._traveller = self._travel.start()

    def stop(self) -> None:
        """Give the real time back, and let everybody who still waits look at it."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = self._traveller = None

    @contextmanager
    def work(self) -> Iterator[None]:
        depth = getattr(self._thread, "depth", 0)
        self._thread.depth = depth + 1
        if depth == 0:
            self._add_busy(1)
        try:
            yield
        finally:
            self._thread.depth = depth
            if depth == 0:
                self._add_busy(-1)

    def spawn(self, target: Callable[[], Any], *, name: str, context: Context | None = None) -> None:
        self._add_busy(1)

        def run() -> None:
            self._thread.depth = 1
            try:
                target()
            finally:
                self._thread.depth = 0
                self._add_busy(-1)

        try:
            super().spawn(run, name=name, context=context)
        except BaseException:
            self._add_busy(-1)
            raise

    def wait(self, signal: Signal, timeout_s: float | None) -> bool:
        due = None if timeout_s is None else self.now() + timeout_s
        waiter = _Waiter(signal, due, threading.current_thread().name)
        counted = getattr(self._thread, "depth", 0) > 0
        with self._condition:
            self._waiters.add(waiter)
            self._busy -= counted
            self._condition.notify_all()
        try:
            while not waiter.is_over(self.now()):
                left = None if due is None else max(due - self.now(), 0.0)
                signal.wait(left, until=lambda: waiter.is_over(self.now()))
        finally:
            with self._condition:
                self._waiters.discard(waiter)
                self._busy += counted
        return signal.is_set() or signal.touches != waiter.touches

    def rest(self) -> None:
        """Return when all of the stack only waits. Raises Unsettled after `patience_s` real seconds."""
        deadline = time.monotonic() + self._patience_s
        while True:
            with self._condition:
                if self._is_at_rest():
                    return
                if time.monotonic() > deadline:
                    waiting = ", ".join(sorted(waiter.thread for waiter in self._waiters))
                    raise Unsettled(f"still {self._busy} busy after {self._patience_s} s; waiting: {waiting}")
                # A waiter that is about to wake shows up without a notification, so look in short steps.
                self._condition.wait(0.02)
            # Time ticks on while others work, and may have passed the moment of one that sleeps until then.
            self._wake_who_is_due()

    def next_due(self) -> float | None:
        """The next moment (seconds since 1970) at which a waiter wakes by itself, None if there is none."""
        with self._condition:
            return min((waiter.due for waiter in self._waiters if waiter.due is not None), default=None)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; whatever becomes due in between runs at its moment."""
        target = self.now() + seconds
        self.rest()
        while (due := self.next_due()) is not None and due <= target:
            self._jump(due)
            self.rest()
        self._jump(target)
        self.rest()

    def settle(self, until: Callable[[], bool], limit_s: float) -> None:
        """Jump from one due moment to the next until `until()` holds while everything rests.

        Raises Unsettled if nothing is due any more, or if the next due moment is more than `limit_s` away
        from the start.
        """
        end = self.now() + limit_s
        while True:
            self.rest()
            if until():
                return
            due = self.next_due()
            if due is None:
                raise Unsettled("nothing is due any more and the condition does not hold")
            if due > end:
                raise Unsettled(f"the condition does not hold after {limit_s} s")
            self._jump(due)

    def _jump(self, to: float) -> None:
        if self._traveller is None:
            raise Unsettled("the virtual clock is not running")
        if to > self.now():
            # A millisecond more, because queues compare whole milliseconds and want "later than".
            self._traveller.move_to(to + 0.001)
        self._wake_who_is_due()

    def _wake_who_is_due(self) -> None:
        """Let the waiters whose moment has come see that it has."""
        now = self.now()
        with self._condition:
            due = [waiter for waiter in self._waiters if waiter.is_over(now)]
        for waiter in due:
            waiter.signal.poke()

    def _is_at_rest(self) -> bool:
        now = self.now()
        return self._busy == 0 and not any(waiter.is_over(now) for waiter in self._waiters)

    def _add_busy(self, number: int) -> None:
        with self._condition:
            self._busy += number
            self._condition.notify_all()
