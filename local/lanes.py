"""Who may use the one interpreter that all functions share: whoever waits for an answer over HTTP goes first.

On Lambda each call has a processor of its own. Here a flood of cases would make a sender, or a person who
opens the inbox, wait behind all of them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Lanes:
    """A fast lane without a limit, and a slow one that narrows while somebody is in the fast one."""

    def __init__(self, *, width: int, beside: int) -> None:
        """The slow lane takes `width` calls at a time, and `beside` while there is a call in the fast one."""
        self._width = width
        self._beside = beside
        self._fast = 0
        self._slow = 0
        self._changed = threading.Condition(threading.Lock())

    @contextmanager
    def fast(self) -> Iterator[None]:
        """For a call that somebody waits for."""
        with self._changed:
            self._fast += 1
        try:
            yield
        finally:
            with self._changed:
                self._fast -= 1
                self._changed.notify_all()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """For a call of a queue, a machine or an event: waits until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._slow < (self._beside if self._fast else self._width))
            self._slow += 1
        try:
            yield
        finally:
            with self._changed:
                self._slow -= 1
                self._changed.notify_all()
