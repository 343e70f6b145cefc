"""A reply that was signed, and its delivery: network, secrets and tasks as a test scripts them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.answers import Outcome
from countersign.attempts import ATTEMPTED
from countersign.case_file import signed_key
from countersign.clock import instant
from countersign.decisions import Approval, ApprovalStatus, PolicyRef, Proposal
from countersign.delivery import Courier
from countersign.destinations import parse_url
from countersign.errors import SecretsUnavailable
from countersign.models import (
    CaseHead,
    CaseRef,
    CaseStatus,
    Delivery,
    Destination,
    LedgerEvent,
    canonical_json,
    sha256_hex,
)
from countersign.outbound import MAX_BYTES, Answer, PinnedTarget
from countersign.switches import Switches
from tests.unit.stores import Stores

NOW = datetime(2026, 9, 21, 13, 30, tzinfo=UTC)
DECIDED = NOW - timedelta(minutes=1)
REF = CaseRef(tenant="default", case_id="c-8f14e45fceea167a5a36dedd4bea2543")
APPROVAL = f"{REF.case_id}-a1"
MARKER = f"<!-- countersign:{APPROVAL} -->"
API = "https://api.github.com"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
CALLBACK = Destination(channel="callback", address="https://desk.example.com/replies", source="webhook")
ISSUE = Destination(
    channel="github_issue", address=f"{API}/repos/acme/shop/issues/7/comments", source="github"
)
DISCUSSION = Destination(channel="github_discussion", address="D_kwDOA", source="github")
LIMITED = b'{"message": "You have exceeded a secondary rate limit"}'


@dataclass
class Sent:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeNetwork:
    """Answers from a list; what is an exception is raised. `meanwhile` answers in its place."""

    answers: list[Answer | BaseException] = field(default_factory=list)
    denied: Exception | None = None
    sent: list[Sent] = field(default_factory=list)
    meanwhile: Callable[[], Answer] | None = None

    def resolve_target(
        self, url: str, *, allow_loopback: bool = False, deadline_s: float = 10
    ) -> PinnedTarget:
        assert 0 < deadline_s <= 10
        if self.denied:
            raise self.denied
        return PinnedTarget(parse_url(url), ("93.184.216.34",))

    def post(
        self,
        target: PinnedTarget,
        body: bytes,
        headers: Mapping[str, str],
        *,
        deadline_s: float = 30,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        return self._exchange("POST", target, headers, body, deadline_s)

    def get(
        self,
        target: PinnedTarget,
        headers: Mapping[str, str],
        *,
        deadline_s: float = 30,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        return self._exchange("GET", target, headers, b"", deadline_s)

    def _exchange(
        self, method: str, target: PinnedTarget, headers: Mapping[str, str], body: bytes, deadline_s: float
    ) -> Answer:
        assert 0 < deadline_s <= 30
        self.sent.append(Sent(method, str(target.url), headers, body))
        answer = self.meanwhile() if self.meanwhile else self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@dataclass
class FakeSecrets:
    keys: list[str] = field(default_factory=lambda: [SECRET])
    token: str | None = "ghp_token\n"
    down: bool = False
    refreshed: list[str] = field(default_factory=list)

    def reply_key(self, source: str) -> str | None:
        if self.down:
            raise SecretsUnavailable("the store is down")
        return self.keys[0] if self.keys else None

    def api_token(self, source: str) -> str | None:
        if self.down:
            raise SecretsUnavailable("the store is down")
        return self.token

    def refresh(self, source: str) -> bool:
        self.refreshed.append(source)
        return True


@dataclass
class FakeTasks:
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    waiting: bool = True
    down: bool = False

    def succeed(self, token: str, output: dict[str, str | int | None]) -> bool:
        if self.down:
            raise ConnectionError("no answer")
        self.told.append((token, output))
        return self.waiting


class Cut(BaseException):
    """What a function's timeout does: nothing after it runs."""


class Desk:
    """A case whose reply was signed, and everything around it."""

    def __init__(self) -> None:
        stores = Stores()
        self.s3, self.calls = stores.s3, stores.calls
        self.ledger, self.files = stores.ledger, stores.files
        self.network, self.secrets, self.tasks = FakeNetwork(), FakeSecrets(), FakeTasks()
        self.switches = Switches(self.ledger)
        self.courier = self.another_courier()
        self.now = NOW

    def another_courier(self, **parts: Any) -> Courier:
        """Another process that delivers, or one with other parts."""
        ours = {"secrets": self.secrets, "network": self.network, "switches": self.switches}
        return Courier(
            ledger=self.ledger, files=self.files, tasks=self.tasks, github_api_url=API, **(ours | parts)
        )

    def sign(self, destination: Destination = CALLBACK, *, run: int = 1, **changes: Any) -> Approval:
        proposal = Proposal(
            approval_id=APPROVAL,
            tenant=REF.tenant,
            case_id=REF.case_id,
            event_id="ticket-4711",
            text="It is tried ten times. [1]",
            citations=[],
            claims=[],
            actions=[],
            destination=destination,
            evidence=[],
            policy=PolicyRef(name="default", version=1),
        )
        signed = canonical_json(proposal)
        key = signed_key(REF, APPROVAL, sha256_hex(signed))
        self.files.put_once(key, signed)
        fields: dict[str, Any] = {
            "tenant": REF.tenant,
            "case_id": REF.case_id,
            "approval_id": APPROVAL,
            "version": 1,
            "round": 1,
            "status": ApprovalStatus.DECIDED,
            "subject": "Delivery",
            "requested_at": instant(DECIDED),
            "expires_at": instant(NOW + timedelta(hours=4)),
            "shown_sha256": sha256_hex(signed),
            "proposal_key": key,
            "policy": PolicyRef(name="default", version=1),
            "risk": "low",
            "verdict": "approve",
            "decided_by": "maria",
            "decided_at": instant(DECIDED),
            "signed_key": key,
            "signed_sha256": sha256_hex(signed),
        }
        approval = Approval.model_validate(fields | changes)
        head = CaseHead(
            tenant=REF.tenant,
            case_id=REF.case_id,
            source=destination.source,
            subject="Delivery",
            status=CaseStatus.DELIVERING,
            created_at=instant(DECIDED),
            updated_at=instant(DECIDED),
            run=run,
        )
        self.ledger.commit([self.ledger.put_head(head), self.ledger.put_approval(approval)])
        return approval

    def deliver(
        self, *answers: Answer | Exception, attempt: int = 1, token: str = "", repeated: bool = False
    ) -> Outcome:
        self.network.answers += answers
        self.calls.clear()
        return self.courier.deliver(message(attempt, token), self.now, repeated=repeated)

    def lines(self) -> list[LedgerEvent]:
        return [event for event in self.ledger.history(REF)[1] if event.event == ATTEMPTED]


def message(attempt: int = 1, token: str = "") -> Delivery:
    return Delivery(
        tenant=REF.tenant,
        case_id=REF.case_id,
        approval_id=APPROVAL,
        attempt=attempt,
        task_token=token or f"token-{attempt}",
    )


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
