"""Senders who sign, and the desk that takes their events in, over stores in moto."""

import base64
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.parameters.secrets import SecretsProvider
from botocore.exceptions import ClientError

from countersign.event_claims import EventClaims
from countersign.intake import IntakeDesk, IntakeQueue
from countersign.secrets import SourceSecrets
from countersign.signatures import sign_standard_webhook
from countersign.sources import load_source
from tests.unit.stores import Stores, session

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "layers/sources/sources"
SAMPLES = ROOT / "events/receive_webhook"
GITHUB_API = "https://api.github.com"
NOW = datetime(2026, 11, 2, 9, 30, 2, tzinfo=UTC)
KEY = base64.b64encode(b"a key of twenty-four byte").decode()
REPLY_URL = "https://desk.example.com/replies"
REPLY_SECRET = "whsec_" + base64.b64encode(b"another key, for replies").decode()

Json = dict[str, Any]


def sample(name: str) -> Json:
    """API Gateway's event of a sample file; its signature is none."""
    event: Json = json.loads((SAMPLES / f"{name}.json").read_text())
    return event


def signed(event: Json, secret: str = KEY, now: datetime | None = NOW) -> Json:
    """The event as its sender would sign it."""
    headers, body = dict(event["headers"]), event["body"].encode()
    sent = now or datetime.now(UTC)
    at = int(sent.timestamp())

    def mac(content: bytes) -> bytes:
        return hmac.digest(secret.encode(), content, sha256)

    match load_source(event["pathParameters"]["source"], SOURCES).scheme:
        case "standard-webhooks":
            headers |= sign_standard_webhook(secret, headers["webhook-id"], at, body)
        case "github":
            headers["x-hub-signature-256"] = f"sha256={mac(body).hex()}"
        case "stripe":
            headers["stripe-signature"] = f"t={at},v1={mac(b'%d.%s' % (at, body)).hex()}"
        case "slack":
            headers["x-slack-request-timestamp"] = str(at)
            headers["x-slack-signature"] = f"v0={mac(b'v0:%d:%s' % (at, body)).hex()}"
        case "zendesk":
            stamp = sent.strftime("%Y-%m-%dT%H:%M:%SZ")
            headers["x-zendesk-webhook-signature-timestamp"] = stamp
            headers["x-zendesk-webhook-signature"] = base64.b64encode(mac(stamp.encode() + body)).decode()
        case "shopify":
            headers["x-shopify-hmac-sha256"] = base64.b64encode(mac(body)).decode()
    return {**event, "headers": headers}


def changed(event: Json, **data: Any) -> Json:
    """A sample of the source `webhook` with other fields of its `data`; None takes a field out."""
    body = json.loads(event["body"])
    given = {**body["data"], **data}
    body["data"] = {name: value for name, value in given.items() if value is not None}
    return {**event, "body": json.dumps(body, ensure_ascii=False)}


@dataclass
class SecretStore:
    """A Secrets Manager client: values by name. `asked` are the names it was asked for."""

    values: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    error: str | None = None

    def get_secret_value(self, SecretId: str) -> Json:  # noqa: N803
        self.asked.append(SecretId)
        code = self.error or ("ResourceNotFoundException" if SecretId not in self.values else None)
        if code:
            raise ClientError({"Error": {"Code": code, "Message": "…"}}, "GetSecretValue")
        return {"SecretString": self.values[SecretId]}

    def put(self, source: str, **fields: Any) -> None:
        self.values[f"test/sources/{source}"] = json.dumps(fields)


class Intake:
    """A desk and what stands behind it. `calls` are the AWS calls, secrets left out."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.sqs: Any = session().client("sqs")
        self.url = self.sqs.create_queue(QueueName="intake")["QueueUrl"]
        self.sqs.meta.events.register("before-call.*.*", lambda model, **_: self.calls.append(model.name))
        self.secrets = SecretStore()
        for source in ("webhook", "github", "slack"):
            self.secrets.put(source, current=KEY)
        for source in ("stripe", "zendesk", "shopify"):
            self.secrets.put(source, current=KEY, reply_url=REPLY_URL, reply_secret=REPLY_SECRET)
        self.desk = self.make()

    @property
    def calls(self) -> list[str]:
        return self.stores.calls

    def make(self, queue: Any = None, sources: Path = SOURCES) -> IntakeDesk:
        return IntakeDesk(
            sources,
            SourceSecrets(SecretsProvider(boto3_client=self.secrets), "test"),  # type: ignore[arg-type]
            EventClaims(self.stores.db, "claims"),
            self.stores.files,
            queue or IntakeQueue(self.sqs, self.url),
            github_api_url=GITHUB_API,
        )

    def receive(self, event: Json, desk: IntakeDesk | None = None, now: datetime = NOW) -> Any:
        """What the desk makes of API Gateway's event."""
        return (desk or self.desk).receive(
            event["pathParameters"]["source"], event["headers"], event["body"].encode(), now, lambda: 10_000
        )

    def queued(self) -> list[Json]:
        """The messages on the queue, taken off it."""
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def objects(self) -> list[str]:
        found = self.stores.s3.list_objects_v2(Bucket="files").get("Contents", [])
        return [entry["Key"] for entry in found]

    def claimed(self) -> list[Json]:
        items: list[Json] = self.stores.db.scan(TableName="claims")["Items"]
        return items

    def claimed_at(self) -> int:
        """About when claims were made, in Unix seconds: Powertools reads the machine's own clock."""
        return int(datetime.now(UTC).timestamp())

    def end_runs(self) -> None:
        """Lets the time of every run that holds a claim be over."""
        for claim in self.claimed():
            self.stores.db.update_item(
                TableName="claims",
                Key={"id": claim["id"]},
                UpdateExpression="SET in_progress_expiration = :past",
                ExpressionAttributeValues={":past": {"N": "1"}},
            )
