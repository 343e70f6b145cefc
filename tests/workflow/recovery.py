"""What the people and machines around a stack do until nothing is left to do, and whether all is well then.

The sender sends again until it is answered 2xx, the person clicks again until they are answered, queues
deliver again, the sweep runs, the operator redrives what failed. Time jumps from one due moment to the next.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from local.clock import Unsettled, VirtualClock
from local.functions import FunctionFailed
from local.gateway import Response as Answer
from tests.workflow.audit import QUEUES, executions, waiting
from tests.workflow.conftest import ENDED, Desk, Json
from tests.workflow.sabotage import Sabotage

BACKOFF_S = (1, 5, 30, 60, 300, 300, 300, 300)
"""How long a sender waits before it sends again; a person is as patient."""
PERIOD_S = 300.0
"""How often the sweep runs."""
PERIODS_TO_RECONCILE = 4
"""How many of them pass until somebody asks whether all is accounted for: what is younger may yet move."""
PATIENCE = 400
"""Periods until something counts as stuck; the delivery schedule alone takes three days."""
GOOD_ENDS = frozenset(ENDED) - {"failed"}

type Decide = Callable[[Json], Json | None]
"""What a person answers to a card: the body of their decision, None to leave it."""


class Stuck(AssertionError):
    """Nothing that anybody does would bring the case to an end."""


def approve(card: Json) -> Json:
    return {"verdict": "approve", "shown_sha256": card["shown_sha256"]}


@dataclass
class Crew:
    """Everybody around one stack."""

    desk: Desk
    sabotage: Sabotage
    decide: Decide = approve
    redriven: int = 0
    swept: int = 0
    reconciled: int = 0
    lost: list[str] = field(default_factory=list)
    """What only a reconciliation found: acknowledged, and in nobody's hands."""
    told: list[int] = field(default_factory=list)
    """The statuses that the person's clicks were answered with."""

    # The sender.

    def deliver(self, post: Callable[[], Answer]) -> Json:
        """Sends until somebody says 2xx; what they said."""
        for pause_s in BACKOFF_S:
            answer = post()
            if 200 <= answer.status < 300:
                said: Json = answer.json()
                return said
            assert answer.status >= 500, (answer.status, answer.body)
            self.pass_time(pause_s)
        raise Stuck(f"the sender is still told {answer.status}")

    # The case.

    def bring_to_an_end(self, case_id: str) -> str:
        """Whatever it takes, by everybody's ordinary means. The status it ended in; Stuck if it does not."""
        for period in range(1, PATIENCE):
            status = self._settled_status(case_id)
            if status == "awaiting_approval" and self.decide_on(case_id):
                continue
            if status == "failed":
                self.redrive(case_id)
                continue
            if status in GOOD_ENDS and self.is_quiet(case_id):
                return status
            self.sweep()
            if period % PERIODS_TO_RECONCILE == 0:
                self.reconcile()
        raise Stuck(f"{case_id} is {status}")

    def decide_on(self, case_id: str) -> bool:
        """Opens the card and answers it; clicks again until they are told. False if they leave it."""
        for pause_s in BACKOFF_S:
            card = self.open_card(case_id)
            body = None if card is None else self.decide(card)
            if card is not None and body is None:
                return False
            if card is not None:
                answer = self.click(card["approval_id"], body or {})
                self.told.append(answer.status)
                if answer.status < 500:
                    return True
            self.pass_time(pause_s)
        raise Stuck(f"the person is still told {answer.status}")

    def open_card(self, case_id: str) -> Json | None:
        """The card as the person sees it; None where they see an error."""
        case = self._get(f"/cases/{case_id}")
        return self._get(f"/approvals/{case['approval_id']}") if case else None

    def click(self, approval_id: str, body: Json) -> Answer:
        return self._call("POST", f"/approvals/{approval_id}/decision", body)

    # The operator.

    def redrive(self, case_id: str) -> None:
        """Runs a failed case again over the same case file, its receiver being back."""
        self.redriven += 1
        self.turn_destinations_on()
        answer = self._call("POST", f"/cases/{case_id}/redrive")
        if answer.status >= 300:  # an error, or somebody was faster: the case is looked at again
            self.pass_time(BACKOFF_S[0])

    def reconcile(self) -> None:
        """Puts back what was acknowledged and is not accounted for, as `countersign reconcile --repair`."""
        self.reconciled += 1
        account = self._call("GET", "/reconciliation")
        found = account.json()["unaccounted"] if account.status == 200 else []
        # A case that could not even be opened has no row that could say so: its execution's alarm rings.
        self.lost += [
            f"{each['case_id']} {each['reason']}" for each in found if each["reason"] != "not_opened"
        ]
        if lost := [each["case_id"] for each in found]:
            self._call("POST", "/reconciliation/repairs", {"case_ids": lost})

    def sweep(self) -> None:
        """Lets a period pass, and does what the schedule does then."""
        self.swept += 1
        self.pass_time(PERIOD_S)
        self.invoke("sweep_approvals", {"detail-type": "Scheduled Event"})

    def invoke(self, function: str, event: Json) -> None:
        """As a service of AWS does that will try again where it fails."""
        with suppress(FunctionFailed):
            self.desk.stack.invoke(function, event)

    def turn_destinations_on(self) -> None:
        """What answered that it is gone is back."""
        listed = self._get("/destinations") or {"destinations": []}
        for destination in listed["destinations"]:
            self._call("POST", f"/destinations/{destination['id']}/on")

    # Time.

    def pass_time(self, seconds: float) -> None:
        clock = self.desk.stack.clock
        assert isinstance(clock, VirtualClock)
        clock.advance(seconds)

    def _settled_status(self, case_id: str) -> str | None:
        """The status once somebody has to act on it, or nothing happens by itself for a period."""

        def acted_on() -> bool:
            return self.status(case_id) in {"awaiting_approval", *ENDED}

        with suppress(Unsettled):
            self.desk.stack.settle(acted_on, limit_s=PERIOD_S)
        return self.status(case_id)

    # What can be seen.

    def status(self, case_id: str) -> str | None:
        """From the row itself: this is asked for at every jump of the clock, and the API takes its time."""
        with self.sabotage.paused():
            row = self.desk.stack.client("dynamodb").get_item(
                TableName=self.desk.stack.resource("CasesTable"),
                Key={"pk": {"S": f"default#{case_id}"}, "sk": {"S": "head"}},
            )
        return str(row["Item"]["status"]["S"]) if "Item" in row else None

    def is_quiet(self, case_id: str) -> bool:
        """Whether nothing of the case runs, and no message comes again."""
        if "RUNNING" in executions(self.desk, case_id).values():
            return False
        with suppress(Unsettled):
            self.desk.stack.settle(lambda: not any(waiting(self.desk, queue) for queue in QUEUES), 7_200)
            return True
        return False

    def _call(self, method: str, path: str, body: Json | None = None) -> Answer:
        return self.desk.stack.request(
            method,
            path,
            headers={"content-type": "application/json"} if body else {},
            body=json.dumps(body).encode() if body else b"",
            token=self.desk.token,
        )

    def _get(self, path: str) -> Json | None:
        answer = self._call("GET", path)
        return answer.json() if answer.status == 200 else None


def record_of(message: Json) -> Json:
    """What Lambda is given of a message that was received from the intake queue."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:intake",
        "awsRegion": "us-east-1",
    }
