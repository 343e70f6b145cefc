"""The shapes of a decision: what is shown, under which terms, the row that decides and what was decided."""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from countersign.models import Citation, Claim, Destination, OfCase, ProposedAction, Record, Risk, Score


class PolicyRef(Record):
    name: str
    version: int


class Evidence(Record):
    """A passage as the signed document names it: its id and the SHA-256 of its text in hexadecimal."""

    marker: int
    passage_id: str
    text_sha256: str


class Proposal(Record):
    """What a person is shown and signs and what delivery sends: canonical JSON, hashed as stored."""

    approval_id: str
    tenant: str
    case_id: str
    event_id: str
    text: str
    citations: list[Citation]
    claims: list[Claim]
    actions: list[ProposedAction]
    destination: Destination
    evidence: list[Evidence]
    policy: PolicyRef
    reason: str | None = None


class Terms(Record):
    """What a policy asks for: whether a person must sign, and how long people are asked.

    After `deadline_s` seconds the approval escalates, after `escalation_s` more it expires.
    """

    needed: bool
    deadline_s: int = Field(gt=0)
    escalation_s: int = Field(gt=0)
    policy: PolicyRef


Verdict = Literal["approve", "edit", "respond", "reject"]


class DecisionBody(Record):
    """The body of `POST /approvals/{approval_id}/decision`."""

    model_config = ConfigDict(hide_input_in_errors=True)

    verdict: Verdict
    text: str | None = Field(default=None, max_length=65_536)
    reason: str | None = Field(default=None, max_length=8_192)
    shown_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DecisionDocument(Record):
    """Why a person decided so. Kept in S3, as words are."""

    approval_id: str
    version: int
    verdict: Verdict
    decided_by: str
    decided_at: str
    channel: str
    reason: str | None = None


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    DECIDED = "decided"
    EXPIRED = "expired"


class Approval(OfCase):
    """The approval row, the arbiter of a decision. Its task token goes to Step Functions and nowhere else.

    `cost_usd` is what the case had cost when it was asked, None where that is not known; nothing is spent
    until it is decided.
    """

    approval_id: str
    version: int
    round: int
    status: ApprovalStatus
    subject: str
    requested_at: str
    expires_at: str
    shown_sha256: str
    proposal_key: str
    policy: PolicyRef
    risk: Risk
    reviewer_score: Score | None = None
    cost_usd: Decimal | None = None
    has_draft: bool = True
    too_long_by: int = 0
    escalated: bool = False
    reason: str | None = None
    task_token: str | None = Field(default=None, repr=False)
    verdict: Verdict | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    channel: str | None = None
    decision_key: str | None = None
    signed_key: str | None = None
    signed_sha256: str | None = None
