"""How fast cases go, and what they take: measured from outside, on the whole offline stack.

A case is a signed event on the source `webhook` whose draft a person approves at once and whose reply a
listener on this machine takes. Moments are those at which a function logs its outcome, so that nothing polls
while the clock runs.
"""

import json
import math
import os
import resource
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Response

from countersign.signatures import sign_standard_webhook
from local.meter import INFRASTRUCTURE_CALLERS, Snapshot
from local.offline import OfflineApp
from local.server import Server
from local.stack import LogLine

PATIENCE_S = 60
QUESTIONS = (
    "How often is delivery of a signed reply tried, and for how many hours?",
    "How do I verify the signature of the callback that Countersign sends?",
    "What happens to a case when the daily budget of a tenant is used up?",
    "Which statuses can a case have?",
    "What does the webhook endpoint answer when the signature is wrong?",
    "How do I add a source of my own without writing code?",
    "Who may approve a draft, and what happens when nobody decides in time?",
    "Can I use a model of my own instead of Bedrock?",
)


class CaseStuck(RuntimeError):
    """A case of the bench did not get where it should have."""


@dataclass(frozen=True)
class Timed:
    """Seconds of one case, from the webhook to the approval request."""

    to_approval_s: float


@dataclass(frozen=True)
class Run:
    """What a run of cases measured. `wall_s` covers them all, `counts` is the meter's."""

    cases: tuple[Timed, ...]
    wall_s: float
    counts: Snapshot

    def to_approval(self, percent: float) -> float:
        """Seconds from the webhook to `awaiting_approval`."""
        return percentile([case.to_approval_s for case in self.cases], percent)

    @property
    def cases_per_s(self) -> float:
        """Whole cases, from webhook to delivered, in a second."""
        return len(self.cases) / self.wall_s

    @property
    def aws_calls(self) -> float:
        """AWS calls of functions for one case."""
        return self.counts.function_calls() / len(self.cases)

    @property
    def transitions(self) -> float:
        """State transitions of one case."""
        return sum(self.counts.transitions.values()) / len(self.cases)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all functions for one case, the time in boto3 and moto included."""
        return sum(self.counts.cpu_s.values()) / len(self.cases)

    def by_function(self) -> dict[str, dict[str, float]]:
        """AWS calls and CPU milliseconds of each function for one case."""
        calls: Counter[str] = Counter()
        for (_, _, caller), count in self.counts.calls.items():
            if caller not in INFRASTRUCTURE_CALLERS and caller != "client":
                calls[caller] += count
        return {
            name: {
                "aws_calls": round(calls[name] / len(self.cases), 2),
                "cpu_ms": round(1000 * cpu_s / len(self.cases), 2),
                "invocations": round(self.counts.invocations[name] / len(self.cases), 2),
            }
            for name, cpu_s in sorted(self.counts.cpu_s.items())
        }

    def by_operation(self) -> dict[str, float]:
        """Calls of one case by service and operation, those of AWS's own services to each other included."""
        calls: Counter[str] = Counter()
        for (service, operation, caller), count in self.counts.calls.items():
            if caller != "client":
                calls[f"{service}:{operation}"] += count
        return {name: round(count / len(self.cases), 2) for name, count in sorted(calls.items())}


@dataclass
class _Moments:
    """When which function was done with which case."""

    done: dict[tuple[str, str], tuple[float, Any]] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def note(self, line: LogLine) -> None:
        if isinstance(line.line, dict) and line.line.get("message") == "done" and "case_id" in line.line:
            with self.news:
                moment = (time.perf_counter(), line.line.get("round"))
                self.done.setdefault((line.function, line.line["case_id"]), moment)
                self.news.notify_all()

    def count(self, function: str) -> int:
        """With how many cases it was done."""
        with self.news:
            return sum(name == function for name, _ in self.done)

    def wait(self, function: str, case_id: str) -> tuple[float, Any]:
        """The moment, and the round of the case. Raises CaseStuck."""
        key = (function, case_id)
        with self.news:
            if not self.news.wait_for(lambda: key in self.done, timeout=PATIENCE_S):
                raise CaseStuck(f"{function} was not done with {case_id} after {PATIENCE_S} s")
            return self.done[key]


class CaseRunner:
    """Sends cases through one offline app and approves them."""

    def __init__(self, app: OfflineApp, moments: _Moments, callback_url: str) -> None:
        self.app = app
        self._moments = moments
        self._callback_url = callback_url
        self._token = app.token
        self._secret = app.secret("webhook")

    def run(self, number: int, at_once: int = 1) -> Run:
        """`number` whole cases, `at_once` of them at a time. Raises CaseStuck."""
        self.app.stack.meter.reset()
        started = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            cases = tuple(pool.map(self.one, range(number)))
        return Run(cases, time.perf_counter() - started, self.app.stack.meter.snapshot())

    def one(self, number: int) -> Timed:
        """One whole case."""
        started = time.perf_counter()
        case_id = self.send(number)
        asked, round_number = self._moments.wait("request_approval", case_id)
        approval_id = f"{case_id}-a{round_number}"
        card = self._call("GET", f"/approvals/{approval_id}")
        body = {"verdict": "approve", "shown_sha256": card["shown_sha256"]}
        self._call("POST", f"/approvals/{approval_id}/decision", body)
        self._moments.wait("close_case", case_id)
        return Timed(asked - started)

    def send(self, number: int) -> str:
        """The case that a signed event opens, once it is acknowledged. Raises CaseStuck."""
        event_id = f"msg_{uuid.uuid4().hex}"
        data = {
            "id": event_id,
            "subject": "A question",
            "text": QUESTIONS[number % len(QUESTIONS)],
            "author": "bench@example.com",
            "callback_url": self._callback_url,
        }
        event = {"type": "case.opened", "timestamp": datetime.now(UTC).isoformat(), "data": data}
        body = json.dumps(event).encode()
        signature = sign_standard_webhook(self._secret, event_id, int(time.time()), body)
        headers = {"content-type": "application/json", **signature}
        answer = self.app.stack.request("POST", "/webhooks/webhook", headers=headers, body=body)
        if answer.status != 202:
            raise CaseStuck(f"the webhook was answered {answer.status}")
        case_id: str = answer.json()["case_id"]
        return case_id

    def asked_about(self) -> int:
        """How many cases people have been asked about so far; asking the API would slow them down."""
        return self._moments.count("request_approval")

    def status(self, case_id: str) -> str:
        """A case's status. Raises CaseStuck where nobody knows the case."""
        return str(self._call("GET", f"/cases/{case_id}")["status"])

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.app.stack.request(
            method,
            path,
            headers={"content-type": "application/json"},
            body=b"" if body is None else json.dumps(body).encode(),
            token=self._token,
        )
        if answer.status != 200:
            raise CaseStuck(f"{method} {path} was answered {answer.status}")
        return answer.json()


@contextmanager
def case_runner(knowledge: Path, parameters: Mapping[str, str] | None = None) -> Iterator[CaseRunner]:
    """An offline app with its functions imported, a listener for its replies, and a case to warm both."""
    moments = _Moments()
    listener = Server(Response(status=200))
    with listener, OfflineApp(knowledge=knowledge, parameters=parameters, on_log=moments.note) as app:
        app.stack.warm()
        runner = CaseRunner(app, moments, f"{listener.url}/replies")
        runner.run(2)
        yield runner


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def resident_mb() -> float:
    """Megabytes of memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
    if not pages:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
