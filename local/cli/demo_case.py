"""The one case of the demo: sent as GitHub sends it, followed state by state, decided, and delivered."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.cli.api_client import ApiClient, Json
from local.cli.progress import Visit, visits
from local.cli.serving import Serving
from local.cli.signing import read_event, sign

SOURCE = "github"
PATIENCE_S = 60.0
"""How long the case may stand still, people left out."""
_PAUSE_S = 0.05
WAITING = frozenset({"Request Approval", "Escalate Approval"})
"""States that wait for a person."""


class DemoFailed(RuntimeError):
    """The case did not get where it should have: one sentence that names the state and why."""


class DemoCase:
    """Sends the event and follows its case. `on_visit` sees every visit as often as it changes."""

    def __init__(self, served: Serving, event: Path, on_visit: Callable[[int, Visit], None]) -> None:
        self._served = served
        self._event = read_event(event.read_bytes())
        self._on_visit = on_visit
        self._shown: dict[int, tuple[float | None, int]] = {}
        stack = served.app.stack
        self._steps = stack.client("stepfunctions")
        machine = stack.resource("HandleCase")
        definition = self._steps.describe_state_machine(stateMachineArn=machine)["definition"]
        self._states = list(json.loads(definition)["States"])
        self._executions = machine.replace(":stateMachine:", ":execution:")
        self.api = ApiClient(served.api.url, served.app.token)
        self.case_id = ""

    @property
    def issue(self) -> Json:
        """The issue of the event, as GitHub describes it."""
        issue: Json = json.loads(self._event.body)["issue"]
        return issue

    @property
    def repository(self) -> str:
        """`owner/name`."""
        return str(json.loads(self._event.body)["repository"]["full_name"])

    def send(self) -> Json:
        """Post the signed event; the webhook's answer. Raises ApiError, DemoFailed."""
        secret = self._served.app.secret(SOURCE)
        answer = self.api.send(SOURCE, sign("github", secret, self._event, time.time()), self._event.body)
        if "case_id" not in answer:
            raise DemoFailed(f"the webhook ignored the event: {answer.get('reason')}")
        self.case_id = answer["case_id"]
        return answer

    def next_stop(self) -> str:
        """Follow the case until a person is asked, or it has ended: its status. Raises DemoFailed."""
        quiet_since, seen = time.monotonic(), 0
        while True:
            execution, way = self._look()
            if len(way) != seen:
                quiet_since, seen = time.monotonic(), len(way)
            if execution == "SUCCEEDED":
                return str(self.api.case(self.case_id)["status"])
            if execution in {"FAILED", "TIMED_OUT", "ABORTED"}:
                raise DemoFailed(self._failure(way))
            if way and way[-1].state in WAITING and self._is_asked():
                return "awaiting_approval"
            if time.monotonic() - quiet_since > PATIENCE_S:
                where = f"in {way[-1].state}" if way else "before the state machine started"
                raise DemoFailed(f"the case stood still {where} for {PATIENCE_S:.0f} s")
            time.sleep(_PAUSE_S)

    def states(self) -> list[Visit]:
        """Its way so far."""
        return self._look()[1]

    def whole(self) -> Json:
        """The case as the API shows it."""
        return self.api.case(self.case_id)

    def card(self) -> Json:
        """The card of the approval that waits."""
        return self.api.approval(self.whole()["approval_id"])

    def delivered(self) -> Iterator[Json]:
        """Every request that left for GitHub, with what was answered."""
        for sent in self._served.app.outbox.sent:
            yield {
                "method": sent.method,
                "path": sent.path,
                "status": sent.answer.status,
                "body": json.loads(sent.body) if sent.body else None,
            }

    def _look(self) -> tuple[str, list[Visit]]:
        """Step Functions' word on the execution (empty while there is none) and its way."""
        arn = f"{self._executions}:{self.case_id}"
        try:
            status = self._steps.describe_execution(executionArn=arn)["status"]
            history = self._steps.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return "", []
        way = visits(history, self._states)
        for place, visit in enumerate(way):
            state = (visit.seconds, visit.times)
            if self._shown.get(place, ()) != state:
                self._shown[place] = state
                self._on_visit(place, visit)
        return status, way

    def _is_asked(self) -> bool:
        """The token's state is entered before the approval's row is written."""
        return bool(self.api.case(self.case_id)["status"] == "awaiting_approval")

    def _failure(self, way: list[Visit]) -> str:
        """Which state failed and why: the ledger's word, or else the history's."""
        timeline: list[dict[str, Any]] = self.api.case(self.case_id)["timeline"]
        for event in reversed(timeline):
            if event["event"] == "case.failed":
                return f"the case failed in {event['detail']['state']}: {event['detail']['error']}"
        last = way[-1].state if way else "its start"
        return f"the case failed in {last}"
