"""Dead letters: what a queue gave up after its last try, and why.

SQS cannot be looked into: whoever reads a message hides it from everybody else for a while. So a look
receives what is there, hidden for hardly longer than a call of the desk lasts, and gives it back. Meanwhile a
second look misses it, and the alarm's count of visible messages dips; the message's receive count goes up,
which means nothing here, as no queue of dead letters gives anything up itself. A look is bounded, and SQS
hands messages out in no order: of more than `MOST` it shows some.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from countersign.claims import DAY_S, KEEP_DAYS
from countersign.clock import instant
from countersign.ledger import is_case_id
from countersign.models import CaseRef, Delivery, Intake, OfCase, sha256_hex

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

MOST = 200
"""Messages of one queue that a look receives at most."""
HIDDEN_S = 45
"""Seconds that a message stays hidden where a call ends before it has given it back; longer than a call."""
BATCH = 10
UNANSWERED = "the function ended without an answer"
"""The reason of a message that left none: its function crashed or ran out of time, five times."""

type Kind = Literal["intake", "delivery"]

_MODELS: dict[Kind, type[OfCase]] = {"intake": Intake, "delivery": Delivery}


@dataclass(frozen=True)
class Letter:
    """A message that its queue gave up. `ref` is the case that it is about, None where it cannot be read."""

    kind: Kind
    message_id: str
    sent_at: str
    ref: CaseRef | None
    body: str = field(repr=False)
    receipt: str = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """What the desk calls it: the kind says in which queue it lies."""
        return f"{self.kind}:{self.message_id}"


class DeadLetters:
    """A queue and its dead letters. Give it a boto3 SQS client and the addresses of both."""

    def __init__(self, client: "SQSClient", kind: Kind, letters_url: str, queue_url: str) -> None:
        self._sqs = client
        self.kind: Kind = kind
        self._letters_url = letters_url
        self._queue_url = queue_url

    def receive(self) -> list[Letter]:
        """What is there, each message once. Whoever calls it gives back what they leave there."""
        letters: dict[str, Letter] = {}
        # Of a short queue SQS asks only some of its servers, so that one empty answer says little.
        empty = 0
        while len(letters) < MOST and empty < 2:
            answer = self._sqs.receive_message(
                QueueUrl=self._letters_url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=HIDDEN_S,
                AttributeNames=["SentTimestamp"],
            )
            before = len(letters)
            for message in answer.get("Messages", []):
                # At least once: the same message may come twice, and its last receipt is the one that counts.
                letters[message["MessageId"]] = self._read(message)
            empty = empty + 1 if len(letters) == before else 0
        return list(letters.values())

    def give_back(self, letters: Iterable[Letter]) -> None:
        """Makes them visible again; where that fails they become so by themselves."""
        waiting = list(letters)
        for start in range(0, len(waiting), BATCH):
            with suppress(BotoCoreError, ClientError):
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._letters_url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                        for number, letter in enumerate(waiting[start : start + BATCH])
                    ],
                )

    def send_back(self, letter: Letter) -> None:
        """Puts a message on its queue again, then takes it away from here.

        A crash between the two leaves it in both, which is harmless: a case starts once, and a task that was
        answered takes no second attempt.
        """
        self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=letter.body)
        self.put_away(letter)

    def put_away(self, letter: Letter) -> None:
        """Deletes a message that nobody needs any more."""
        self._sqs.delete_message(QueueUrl=self._letters_url, ReceiptHandle=letter.receipt)

    def _read(self, message: "MessageTypeDef") -> Letter:
        sent = int(message["Attributes"]["SentTimestamp"]) / 1000
        return Letter(
            kind=self.kind,
            message_id=message["MessageId"],
            sent_at=instant(datetime.fromtimestamp(sent, UTC)),
            ref=_case_of(self.kind, message["Body"]),
            body=message["Body"],
            receipt=message["ReceiptHandle"],
        )


class Reasons:
    """Why messages failed, in the claims table. Give it a boto3 DynamoDB client and the table's name.

    A row holds the name of an error and when it was raised, under a hash of the message's body: a message
    that is put on its queue again has another id, and the same trouble.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._db = client
        self._table = table

    def note(self, body: str, error: Exception, now: datetime) -> None:
        """Keeps an error's name for as long as queues keep messages, where the table answers."""
        with suppress(BotoCoreError, ClientError):
            self._db.put_item(
                TableName=self._table,
                Item={
                    "id": {"S": _key(body)},
                    "error": {"S": error_name(error)},
                    "at": {"S": instant(now)},
                    "expiration": {"N": str(int(now.timestamp()) + KEEP_DAYS * DAY_S)},
                },
            )

    def of(self, body: str) -> str:
        """The name of the last error that was raised over a message, or that none was."""
        row = self._db.get_item(TableName=self._table, Key={"id": {"S": _key(body)}}).get("Item", {})
        return row["error"]["S"] if "error" in row else UNANSWERED


def error_name(error: Exception) -> str:
    """An error's class, or the code of AWS's answer: a name in any case, as messages may quote anything."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code") or type(error).__name__
    return type(error).__name__


def _key(body: str) -> str:
    return f"letter#{sha256_hex(body)}"


def _case_of(kind: Kind, body: str) -> CaseRef | None:
    try:
        ref = _MODELS[kind].model_validate_json(body).ref
    except ValidationError:
        return None
    # What no case can be called must not get into a key: the table's refusal would hide all letters.
    return ref if ref.tenant and is_case_id(ref.case_id) else None
