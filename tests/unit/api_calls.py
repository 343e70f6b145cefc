"""Calls of the HTTP API as API Gateway makes them, each answer checked against docs/openapi.json."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from countersign.errors import KnowledgeUnavailable
from countersign.models import Passage
from countersign.settings import Settings
from countersign.spending import Limits
from countersign.switches import Switches
from countersign_knowledge.documents import Job
from desk_ports import DeskPorts
from functions.serve_api.app import handler
from functions.serve_desk.app import handler as desk_handler
from ports import Ports
from tests.unit.dead_queues import Queues
from tests.unit.stores import ENVIRONMENT, NOW, Context, Stores, passage

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
OPENAPI = json.loads((ROOT / "docs/openapi.json").read_text())
LATER = NOW + timedelta(minutes=5)


@dataclass
class Answer:
    """What a client gets. Names of `headers` are lower case."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The word of an error."""
        return str(self.json()["error"]["code"])


@dataclass
class Documents:
    """The knowledge bucket in memory; `is_busy` says that another ingestion job runs."""

    stored: dict[str, tuple[bytes, str | None]] = field(default_factory=dict)
    is_busy: bool = False

    def store(self, tenant: str, name: str, content: bytes, content_type: str | None) -> None:
        self.stored[f"{tenant}/{name}"] = (content, content_type)

    def start_job(self) -> Job | None:
        return None if self.is_busy else self.job("XYZ1234567")

    def job(self, job_id: str) -> Job:
        return Job(job_id, "STARTING", NOW, NOW)


@dataclass
class Knowledge:
    """Knowledge that has one passage for everything; `is_down` fails every search."""

    asked: list[tuple[str, str, int]] = field(default_factory=list)
    is_down: bool = False

    def __call__(self, query: str, tenant: str, limit: int) -> list[Passage]:
        if self.is_down:
            raise KnowledgeUnavailable("Retrieve answered ThrottlingException")
        self.asked.append((query, tenant, limit))
        return [passage(1, "docs/delivery.md", "Delivery is tried ten times within 75 hours.")]


class Api:
    """The API over some stores, at a moment that `now` says."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.documents = Documents()
        self.knowledge = Knowledge()
        self.now: datetime = LATER
        self.switches = Switches(stores.ledger)
        settings = Settings.read(ENVIRONMENT | {"WEB_DIR": str(ROOT / "layers/web/web")})
        self.ports = Ports(
            settings=lambda: settings,
            arbiter=lambda: stores.arbiter,
            switches=lambda: self.switches,
            documents=lambda: self.documents,  # type: ignore[arg-type,return-value]
            search=self.knowledge,
            now=lambda: self.now,
        )

    def call(self, event: str | dict[str, Any], **changes: Any) -> Answer:
        """Makes a sample event's call. `changes` are those of `changed`."""
        given = changed(load(event) if isinstance(event, str) else event, **changes)
        return read_answer(given, handler(given, Context(), self.ports))


class Desk:
    """The operators' desk over some stores, at a moment that `now` says."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.now: datetime = LATER
        self.queues = Queues(stores)
        self.switches = Switches(stores.ledger)
        settings = Settings.read(ENVIRONMENT)
        self.ports = DeskPorts(
            settings=lambda: settings,
            ledger=lambda: stores.ledger,
            redriver=lambda: self.queues.redriver,
            switches=lambda: self.switches,
            claims=lambda: stores.claims,
            limits=lambda: Limits(Decimal("0.20"), Decimal("0.05"), 2),
            now=lambda: self.now,
        )

    def call(self, event: str | dict[str, Any], **changes: Any) -> Answer:
        """Makes a sample event's call. `changes` are those of `changed`."""
        given = changed(load(event, "serve_desk") if isinstance(event, str) else event, **changes)
        return read_answer(given, desk_handler(given, Context(), self.ports))


def load(name: str, function: str = "serve_api") -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / function / f"{name}.json").read_text())
    return event


def read_answer(event: dict[str, Any], answer: dict[str, Any]) -> Answer:
    """What a client gets, once it is found to be as the document says."""
    assert set(answer) >= {"statusCode", "headers", "body"}
    assert not answer["isBase64Encoded"]
    got = Answer(answer["statusCode"], answer["headers"], answer.get("body") or "")
    check(event["routeKey"], got)
    return got


def changed(
    event: dict[str, Any],
    *,
    body: Any = None,
    raw: str | None = None,
    path: str | None = None,
    query: dict[str, str] | None = None,
    claims: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The event with another body (`raw` as it is, `body` as JSON), path, query, claims or more headers."""
    event = json.loads(json.dumps(event))
    if body is not None:
        event["body"] = json.dumps(body)
    if raw is not None:
        event["body"] = raw
    if path is not None:
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
    if query is not None:
        event["queryStringParameters"] = query
    if claims is not None:
        event["requestContext"]["authorizer"]["jwt"]["claims"] = claims
    event["headers"] |= headers or {}
    return event


def check(route: str, answer: Answer) -> None:
    """Raises where the document does not know this status, this type or this form of body."""
    method, _, path = route.partition(" ")
    described = OPENAPI["paths"][path][method.lower()]["responses"].get(str(answer.status))
    assert described, f"{route} has no answer {answer.status}: {answer.body}"
    if "content" not in described:
        assert answer.body == ""
        return
    kind = answer.headers["content-type"].partition(";")[0]
    schema = described["content"][kind]["schema"]
    if kind == "application/json":
        validator: Callable[..., Any] = Draft202012Validator
        validator({**schema, "components": OPENAPI["components"]}).validate(answer.json())
