"""Days of a machine's life in seconds, on the virtual clock."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.clock import VirtualClock
from local.stack import Stack

TEMPLATE = Path(__file__).parent / "fixtures" / "app" / "template.yaml"
HOUR = 3600


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(TEMPLATE, clock=VirtualClock()) as stack:
        stack.event_bus.pause_schedules()
        yield stack


def _start(stack: Stack, name: str, kind: str, **values: Any) -> str:
    return stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.resource("Flow"),
        name=name,
        input=json.dumps({"kind": kind, "text": "t", **values}),
    )["executionArn"]


def _describe(stack: Stack, arn: str) -> dict[str, Any]:
    return stack.client("stepfunctions").describe_execution(executionArn=arn)


@pytest.mark.parametrize(
    ("kind", "values", "takes_s", "output"),
    [
        ("wait", {}, 75 * HOUR, {"kind": "wait", "text": "t"}),
        ("hold", {}, 72 * HOUR, {"error": "expired"}),
        ("flaky", {}, 600 + 1200, {"text": "t", "count": 1, "none": None}),
        ("both", {}, HOUR, ["left", "t"]),
        ("post", {"silent": True}, 900, {"error": "timeout"}),
        ("post", {}, 0, {"posted": "t"}),
    ],
)
def test_a_machine_takes_its_time(stack, kind, values, takes_s, output) -> None:
    started, real = stack.clock.now(), time.monotonic()
    arn = _start(stack, "one", kind, **values)
    stack.settle(lambda: _describe(stack, arn)["status"] != "RUNNING", limit_s=80 * HOUR)
    assert json.loads(_describe(stack, arn)["output"]) == output
    assert stack.clock.now() - started == pytest.approx(takes_s, abs=10)
    assert time.monotonic() - real < 10


@pytest.mark.parametrize("kind", ["wait", "hold", "both"])
def test_a_stopped_execution_ends_at_once(stack: Stack, kind: str) -> None:
    arn = _start(stack, "stopped", kind)
    stack.clock.rest()
    stack.client("stepfunctions").stop_execution(executionArn=arn, error="Operator", cause="enough")
    stack.clock.rest()
    assert _describe(stack, arn)["status"] == "ABORTED"
    history = stack.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    assert history[-1]["type"] == "ExecutionAborted"
    sent = stack.client("dynamodb").scan(TableName=stack.resource("NotesTable"))["Items"]
    statuses = [json.loads(item["event"]["S"])["detail"]["status"] for item in sent if "event" in item]
    assert statuses == ["ABORTED"]


def test_a_machine_s_own_timeout(stack: Stack) -> None:
    arn = _start(stack, "first", "hold")
    token_wait = 72 * HOUR
    stack.clock.advance(token_wait - 60)
    assert _describe(stack, arn)["status"] == "RUNNING"
    stack.clock.advance(120)
    assert _describe(stack, arn)["status"] == "SUCCEEDED"


def test_a_failing_batch_comes_back_after_its_visibility_and_then_goes_to_the_dead_letters(
    stack: Stack,
) -> None:
    queue, started = stack.client("sqs"), stack.clock.now()
    queue.send_message(QueueUrl=stack.resource("WorkQueue"), MessageBody="fatal")

    def dead_letters() -> int:
        attributes = queue.get_queue_attributes(
            QueueUrl=stack.resource("WorkDeadLetters"), AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    stack.settle(dead_letters, limit_s=HOUR)
    assert stack.clock.now() - started == pytest.approx(120, abs=5)
    assert stack.meter.snapshot().invocations["work"] == 2


def test_a_delayed_message_waits(stack: Stack) -> None:
    stack.client("sqs").send_message(
        QueueUrl=stack.resource("WorkQueue"), MessageBody="later", DelaySeconds=600
    )
    stack.clock.advance(590)
    assert "work" not in stack.meter.snapshot().invocations
    stack.clock.advance(15)
    assert stack.meter.snapshot().invocations["work"] == 1


def test_schedules_fire(stack: Stack) -> None:
    stack.clock.advance(HOUR)
    assert "sweep" not in stack.meter.snapshot().invocations
    stack.event_bus.resume_schedules()
    stack.clock.advance(HOUR + 30)
    assert stack.meter.snapshot().invocations["sweep"] == 12
