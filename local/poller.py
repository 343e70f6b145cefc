"""Turns queue messages into batches for functions, as Lambda's event source mappings do."""

import logging
import threading
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends

from local.clock import Clock, Signal
from local.environment import current_caller
from local.functions import FunctionFailed, FunctionRunner
from local.meter import Meter
from local.queues import Queues

log = logging.getLogger(__name__)

_DEFAULT_CONCURRENCY = 5
"""Batches at a time where the template sets no maximum: what Lambda starts with."""


@dataclass(frozen=True)
class QueueMapping:
    """An event source mapping of a queue."""

    function: str
    queue_arn: str
    batch_size: int
    window_s: float
    partial_failures: bool
    concurrency: int
    enabled: bool

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> "QueueMapping":
        """From a resolved AWS::Lambda::EventSourceMapping."""
        return cls(
            function=str(properties["FunctionName"]),
            queue_arn=str(properties["EventSourceArn"]),
            batch_size=int(properties.get("BatchSize", 10)),
            window_s=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
            partial_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
            concurrency=int(
                properties.get("ScalingConfig", {}).get("MaximumConcurrency", _DEFAULT_CONCURRENCY)
            ),
            enabled=str(properties.get("Enabled", True)).lower() == "true",
        )


class Poller:
    """One thread for each mapping, and one for each batch that is being handled."""

    def __init__(
        self,
        mappings: list[QueueMapping],
        *,
        runner: FunctionRunner,
        queues: Queues,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._sources = [_Source(mapping, runner, queues, clock, meter) for mapping in mappings]

    def start(self) -> None:
        """Begin to receive."""
        for source in self._sources:
            source.start()

    def stop(self) -> None:
        """Receive nothing more; batches in flight end by themselves."""
        for source in self._sources:
            source.stop()

    def set_enabled(self, function: str, enabled: bool) -> None:
        """Switch the mappings of a function (by folder, logical id or ARN) off or on."""
        for source in self._sources:
            if source.feeds(function):
                source.set_enabled(enabled)


class _Source:
    """One mapping at work."""

    def __init__(
        self, mapping: QueueMapping, runner: FunctionRunner, queues: Queues, clock: Clock, meter: Meter
    ) -> None:
        self._mapping = mapping
        self._runner = runner
        self._queues = queues
        self._clock = clock
        self._meter = meter
        self._signal = Signal()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._enabled = mapping.enabled
        self._stopped = False
        _, _, _, region, account, name = mapping.queue_arn.split(":")
        self._backend: SQSBackend = sqs_backends[account][region]
        self._queue: Queue = self._backend.get_queue(name)
        self._region = region

    def start(self) -> None:
        self._queues.watch(self._queue, self._signal)
        context = copy_context()
        context.run(current_caller.set, "poller")
        self._clock.spawn(self._run, name=f"poller {self._queue.name}", context=context)

    def stop(self) -> None:
        self._stopped = True
        self._signal.set()

    def feeds(self, function: str) -> bool:
        return self._runner.find(function) == self._runner.find(self._mapping.function)

    def set_enabled(self, enabled: bool) -> None:
        self._enabled = enabled
        self._signal.set()

    def _run(self) -> None:
        while not self._stopped:
            self._signal.clear()
            messages = self._receive(self._mapping.batch_size) if self._may_receive() else []
            if messages:
                messages = self._fill(messages)
                with self._lock:
                    self._in_flight += 1
                self._clock.spawn(partial(self._handle, messages), name=f"batch {self._queue.name}")
                continue
            self._clock.wait(self._signal, self._seconds_to_next())

    def _may_receive(self) -> bool:
        return self._enabled and self._in_flight < self._mapping.concurrency

    def _receive(self, count: int) -> list[Message]:
        messages = self._queues.receive(self._backend, self._queue, min(count, 10))
        if messages:
            self._meter.count_call("sqs", "ReceiveMessage", "poller")
        return messages

    def _fill(self, messages: list[Message]) -> list[Message]:
        """Wait for more messages as long as the batching window allows."""
        due = self._clock.now() + self._mapping.window_s
        while len(messages) < self._mapping.batch_size and (left := due - self._clock.now()) > 0:
            self._signal.clear()
            more = self._receive(self._mapping.batch_size - len(messages))
            messages += more
            if not more:
                self._clock.wait(self._signal, left)
        return messages

    def _seconds_to_next(self) -> float | None:
        if not self._may_receive():
            return None  # the end of a batch or `set_enabled` sets the signal
        due = self._queues.next_visible(self._queue)
        return None if due is None else max(due - self._clock.now(), 0.0) + 0.001

    def _handle(self, messages: list[Message]) -> None:
        try:
            done = self._invoke(messages)
            if done:
                self._queues.delete(self._queue, done)
                self._meter.count_call("sqs", "DeleteMessageBatch", "poller")
        finally:
            with self._lock:
                self._in_flight -= 1
            self._signal.set()

    def _invoke(self, messages: list[Message]) -> list[Message]:
        """Call the function; the messages it is done with. The others come back when they are visible."""
        event = {"Records": [self._record(message) for message in messages]}
        try:
            answer = self._runner.invoke(self._mapping.function, event)
        except FunctionFailed as failure:
            log.warning("%s failed with a batch of %d: %s", self._mapping.function, len(messages), failure)
            return []
        if not self._mapping.partial_failures:
            return messages
        failed = _failed_ids(answer, {message.id for message in messages})
        return [] if failed is None else [message for message in messages if message.id not in failed]

    def _record(self, message: Message) -> dict[str, Any]:
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.approximate_receive_count),
                "SentTimestamp": str(message.sent_timestamp),
                "SenderId": message.sender_id,
                "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
            },
            "messageAttributes": {
                name: _record_attribute(value) for name, value in message.message_attributes.items()
            },
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": self._mapping.queue_arn,
            "awsRegion": self._region,
        }


def _record_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value.get("DataType"),
    }
    for here, there in (("StringValue", "stringValue"), ("BinaryValue", "binaryValue")):
        if value.get(here) is not None:
            attribute[there] = value[here]
    return attribute


def _failed_ids(answer: Any, batch: set[str]) -> set[str] | None:
    """The failed message ids of a partial batch response; None if Lambda takes the whole batch as failed.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html: nothing, null or an empty
    list means success; an answer of another shape, or an id that is not in the batch, fails all.
    """
    if answer is None or answer == {}:
        return set()
    if not isinstance(answer, dict):
        return None
    items = answer.get("batchItemFailures")
    if items is None:
        return set()
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    failed = {item.get("itemIdentifier") for item in items}
    return failed if failed <= batch else None
