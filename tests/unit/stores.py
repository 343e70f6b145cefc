"""The tables and buckets of a deployment in moto, Step Functions' tasks, and a case to put in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import boto3
from moto import mock_aws

from countersign.approvals import Arbiter
from countersign.budgets import Holds
from countersign.case_file import CaseFiles
from countersign.claims import Asked, Claims
from countersign.clock import instant
from countersign.decisions import PolicyRef, Terms
from countersign.errors import EngineUnavailable
from countersign.ledger import Ledger
from countersign.models import (
    CaseFile,
    CaseHead,
    CaseRef,
    CaseStatus,
    Citation,
    Claim,
    Destination,
    Draft,
    LedgerEvent,
    ModelCall,
    Passage,
    Plan,
    PlanStep,
    Request,
    Review,
    Round,
    StepRecord,
)
from countersign.spending import Hold, Limits

CASE = "c-8f14e45fceea167a5a36dedd4bea2543"
APPROVAL = f"{CASE}-a1"
REF = CaseRef(tenant="default", case_id=CASE)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TERMS = Terms(needed=True, deadline_s=3_600, escalation_s=7_200, policy=PolicyRef(name="default", version=1))
DRAFT = "Delivery is tried ten times [1]. Redirects are not followed [2]."
ENVIRONMENT = {
    "CASES_TABLE": "cases",
    "CLAIMS_TABLE": "claims",
    "CASE_FILES_BUCKET": "files",
    "KNOWLEDGE_BUCKET": "knowledge",
    "INTAKE_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/intake",
    "INTAKE_DEAD_LETTERS_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/intake-dead",
    "DELIVERY_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/delivery",
    "DELIVERY_DEAD_LETTERS_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/delivery-dead",
    "HANDLE_CASE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:countersign-handle-case",
    "KNOWLEDGE_BASE_ID": "KB12345678",
    "DATA_SOURCE_ID": "DS12345678",
    "MODEL_ID": "amazon.nova-pro-v1:0",
    "SECRETS_PREFIX": "countersign",
    "SOURCES_DIR": "layers/sources/sources",
    "POLICIES_DIR": "layers/policies/policies",
    "WEB_DIR": "layers/web/web",
    "POWERTOOLS_METRICS_NAMESPACE": "Countersign",
    "POWERTOOLS_SERVICE_NAME": "countersign",
}
"""What every function's environment says, as far as it has to."""


@dataclass
class Context:
    """What Lambda gives a handler besides the event."""

    function_name: str = "function"
    aws_request_id: str = "5b1c2d3e-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 15_000


@dataclass
class Tasks:
    """Waiting tasks: `waiting` holds their tokens, `told` what was answered; `is_down` refuses all."""

    waiting: set[str] = field(default_factory=set)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    is_down: bool = False

    def succeed(self, token: str, output: dict[str, Any]) -> bool:
        if self.is_down:
            raise EngineUnavailable("SendTaskSuccess answered ThrottlingException")
        if token not in self.waiting:
            return False
        self.waiting.remove(token)
        self.told.append((token, output))
        return True


@lru_cache(maxsize=1)
def session() -> boto3.session.Session:
    """One for all tests, as it keeps the service models it has read; moto ends boto3's own each time."""
    return boto3.session.Session(region_name="us-east-1")


class Stores:
    """Everything that a case is kept in. `calls` are the AWS calls that were made, by operation."""

    def __init__(self) -> None:
        self.db: Any = session().client("dynamodb")
        self.s3: Any = session().client("s3")
        keys = ("pk", "sk", "gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk")
        self.db.create_table(
            TableName="cases",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=_schema("pk", "sk"),
            GlobalSecondaryIndexes=[
                {
                    "IndexName": name,
                    "KeySchema": _schema(f"{key}pk", f"{key}sk"),
                    "Projection": {"ProjectionType": "ALL"},
                }
                for name, key in (("by_time", "gsi1"), ("by_status", "gsi2"))
            ],
        )
        self.db.create_table(
            TableName="claims",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        for bucket in ("files", "knowledge"):
            self.s3.create_bucket(Bucket=bucket)
        self.ledger = Ledger(self.db, "cases")
        self.files = CaseFiles(self.s3, "files")
        self.claims = Claims(self.db, "claims")
        self.holds = Holds(self.claims, self.files)
        self.tasks = Tasks()
        self.arbiter = Arbiter(self.ledger, self.files, self.tasks)
        self.calls: list[str] = []
        for client in (self.db, self.s3):
            client.meta.events.register("before-call.*.*", lambda model, **_: self.calls.append(model.name))

    def open(self, file: CaseFile | None = None, status: CaseStatus = CaseStatus.RUNNING) -> CaseFile:
        """A case as Open Case leaves it."""
        file = file or case_file()
        at = instant(NOW - timedelta(seconds=1))
        head = CaseHead(
            tenant=file.tenant,
            case_id=file.case_id,
            source=file.request.source,
            subject=file.request.subject,
            status=status,
            created_at=at,
            updated_at=at,
        )
        opened = LedgerEvent(at=at, event="case.opened", actor="countersign")
        assert self.files.create(file)
        self.ledger.commit([self.ledger.put_head(head), self.ledger.put_event(file.ref, "opened", opened)])
        return file

    def hold(self, ref: CaseRef = REF, now: datetime = NOW) -> Hold:
        """A slot and five cents, as Reserve Budget takes them first."""
        asked = Asked(ref, "r1#1", Decimal("0.05"), Decimal(0), instant(now))
        return self.claims.take(asked, Limits(Decimal(1), Decimal("0.05"), 10), now)

    def status(self, ref: CaseRef = REF) -> str:
        head = self.ledger.head(ref)
        assert head is not None
        return head.status.value

    def events(self, ref: CaseRef = REF) -> list[str]:
        return [event.event for event in self.ledger.history(ref)[1]]


@contextmanager
def stores_in_moto() -> Iterator[Stores]:
    with mock_aws():
        yield Stores()


def case_file(tenant: str = "default", case_id: str = CASE, text: str | None = DRAFT) -> CaseFile:
    """A case whose first draft has been written and reviewed; with `text` None the models failed."""
    passages = [
        passage(1, "docs/delivery.md", "Delivery is tried ten times within 75 hours."),
        passage(2, "docs/limits.md", "Redirects are never followed."),
    ]
    written = [] if text is None else [Round(number=1, draft=draft(text, passages), review=review())]
    return CaseFile(
        tenant=tenant,
        case_id=case_id,
        request=Request(
            source="webhook",
            event_id="T-1",
            subject="Delivery",
            text="How often is delivery tried?",
            author="reader@example.com",
            thread="T-1",
            destination=Destination(
                channel="callback", address="https://example.com/replies", source="webhook"
            ),
            link="https://example.com/tickets/T-1",
            received_at="2026-03-02T08:59:58.000Z",
        ),
        plan=Plan(
            steps=[PlanStep(query="delivery attempts", purpose="how often")], risk="low", risk_reason="facts"
        ),
        passages=passages,
        rounds=written,
        steps=[
            StepRecord(
                state="Plan Work",
                round=0,
                at="2026-03-02T09:00:00.100Z",
                detail={"steps": 1, "risk": "low"},
                calls=[call("planner", 100, 20)],
            ),
            StepRecord(
                state="Write Draft",
                round=1,
                at="2026-03-02T09:00:00.200Z",
                detail={"claims": 2},
                calls=[call("writer", 300, 40, cached=50)],
            ),
        ],
    )


def passage(marker: int, document: str, text: str) -> Passage:
    return Passage(
        marker=marker,
        passage_id=f"p-{marker}",
        document=document,
        text=text,
        source_uri=f"s3://knowledge/default/{document}",
        score=0.9 / marker,
    )


def draft(text: str, passages: list[Passage]) -> Draft:
    sentences = [sentence for sentence in text.split(". ") if sentence]
    claims, place = [], 0
    for marker, sentence in enumerate(sentences, 1):
        start = text.index(sentence, place)
        place = start + len(sentence)
        claims.append(Claim(start=start, end=place, verdict="supported", score=0.9, markers=[marker]))
    citations = [
        Citation(
            marker=each.marker,
            passage_id=each.passage_id,
            document=each.document,
            quote=each.text[:10],
            start=0,
            end=10,
            source_uri=each.source_uri,
        )
        for each in passages
    ]
    return Draft(text=text, claims=claims, citations=citations, engine="roles")


def review() -> Review:
    return Review(verdict="accept", score=0.8, support=1.0, unsupported=0, summary="All is cited.")


def call(role: str, read: int, written: int, cached: int = 0) -> ModelCall:
    return ModelCall(
        role=role,
        model_id="amazon.nova-pro-v1:0",
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=cached,
        latency_ms=12.5,
        cost_usd=Decimal("0.0002"),
    )


def _schema(partition: str, order: str) -> list[Any]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": order, "KeyType": "RANGE"},
    ]
