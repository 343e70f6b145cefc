"""The deployed program, offline: a desk from which a test sends events and decides, on time that it moves."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from countersign.signatures import sign_standard_webhook
from local.clock import VirtualClock
from local.gateway import Response as Answer
from local.offline import OfflineApp
from local.server import Server

KNOWLEDGE = Path(__file__).parent / "fixtures" / "knowledge"
ENDED = ("delivered", "rejected", "expired", "blocked", "failed")
START = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)

Json = dict[str, Any]


@dataclass(frozen=True)
class Received:
    """A request that somebody's listener got."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        parsed: Json = json.loads(self.body)
        return parsed


@dataclass
class Listener:
    """A receiver of callbacks on loopback. It answers 200 unless told otherwise, one answer a request."""

    received: list[Received] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._server = Server(self._app)
        self.url = f"{self._server.url}/replies"

    def _app(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        got = Received(request.path, {k.lower(): v for k, v in request.headers.items()}, request.get_data())
        with self._lock:
            self.received.append(got)
            status, headers = self.answers.pop(0) if self.answers else (200, {})
        return Response(status=status, headers=headers)(environ, start_response)

    def __enter__(self) -> "Listener":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


class Desk:
    """A sender, a person and the clock of one offline app."""

    def __init__(self, app: OfflineApp, listener: Listener) -> None:
        self.app = app
        self.stack = app.stack
        self.listener = listener
        self.token = app.token

    # The sender.

    def post(self, data: Json, event_id: str | None = None) -> Answer:
        """A signed `case.opened` on the source `webhook`."""
        now = self.stack.clock.now()
        event = {"type": "case.opened", "timestamp": dt.datetime.fromtimestamp(now, dt.UTC).isoformat()}
        body = json.dumps({**event, "data": data}).encode()
        headers = sign_standard_webhook(
            self.app.secret("webhook"), event_id or f"msg_{uuid.uuid4().hex}", int(now), body
        )
        return self.stack.request(
            "POST", "/webhooks/webhook", headers={"content-type": "application/json", **headers}, body=body
        )

    def send(self, text: str, subject: str = "A question", **data: Any) -> str:
        """The case that an event opened."""
        event = {
            "id": f"T-{uuid.uuid4().hex[:6]}",
            "subject": subject,
            "text": text,
            "author": "reader@example.com",
            "callback_url": self.listener.url,
            **data,
        }
        answer = self.post(event)
        assert answer.status == 202, answer.body
        case_id: str = answer.json()["case_id"]
        return case_id

    # The person.

    def get(self, path: str) -> Any:
        answer = self.stack.request("GET", path, token=self.token)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json()

    def case(self, case_id: str) -> Json:
        found: Json = self.get(f"/cases/{case_id}")
        return found

    def status(self, case_id: str) -> str | None:
        answer = self.stack.request("GET", f"/cases/{case_id}", token=self.token)
        return None if answer.status == 404 else str(answer.json()["status"])

    def card(self, case_id: str) -> Json:
        found: Json = self.get(f"/approvals/{self.case(case_id)['approval_id']}")
        return found

    def decide(self, case_id: str, verdict: str, **words: str) -> Answer:
        """A decision on what the card shows now."""
        card = self.card(case_id)
        body = {"verdict": verdict, "shown_sha256": card["shown_sha256"], **words}
        return self.stack.request(
            "POST",
            f"/approvals/{card['approval_id']}/decision",
            headers={"content-type": "application/json"},
            body=json.dumps(body).encode(),
            token=self.token,
        )

    # The clock.

    def until(self, condition: Callable[[], Any], days: float = 0.01) -> None:
        """Lets time pass, from one due moment to the next, until the condition holds."""
        self.stack.settle(condition, limit_s=days * 86_400)

    def until_status(self, case_id: str, *statuses: str, days: float = 0.01) -> Json:
        """Lets time pass until the case has one of the statuses; one that ended otherwise fails the test."""

        def reached() -> bool:
            status = self.status(case_id)
            if status in ENDED and status not in statuses:
                raise AssertionError(f"{case_id} is {status}: {self.case(case_id)['timeline']}")
            return status in statuses

        self.until(reached, days)
        return self.case(case_id)

    def waiting(self, case_id: str) -> Json:
        """The card that a person is shown, once they are."""
        self.until_status(case_id, "awaiting_approval")
        return self.card(case_id)

    # The operator.

    def execution(self, case_id: str) -> Json:
        """The execution of a case as Step Functions describes it."""
        arn = self.stack.resource("HandleCase").replace(":stateMachine:", ":execution:")
        described: Json = self.stack.client("stepfunctions").describe_execution(
            executionArn=f"{arn}:{case_id}"
        )
        return described

    def answer_task(self, case_id: str, output: Json) -> None:
        """What an operator types into the console's shell, with the token that the history shows."""
        arn = self.execution(case_id)["executionArn"]
        client = self.stack.client("stepfunctions")
        tokens = [
            json.loads(event["taskScheduledEventDetails"]["parameters"])["Payload"]["task_token"]
            for event in client.get_execution_history(executionArn=arn)["events"]
            if "waitForTaskToken" in event.get("taskScheduledEventDetails", {}).get("resource", "")
        ]
        client.send_task_success(taskToken=tokens[-1], output=json.dumps(output))

    def dead_letters(self, queue: str) -> int:
        """How many messages lie in a queue of dead letters."""
        answer = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.resource(queue), AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def events(self, case_id: str) -> list[str]:
        """The names of what happened, in order."""
        return [line["event"] for line in self.case(case_id)["timeline"]]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture
def parameters() -> dict[str, str]:
    """The template's parameters; a test overrides it by `@pytest.mark.parametrize`."""
    return {}


class Apps:
    """The offline app of a module's tests: started once for each set of parameters, clean for each test."""

    def __init__(self) -> None:
        self._app: OfflineApp | None = None
        self._parameters: dict[str, str] = {}

    def get(self, parameters: dict[str, str]) -> OfflineApp:
        if self._app is None or parameters != self._parameters:
            self.stop()
            self._app = OfflineApp(
                knowledge=KNOWLEDGE, clock=VirtualClock(START), parameters=parameters
            ).start()
            self._parameters = parameters
            # Time jumps over days here; what sweeps has tests of its own.
            self._app.stack.event_bus.pause_schedules()
            self._allowed = self._app.stack.permissions.fault
        # A function may do here what its role allows it on AWS.
        self._app.stack.faults.add(self._allowed)
        return self._app

    def clean(self) -> None:
        """Takes away what a test injected, and ends the cases that it left waiting."""
        assert self._app is not None
        stack = self._app.stack
        stack.faults.clear()
        self._app.bedrock.clear_script()
        self._app.bedrock.clear_requests()
        self._app.outbox.clear()
        steps = stack.client("stepfunctions")
        running = steps.list_executions(
            stateMachineArn=stack.resource("HandleCase"), statusFilter="RUNNING", maxResults=1000
        )["executions"]
        for execution in running:
            steps.stop_execution(executionArn=execution["executionArn"])
        stack.settle(lambda: True)

    def stop(self) -> None:
        if self._app is not None:
            self._app.stop()
            self._app = None


@pytest.fixture(scope="module")
def apps() -> Iterator[Apps]:
    apps = Apps()
    yield apps
    apps.stop()


@pytest.fixture
def desk(apps: Apps, listener: Listener, parameters: dict[str, str]) -> Iterator[Desk]:
    yield Desk(apps.get(parameters), listener)
    apps.clean()
