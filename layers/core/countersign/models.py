"""The shapes that travel between steps: every event, case and draft; `decisions` has those of approvals.

All are frozen and refuse unknown fields. Times are ISO 8601 in UTC with a `Z`; offsets count characters
(Unicode code points) of the text they point into; scores lie between 0 and 1; money is US dollars.
"""

import hashlib
import json
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Record(BaseModel):
    """What every stored or exchanged shape has in common: immutable, and strict about its fields."""

    # A model is built on first use: no function uses all of them, and each would wait for all to start.
    # An error that quotes its input would carry a customer's text into the log.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


Score = Annotated[float, Field(ge=0, le=1)]
Risk = Literal["low", "medium", "high"]
Channel = Literal["callback", "github_issue", "github_discussion", "slack_thread"]
WaitingFor = Literal["budget", "slot"]
"""What a parked case waits for."""


class CaseStatus(StrEnum):
    RECEIVED = "received"
    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    PARKED = "parked"
    FAILED = "failed"


class CaseRef(Record):
    """Names one case. Every key, filter and cache key starts with the tenant."""

    tenant: str
    case_id: str

    @property
    def prefix(self) -> str:
        """Where the case's objects lie in the case files bucket."""
        return f"cases/{self.tenant}/{self.case_id}"

    def approval_id(self, round_number: int) -> str:
        return f"{self.case_id}-a{round_number}"

    def execution_name(self, run: int) -> str:
        """What the execution of a run, from 1, is called: a redrive is an execution of its own."""
        return self.case_id if run == 1 else f"{self.case_id}-r{run}"


class OfCase(Record):
    """What belongs to a case, and names it."""

    tenant: str
    case_id: str

    @property
    def ref(self) -> CaseRef:
        return CaseRef(tenant=self.tenant, case_id=self.case_id)


# What came in


class Destination(Record):
    """Where a reply goes. Comes from the source and the signed event, never from a model.

    `address` is a URL for `callback` and `github_issue`, a GraphQL node id for `github_discussion`, and
    `{channel}/{thread_ts}` for `slack_thread`.
    """

    channel: Channel
    address: str
    source: str


class Request(Record):
    """An inbound event as its source reads it.

    `event_id` is the sender's own id of the thing asked (an issue, a ticket), echoed in the reply.
    `thread` joins cases of one conversation for memory; `link` is a page a person can open.
    """

    source: str
    event_id: str
    subject: str
    text: str
    author: str
    thread: str
    destination: Destination
    link: str | None = None
    received_at: str

    @property
    def thread_key(self) -> str:
        """The thread as keys and execution state may hold it: hashed, since it may be somebody's address."""
        return sha256_hex(f"{self.source}\0{self.thread}")


class RawEvent(Record):
    """An event as it came: the body's exact text, and the headers that say how to read it, no secret one.

    `reply_url` is where the operator had the source's replies sent to when it came, None where the event
    itself says where its reply goes. `forgotten` is the SHA-256 of a body that was erased on request; then
    there is no text in it any more.
    """

    source: str
    received_at: str
    headers: dict[str, str]
    body: str
    reply_url: str | None = None
    forgotten: str | None = None

    @property
    def body_sha256(self) -> str:
        return self.forgotten or sha256_hex(self.body)


class Intake(OfCase):
    """The body of a message on the intake queue: ids only, the raw event lies in S3."""

    source: str
    received_at: str
    run: int = 1


# What was found


class Passage(Record):
    """A piece of evidence. `marker` is its number in prompts; offsets of citations count into `text`."""

    marker: int = Field(ge=1)
    passage_id: str
    document: str
    text: str
    source_uri: str
    score: Score


class Found(Record):
    """What one step of the plan found: the object stored under the step's index."""

    query: str
    passages: list[Passage]


class Recollection(Record):
    """An earlier case of the same thread: what was asked and what was answered."""

    case_id: str
    at: str
    subject: str
    answer: str


class PlanStep(Record):
    query: str
    purpose: str


class Plan(Record):
    steps: list[PlanStep] = Field(min_length=1, max_length=3)
    risk: Risk
    risk_reason: str


# What was written


class Citation(Record):
    """An exact quote: `passage.text[start:end] == quote`, checked wherever a citation is made."""

    marker: int
    passage_id: str
    document: str
    quote: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    source_uri: str


class Claim(Record):
    """A sentence of the draft and how the evidence bears on it. Offsets count into the draft's text."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    verdict: Literal["supported", "unsupported", "contradicted"]
    score: Score
    markers: list[int] = []


class ProposedAction(Record):
    name: str
    arguments: dict[str, JsonValue] = {}


class Draft(Record):
    """A proposed reply. `text` carries its citations as `[1]` after the sentence they belong to."""

    text: str
    claims: list[Claim] = []
    citations: list[Citation] = []
    actions: list[ProposedAction] = []
    answered: bool = True
    engine: str


class Finding(Record):
    """What the reviewer holds against a draft. `claim` is the index of the claim, or None for the whole."""

    claim: int | None = None
    problem: str


class Review(Record):
    """The reviewer's verdict. `score` is the model's view, `support` the share of claims found supported."""

    verdict: Literal["accept", "revise"]
    score: Score
    support: Score
    unsupported: int = Field(ge=0)
    summary: str
    findings: list[Finding] = []


# What it took


class ModelCall(Record):
    """One paid call. `input_tokens` excludes cache reads and writes, which are counted apart.

    `latency_ms` is wall time seen by us, `ttft_ms` the time to the first token where the answer was
    streamed, `cost_usd` None where no price is known for the model.
    """

    role: str
    model_id: str
    prompt: str | None = None
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)
    latency_ms: float = Field(ge=0)
    ttft_ms: float | None = None
    cost_usd: Decimal | None = None


class StepRecord(Record):
    """That a state did its work in a round: what the timeline shows and what the case cost.

    With `error`, the name of one of our errors, it is an attempt that failed; `AttemptLost` is one that left
    no record of its own. `entered` names the entry of the state that it was an attempt of. `assumed_usd` may
    have been paid besides the calls: nobody knows, so it counts as paid.
    """

    state: str
    round: int
    at: str
    detail: dict[str, JsonValue] = {}
    calls: list[ModelCall] = []
    error: str | None = None
    entered: str | None = None
    assumed_usd: Decimal | None = None


class Round(Record):
    """One pass of writing and reviewing. `feedback` is all that the draft was asked to change.

    `sent_back` is the part of it that people asked for: their words hold for every round that follows.
    """

    number: int = Field(ge=1)
    feedback: str | None = None
    sent_back: str | None = None
    draft: Draft | None = None
    review: Review | None = None


class CaseFile(OfCase):
    """Everything with text in it that a case has gathered. Lives in S3 alone, under `CaseRef.prefix`."""

    request: Request
    memory: list[Recollection] = []
    plan: Plan | None = None
    passages: list[Passage] = []
    rounds: list[Round] = []
    steps: list[StepRecord] = []

    @property
    def risk(self) -> Risk:
        """The planner's; medium until it has planned."""
        return self.plan.risk if self.plan else "medium"

    def round(self, number: int) -> Round | None:
        return next((r for r in self.rounds if r.number == number), None)

    def with_round(self, changed: Round) -> "CaseFile":
        """The same file with this round in the place of the one of its number, rounds in their order."""
        others = [r for r in self.rounds if r.number != changed.number]
        return self.model_copy(update={"rounds": sorted([*others, changed], key=lambda r: r.number)})

    def step(self, state: str, round_number: int) -> StepRecord | None:
        """The record of a step that succeeded; failed attempts are passed over."""
        done = (s for s in self.steps if s.state == state and s.round == round_number and s.error is None)
        return next(done, None)

    def calls(self) -> list[ModelCall]:
        return [call for step in self.steps for call in step.calls]

    def cost_usd(self) -> Decimal | None:
        """What the models have cost so far, at most; None where the price of one is not known."""
        unknown = any(call.cost_usd is None for call in self.calls())
        return None if unknown else self.known_cost_usd()

    def known_cost_usd(self) -> Decimal:
        """The same, without what has no known price."""
        costs = [call.cost_usd for call in self.calls()] + [step.assumed_usd for step in self.steps]
        return sum((cost for cost in costs if cost is not None), Decimal(0))


class Delivery(OfCase):
    """The body of a message on the delivery queue."""

    approval_id: str
    attempt: int = Field(ge=1)
    task_token: str = Field(repr=False)


class LedgerEvent(Record):
    """One line of a case's history. `detail` holds ids, scores, hashes and codes; no customer text."""

    at: str
    event: str
    actor: str
    detail: dict[str, JsonValue] = {}


class CaseHead(OfCase):
    """The row a list of cases shows.

    `forgotten_at` is when its text was erased on request, None where it was not, or only by age.
    `waiting_for` says why a case is parked, and nothing in another status; `failed_in` is the state, or
    `execution`, in which a run last failed.
    """

    source: str
    subject: str
    status: CaseStatus
    created_at: str
    updated_at: str
    approval_id: str | None = None
    outcome: str | None = None
    failed_in: str | None = None
    forgotten_at: str | None = None
    waiting_for: WaitingFor | None = None
    run: int = 1

    @property
    def execution(self) -> str:
        """The name of the current run's execution."""
        return self.ref.execution_name(self.run)


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces.

    The same value always gives the same bytes, so a hash over them can be checked later.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def sha256_hex(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()
