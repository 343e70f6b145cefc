"""EventBridge: schedules fire, rules deliver, and the events that AWS services send by themselves are sent.

A target is a function or a state machine; moto delivers to queues and log groups itself. A function is called
asynchronously, so it is tried again after one and after two more minutes, like Lambda does.
"""

import copy
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.events.models import EventsBackend, Rule, events_backends
from moto.events.utils import EventTemplateParser
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from local.clock import Clock, Signal
from local.cron import next_fire
from local.environment import current_caller, current_invocation
from local.functions import FunctionFailed, FunctionRunner
from local.replacement import replaced

log = logging.getLogger(__name__)

_RETRY_DELAYS_S = (60, 120)


@dataclass(frozen=True)
class Schedule:
    """Something that fires by the clock."""

    name: str
    expression: str
    target_arn: str
    input: Any
    arn: str
    """Of the rule; empty for the newer EventBridge Scheduler, whose targets get the input alone."""


def schedules_of_rule(
    logical_id: str, properties: Mapping[str, Any], account: str, region: str
) -> Iterator[Schedule]:
    """The schedules of a resolved AWS::Events::Rule, one for each target."""
    if "ScheduleExpression" in properties and properties.get("State", "ENABLED") == "ENABLED":
        name = properties.get("Name", logical_id)
        for target in properties.get("Targets", []):
            text = target.get("Input")
            yield Schedule(
                name,
                properties["ScheduleExpression"],
                target["Arn"],
                None if text is None else json.loads(text),
                f"arn:aws:events:{region}:{account}:rule/{name}",
            )


def schedule_of_scheduler(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Schedule]:
    """The schedule of a resolved AWS::Scheduler::Schedule."""
    if properties.get("State", "ENABLED") == "ENABLED":
        target = properties["Target"]
        event = json.loads(target["Input"]) if "Input" in target else {}
        yield Schedule(
            properties.get("Name", logical_id), properties["ScheduleExpression"], target["Arn"], event, ""
        )


class EventBus:
    """The default event bus and the schedules of one stack."""

    def __init__(
        self,
        schedules: list[Schedule],
        *,
        runner: FunctionRunner,
        clock: Clock,
        account: str,
        region: str,
    ) -> None:
        self._schedules = [(schedule, next_fire(schedule.expression)) for schedule in schedules]
        self._runner = runner
        self._clock = clock
        self._account = account
        self._region = region
        self._signal = Signal()
        self._stopped = False
        self._paused = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Fire schedules and deliver to functions and state machines while the block runs."""
        original = Rule.send_to_targets

        def send_to_targets(rule: Rule, event: Any, transform_input: bool = True) -> None:
            mine = [target for target in rule.targets if _is_ours(target["Arn"])]
            if len(mine) < len(rule.targets):
                others = copy.copy(rule)
                others.targets = [target for target in rule.targets if target not in mine]
                original(others, event, transform_input)
            if (
                mine
                and not self._stopped
                and rule.state == "ENABLED"
                and rule.event_pattern.dump()  # a schedule's rule has none, and would match everything
                and rule.event_pattern.matches_event(event)
            ):
                for target in mine:
                    self._deliver(target["Arn"], _input(target, _as_sent(event)))

        with replaced(Rule, "send_to_targets", send_to_targets):
            self._spawn(self._run, "schedules")
            try:
                yield
            finally:
                self.stop()

    def stop(self) -> None:
        """Fire and deliver nothing more."""
        self._stopped = True
        self._signal.set()

    def pause_schedules(self) -> None:
        """Fire nothing until `resume_schedules`; rules still deliver."""
        self._paused = True
        self._signal.set()

    def resume_schedules(self) -> None:
        """Fire again, counting from now."""
        self._paused = False
        self._signal.set()

    def send(self, source: str, detail_type: str, resources: list[str], detail: Mapping[str, Any]) -> None:
        """Send an event as an AWS service does."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._account,
            "time": self._now(),
            "region": self._region,
            "resources": resources,
            "detail": dict(detail),
        }
        backend: EventsBackend = events_backends[self._account][self._region]
        for rule in list(backend.event_buses["default"].rules.values()):
            if not rule.scheduled_expression:
                rule.send_to_targets(event)  # type: ignore[arg-type]  # moto types the time as a number

    def execution_changed(self, execution: Any) -> None:
        """Send `Step Functions Execution Status Change` for moto's `execution`.

        https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
        """
        stopped = execution.stop_date
        self.send(
            "aws.states",
            "Step Functions Execution Status Change",
            [execution.exec_arn],
            {
                "executionArn": execution.exec_arn,
                "stateMachineArn": execution.state_machine.arn,
                "name": execution.name,
                "status": str(getattr(execution.exec_status, "value", execution.exec_status)),
                "startDate": int(execution.start_date.timestamp() * 1000),
                "stopDate": None if stopped is None else int(stopped.timestamp() * 1000),
                "input": execution.execution_input,
                "output": None if execution.output is None else json.dumps(execution.output),
                "inputDetails": {"included": True},
                "outputDetails": None if execution.output is None else {"included": True},
                "error": execution.error,
                "cause": execution.cause,
            },
        )

    def _run(self) -> None:
        now = self._clock.now()
        due = {index: fire(now) for index, (_, fire) in enumerate(self._schedules)}
        while not self._stopped:
            self._signal.clear()
            now = self._clock.now()
            if self._paused:
                self._clock.wait(self._signal, None)
                now = self._clock.now()
                due = {index: fire(now) for index, (_, fire) in enumerate(self._schedules)}
                continue
            for index, (schedule, fire) in enumerate(self._schedules):
                moment = due[index]
                if moment is not None and moment <= now:
                    self._fire(schedule)
                    due[index] = fire(now)
            upcoming = [moment for moment in due.values() if moment is not None]
            self._clock.wait(self._signal, min(upcoming) - self._clock.now() if upcoming else None)

    def _fire(self, schedule: Schedule) -> None:
        event = schedule.input
        if event is None:
            event = {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": self._account,
                "time": self._now(),
                "region": self._region,
                "resources": [schedule.arn],
                "detail": {},
            }
        self._deliver(schedule.target_arn, event)

    def _deliver(self, arn: str, event: Any) -> None:
        if ":states:" in arn:
            stepfunctions_parser_backends[self._account][self._region].start_execution(
                arn, str(uuid.uuid4()), json.dumps(event)
            )
        else:
            self._spawn(lambda: self._call(arn, event), "event")

    def _call(self, arn: str, event: Any) -> None:
        for delay_s in (*_RETRY_DELAYS_S, None):
            try:
                self._runner.invoke(arn, event)
                return
            except FunctionFailed as failure:
                log.warning("%s failed with an event: %s", arn, failure)
            if delay_s is not None:
                self._clock.sleep(delay_s)
            if self._stopped:
                return

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        context = copy_context()
        context.run(current_caller.set, "schedule")
        context.run(current_invocation.set, None)
        self._clock.spawn(target, name=name, context=context)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_ours(arn: str) -> bool:
    return ":lambda:" in arn or ":states:" in arn


def _as_sent(event: Any) -> Any:
    """moto's own events carry the time as a number, and those of S3 all have one id."""
    moment = event.get("time")
    if isinstance(moment, str):
        return event
    if event.get("source") == "aws.s3":
        event = {**event, "id": str(uuid.uuid4())}
    return {**event, "time": datetime.fromtimestamp(float(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _input(target: Mapping[str, Any], event: Any) -> Any:
    if "Input" in target:
        return json.loads(target["Input"])
    transformer = target.get("InputTransformer")
    if transformer is None:
        return event
    return EventTemplateParser.parse(
        input_template=transformer.get("InputTemplate"),
        input_paths_map=transformer.get("InputPathsMap", {}),
        event=event,
    )
