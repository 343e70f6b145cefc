"""Both queues and their dead letters in moto, an engine that starts a name once, and the desk over them."""

from dataclasses import dataclass, field
from typing import Any

from countersign.dead_letters import DeadLetters, Reasons
from countersign.errors import EngineUnavailable
from countersign.models import Intake
from countersign.redriving import Redriver
from tests.unit.stores import Stores, session


@dataclass
class Engine:
    """Executions by name, and the tokens of the tasks that wait; `is_down` refuses to start any."""

    executions: dict[str, str] = field(default_factory=dict)
    started: list[Intake] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    is_down: bool = False

    def status(self, name: str) -> str | None:
        return self.executions.get(name)

    def start(self, intake: Intake) -> bool:
        if self.is_down:
            raise EngineUnavailable("StartExecution answered ThrottlingException")
        name = intake.ref.execution_name(intake.run)
        if name in self.executions:
            return False
        self.executions[name] = "RUNNING"
        self.started.append(intake)
        return True

    def waits(self, token: str) -> bool:
        return token in self.tokens


class Queues:
    """Intake and delivery. `redriver` is the desk's."""

    def __init__(self, stores: Stores) -> None:
        self.sqs: Any = session().client("sqs")
        self.url = {
            name: self.sqs.create_queue(QueueName=name)["QueueUrl"]
            for name in ("intake", "intake-dead", "delivery", "delivery-dead")
        }
        self.engine = Engine()
        self.reasons = Reasons(stores.db, "claims")
        self.letters = [
            DeadLetters(self.sqs, kind, self.url[f"{kind}-dead"], self.url[kind])
            for kind in ("intake", "delivery")
        ]
        self.redriver = Redriver(stores.ledger, self.engine, self.engine, self.letters, self.reasons)

    def bury(self, kind: str, body: str) -> str:
        """A dead letter; returns what the desk calls it."""
        sent = self.sqs.send_message(QueueUrl=self.url[f"{kind}-dead"], MessageBody=body)
        return f"{kind}:{sent['MessageId']}"

    def held(self, name: str) -> int:
        """How many messages a queue holds, also those that are hidden for now."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url[name], AttributeNames=list(names))
        return sum(int(answer["Attributes"][each]) for each in names)

    def waiting(self, name: str) -> int:
        """How many messages of a queue can be received now."""
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.url[name], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])
