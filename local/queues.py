"""moto's SQS, made safe for many threads and quick to say that a message is there."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from moto.sqs.models import Message, Queue, SQSBackend

from local.clock import Clock, Signal
from local.replacement import replaced

_LONG_POLL_STEP_S = 0.05


class Queues:
    """The queues of one stack. The methods take moto's queue objects; the poller uses them without boto3."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._signals: dict[str, list[Signal]] = defaultdict(list)
        self._receive: Callable[..., list[Message]] = SQSBackend.receive_message

    def watch(self, queue: Queue, signal: Signal) -> None:
        """Set `signal` whenever a message of `queue` may have become available."""
        self._signals[queue.queue_arn].append(signal)

    def receive(self, backend: SQSBackend, queue: Queue, count: int) -> list[Message]:
        """Up to `count` messages that are visible now, hidden for the queue's visibility timeout."""
        with self._lock:
            if not queue._messages:
                return []
            timeout_s: int = queue.visibility_timeout  # type: ignore[attr-defined]
            return self._receive(backend, queue.name, count, 0, timeout_s, ["All"])

    def delete(self, queue: Queue, messages: list[Message]) -> None:
        """Take handled messages away."""
        with self._lock:
            gone = {message.id for message in messages}
            queue.pending_messages.difference_update([m for m in queue._messages if m.id in gone])
            queue._messages = [message for message in queue._messages if message.id not in gone]

    def next_visible(self, queue: Queue) -> float | None:
        """When (seconds since 1970) the next hidden message becomes visible; None if none is hidden."""
        with self._lock:
            moments = [max(message.visible_at, message.delayed_until) for message in queue._messages]
        return min(moments) / 1000 if moments else None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Change moto's queues while the block runs."""
        original_add = Queue.add_message
        original_visibility = SQSBackend.change_message_visibility

        def add_message(queue: Queue, message: Message) -> None:
            with self._lock:
                original_add(queue, message)
            self._notify(queue)

        def receive_message(
            backend: SQSBackend,
            queue_name: str,
            count: int,
            wait_seconds_timeout: int,
            visibility_timeout: int,
            message_attribute_names: list[str] | None = None,
        ) -> list[Message]:
            deadline = self._clock.now() + (wait_seconds_timeout or 0)
            while True:
                with self._lock:
                    messages = self._receive(
                        backend, queue_name, count, 0, visibility_timeout, message_attribute_names
                    )
                left = deadline - self._clock.now()
                if messages or left <= 0:
                    return messages
                self._clock.sleep(min(left, _LONG_POLL_STEP_S))

        def change_visibility(
            backend: SQSBackend, queue_name: str, receipt_handle: str, visibility_timeout: int
        ) -> None:
            with self._lock:
                original_visibility(backend, queue_name, receipt_handle, visibility_timeout)
            self._notify(backend.get_queue(queue_name))

        def locked(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                with self._lock:
                    return original(*args, **kwargs)

            return call

        with ExitStack() as stack:
            stack.enter_context(replaced(Queue, "add_message", add_message))
            stack.enter_context(replaced(Queue, "delete_message", locked(Queue.delete_message)))
            stack.enter_context(replaced(SQSBackend, "purge_queue", locked(SQSBackend.purge_queue)))
            stack.enter_context(replaced(SQSBackend, "receive_message", receive_message))
            stack.enter_context(replaced(SQSBackend, "change_message_visibility", change_visibility))
            yield

    def _notify(self, queue: Queue) -> None:
        for signal in self._signals.get(queue.queue_arn, ()):
            signal.set()
