"""The offline AWS: `template.yaml`, its state machines and its functions, running in this process.

    with Stack() as stack:
        answer = stack.request("POST", "/webhooks/webhook", body=b"...")
        stack.wait_for(lambda: ...)

Only one stack can run in a process at a time, because it stands in for the process's AWS, environment and
standard output.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import boto3
from moto import mock_aws
from moto.awslambda.models import LambdaBackend

from local.bedrock_calls import bedrock_in_process
from local.calls import watched_calls
from local.clock import Clock, VirtualClock
from local.engine import Engine
from local.environment import Invocation, function_environments, function_output
from local.events import EventBus, Schedule, schedule_of_scheduler, schedules_of_rule
from local.faults import Faults
from local.functions import Function, FunctionFailed, FunctionRunner, UnknownFunction
from local.gateway import Gateway, Response, read_routes
from local.jsonata import jsonata_in_moto
from local.meter import Meter
from local.permissions import Permissions
from local.poller import Poller, QueueMapping
from local.powertools import loggers_print_here, metrics_per_invocation, requests_per_invocation
from local.process import (
    aws_credentials,
    forget_cached_values,
    layers_on_path,
    quiet_engine_log,
    shared_environment,
)
from local.queues import Queues
from local.replacement import replaced
from local.shortcuts import shortcuts
from local.stores import atomic_stores
from local.template import ACCOUNT, REGION, Deployment, deploy

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ROOT = Path(__file__).resolve().parent.parent
LOG_LINES = 2000
"""How many lines of function output `Stack.logs` keeps."""

_running = threading.Lock()


class LocalBedrock(Protocol):
    """The offline Bedrock (`local.bedrock`), or None for a stack that needs none."""

    @property
    def wsgi_app(self) -> "WSGIApplication":
        """Answers Bedrock's requests."""


class Impatient(AssertionError):
    """What was waited for did not come true in time."""


@dataclass(frozen=True)
class LogLine:
    """A line a function printed: JSON as an object, anything else as text."""

    function: str
    request_id: str
    line: Any


class Stack:
    """One deployment of a template, from `start` to `stop`."""

    def __init__(
        self,
        template: Path = ROOT / "template.yaml",
        *,
        parameters: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        bedrock: LocalBedrock | None = None,
        on_log: Callable[[LogLine], None] | None = None,
    ) -> None:
        """Describe a stack; nothing happens before `start`.

        `parameters` are the template's, `environment` is added to every function's (such as
        `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`), `on_log` sees each line that a function prints.
        """
        self._template = template
        self._parameters = dict(parameters or {})
        self._environment = dict(environment or {})
        self._on_log = on_log
        self._resources = ExitStack()
        self._tokens_lock = threading.Lock()
        self._token: str | None = None
        self._clients: dict[str, Any] = {}
        self.clock = clock or Clock()
        self.bedrock = bedrock
        self.meter = Meter()
        self.faults = Faults()
        self.logs: deque[LogLine] = deque(maxlen=LOG_LINES)

    def start(self) -> Self:
        """Deploy and run. Raises TemplateError, or RuntimeError if another stack runs in this process."""
        if not _running.acquire(blocking=False):
            raise RuntimeError("another stack is running in this process")
        try:
            with ExitStack() as resources:
                resources.callback(_running.release)
                self._start(resources)
                self._resources = resources.pop_all()
        except BaseException:
            self._resources = ExitStack()
            raise
        return self

    def stop(self) -> None:
        """End everything that runs. Data is gone afterwards."""
        self._resources.close()
        self._clients.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def outputs(self) -> dict[str, str]:
        """The template's outputs."""
        return self._deployment.outputs

    @property
    def token(self) -> str:
        """The bearer token of the person who runs the stack, an operator."""
        with self._tokens_lock:
            if self._token is None:
                self._token = self.add_person(
                    "local", groups=(self._parameters.get("OperatorGroup", "operators"),)
                )
            return self._token

    @property
    def functions(self) -> list[Function]:
        """Every function of the template."""
        return self._runner.functions

    @property
    def permissions(self) -> Permissions:
        """What the template's roles allow its functions."""
        return Permissions(self._deployment)

    def resource(self, logical_id: str) -> str:
        """The physical id (name, URL or ARN: what `Ref` gives) of a resource. Raises KeyError."""
        return self._deployment.physical_id(logical_id)

    def client(self, service: str) -> Any:
        """A boto3 client that talks to this stack."""
        if service not in self._clients:  # making one costs more than most calls
            self._clients[service] = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]  # any service by name
        return self._clients[service]

    def invoke(self, function: str, event: Any) -> Any:
        """The result of a function, by folder, logical id or ARN. Raises FunctionFailed, UnknownFunction."""
        return self._runner.invoke(function, event)

    def add_person(self, name: str, tenant: str = "default", groups: tuple[str, ...] = ()) -> str:
        """A bearer token for another person; groups become `[a b]`, as API Gateway passes lists on."""
        claims = {"sub": name, "name": name, "tenant": tenant}
        if groups:
            claims["groups"] = f"[{' '.join(groups)}]"
        return self._gateway.add_person(claims)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        token: str | None = None,
    ) -> Response:
        """Send a request through the gateway, without sockets; `path` may have a query."""
        pairs = [("host", "localhost"), *(headers or {}).items()]
        if token is not None:
            pairs.append(("authorization", f"Bearer {token}"))
        return self._gateway.handle(method, path, pairs, body)

    def wait_for(self, predicate: Callable[[], Any], timeout_s: float = 10.0) -> Any:
        """The first true value of `predicate()`. Raises Impatient after `timeout_s` real seconds."""
        deadline = time.monotonic() + timeout_s
        pause_s = 0.002
        while not (value := predicate()):
            if time.monotonic() > deadline:
                raise Impatient(f"not true after {timeout_s} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.05)
        return value

    def settle(self, until: Callable[[], Any], limit_s: float = 86400.0) -> None:
        """Let time jump from one due moment to the next until `until()` holds. Needs a VirtualClock.

        Raises clock.Unsettled if it never does within `limit_s` of the clock's seconds.
        """
        if not isinstance(self.clock, VirtualClock):
            raise TypeError("only a stack with a VirtualClock settles; use wait_for")
        self.clock.settle(lambda: bool(until()), limit_s)

    @property
    def gateway(self) -> Gateway:
        """Answers HTTP requests; `local.server` puts it on a port."""
        return self._gateway

    @property
    def poller(self) -> Poller:
        """Feeds queues to functions."""
        return self._poller

    @property
    def event_bus(self) -> EventBus:
        """Fires schedules and delivers events."""
        return self._event_bus

    def warm(self) -> dict[str, float]:
        """Import every function now; the seconds each took."""
        return self._runner.warm()

    def redeploy_functions(self) -> None:
        """Let every function start cold again, with nothing cached, as new versions of them would."""
        self._runner.unload()
        forget_cached_values(self._runner.functions)

    def _start(self, resources: ExitStack) -> None:
        queues = Queues(self.clock)
        engine = Engine(
            clock=self.clock,
            runner=lambda: self._runner,
            meter=self.meter,
            on_status=self._on_status,
        )
        resources.enter_context(quiet_engine_log())
        resources.enter_context(self.clock)
        resources.enter_context(aws_credentials())
        resources.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        resources.enter_context(shortcuts())
        resources.enter_context(jsonata_in_moto())
        resources.enter_context(atomic_stores())
        if self.bedrock is not None:
            resources.enter_context(bedrock_in_process(self.bedrock.wsgi_app))
        resources.enter_context(metrics_per_invocation())
        resources.enter_context(requests_per_invocation())
        resources.enter_context(queues.installed())
        resources.enter_context(engine.installed())
        resources.enter_context(replaced(LambdaBackend, "invoke", self._invoke_by_api))
        self._deployment = deploy(self._template, self._parameters)
        functions = self._deployment.functions(self._environment)
        self._runner = FunctionRunner(functions, clock=self.clock, meter=self.meter)
        resources.callback(self._runner.unload)
        resources.enter_context(watched_calls(self.meter, self.faults))
        resources.enter_context(function_environments(shared_environment(functions)))
        resources.enter_context(function_output(self._log))
        resources.enter_context(loggers_print_here())
        resources.enter_context(layers_on_path(functions))
        forget_cached_values(functions)
        self._gateway = self._make_gateway()
        self._event_bus = EventBus(
            list(_schedules(self._deployment)),
            runner=self._runner,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        resources.enter_context(self._event_bus.running())
        mappings = self._deployment.resources("AWS::Lambda::EventSourceMapping")
        self._poller = Poller(
            [QueueMapping.from_properties(properties) for _, properties in mappings],
            runner=self._runner,
            queues=queues,
            clock=self.clock,
            meter=self.meter,
        )
        self._poller.start()
        resources.callback(self._wind_down, engine)

    def _wind_down(self, engine: Engine) -> None:
        """End every thread of the stack while AWS still stands, so that none acts in a later stack."""
        self._poller.stop()
        self._event_bus.stop()
        engine.stop()
        self._runner.kill()
        self.clock.end_threads(patience_s=2.0)

    def _make_gateway(self) -> Gateway:
        routes, api_id = [], "local"
        for logical_id, properties in self._deployment.resources("AWS::ApiGatewayV2::Api"):
            api_id = self._deployment.physical_id(logical_id)
            routes += read_routes(properties.get("Body", {}))
        return Gateway(routes, runner=self._runner, clock=self.clock, api_id=api_id, account=ACCOUNT)

    def _on_status(self, execution: Any) -> None:
        self._event_bus.execution_changed(execution)

    def _log(self, invocation: Invocation, line: str) -> None:
        try:
            content = json.loads(line)
        except ValueError:
            content = line
        entry = LogLine(invocation.function, invocation.request_id, content)
        self.logs.append(entry)
        if self._on_log is not None:
            self._on_log(entry)

    def _invoke_by_api(
        self,
        function_name: str,
        qualifier: str | None,  # noqa: ARG002  (moto's interface)
        body: bytes | str,
        headers: Mapping[str, str],
        response_headers: dict[str, str],
    ) -> bytes | None:
        """Lambda's Invoke for whoever calls it through boto3 or over HTTP, in place of moto's."""
        event = json.loads(body or "{}")
        try:
            self._runner.find(function_name)
        except UnknownFunction:
            return None
        if headers.get("X-Amz-Invocation-Type") == "Event":
            self.clock.spawn(lambda: self._invoke_quietly(function_name, event), name="event")
            return b""
        try:
            payload = self._runner.invoke(function_name, event)
        except FunctionFailed as failure:
            response_headers["x-amz-function-error"] = "Unhandled"
            payload = failure.to_payload()
        return json.dumps(payload).encode()

    def _invoke_quietly(self, function_name: str, event: Any) -> None:
        try:
            self._runner.invoke(function_name, event)
        except FunctionFailed as failure:
            logging.getLogger(__name__).warning("%s failed with an event: %s", function_name, failure)


def _schedules(deployment: Deployment) -> Iterator[Schedule]:
    for logical_id, properties in deployment.resources("AWS::Events::Rule"):
        yield from schedules_of_rule(logical_id, properties, ACCOUNT, REGION)
    for logical_id, properties in deployment.resources("AWS::Scheduler::Schedule"):
        yield from schedule_of_scheduler(logical_id, properties)
