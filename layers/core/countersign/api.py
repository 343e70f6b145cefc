"""The bodies of the HTTP API, as `docs/openapi.json` documents them and as the functions give them out.

Times are ISO 8601 in UTC with a `Z`; offsets count characters (Unicode code points) of the text they point
into; scores lie between 0 and 1; `cost_usd` is a decimal number as text, in US dollars,
and null where a model's price is not known or the text of the case is erased.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from countersign.decisions import ApprovalStatus, PolicyRef, Verdict
from countersign.models import (
    CaseStatus,
    Citation,
    Claim,
    Passage,
    ProposedAction,
    Review,
    Risk,
    Score,
    WaitingFor,
)


class Body(BaseModel):
    """What every body has in common. A field of an answer is always there, None where nothing is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


# Errors


class ErrorWord(Body):
    """`code` is for programs, `message` one sentence for people."""

    code: str
    message: str


class ErrorAnswer(Body):
    error: ErrorWord


class DecidedAlready(ErrorAnswer):
    """Somebody was faster: who, when, and what they decided."""

    decided_by: str
    decided_at: str
    verdict: Verdict


# Webhooks


class Accepted(Body):
    """The event is stored and will be a case. `duplicate` says that it was one already.

    `other_body` is there, and true, where the sender's id came before with another body, which stands.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    case_id: str
    status_url: str
    duplicate: bool
    other_body: bool = False


class Ignored(Body):
    """The event is none that opens a case."""

    status: Literal["ignored"]
    reason: str


class Challenge(Body):
    """What a sender that tries the address is shown: its own token."""

    challenge: str


# Cases


class CaseLine(Body):
    """`waiting_for` is what a parked case waits for, None in any other status.

    `forgotten_at` is when the case's text was erased on request; it has no subject then.
    """

    case_id: str
    status: CaseStatus
    waiting_for: WaitingFor | None
    source: str
    subject: str
    created_at: str
    updated_at: str
    forgotten_at: str | None


class CaseList(Body):
    """Newest first. `cursor` is where the next page begins, None on the last one."""

    cases: list[CaseLine]
    cursor: str | None


class TimelineEvent(Body):
    """`detail` holds ids, scores, hashes and numbers, no text of the case."""

    at: str
    event: str
    actor: str
    detail: dict[str, JsonValue]


class Usage(Body):
    """Input tokens include those read from and written to a cache."""

    input_tokens: int
    output_tokens: int
    model_calls: int


class CaseDraft(Body):
    """A draft. Markers such as `[1]` in its text are those of its citations."""

    text: str
    claims: list[Claim]
    citations: list[Citation]


class CaseAnswer(CaseLine):
    """A case. Draft and review are the latest of its rounds; None before there is one, and once erased."""

    timeline: list[TimelineEvent]
    draft: CaseDraft | None
    review: Review | None
    approval_id: str | None
    usage: Usage
    cost_usd: str | None
    outcome: str | None


# Approvals


class ApprovalLine(Body):
    approval_id: str
    case_id: str
    status: ApprovalStatus
    subject: str
    requested_at: str
    expires_at: str
    risk: Risk
    reviewer_score: Score | None
    escalated: bool
    verdict: Verdict | None
    decided_by: str | None
    decided_at: str | None


class ApprovalList(Body):
    """The longest waiting first where they are pending, else the latest first."""

    approvals: list[ApprovalLine]
    cursor: str | None


class AskedRequest(Body):
    """What came in, as the sender wrote it."""

    source: str
    subject: str
    text: str
    author: str
    link: str | None
    received_at: str


class CardDraft(CaseDraft):
    """What is proposed. An empty text means that there is no draft."""

    actions: list[ProposedAction]


class CardDestination(Body):
    """Where the reply goes, as the signed event and its source say.

    `off_since` is when it was switched off because its receiver was gone: nothing is sent until it is on.
    """

    channel: str
    address: str
    off_since: str | None


class CardDecision(Body):
    """What was decided. `signed_sha256` is the hash of what may leave, `signed_text` what its receiver reads;
    None where nothing may leave.
    """

    verdict: Verdict
    decided_by: str
    decided_at: str
    reason: str | None
    signed_sha256: str | None
    signed_text: str | None


class EvidenceCard(ApprovalLine):
    """All that a person needs to decide.

    `reason` says why a person is needed where that is not the policy alone. `will_send` is what the receiver
    would read, `too_long_by` how many of its characters are more than the channel takes, so that it must be
    edited. `shown_sha256` goes back with the decision, to say what was seen.
    """

    version: int
    reason: str | None
    request: AskedRequest
    draft: CardDraft
    passages: list[Passage]
    review: Review | None
    usage: Usage
    cost_usd: str | None
    policy: PolicyRef
    destination: CardDestination
    will_send: str
    too_long_by: int
    shown_sha256: str
    decision: CardDecision | None


class DecisionAnswer(Body):
    """What is recorded. `signed_sha256` is the hash of what may leave, None where nothing may."""

    approval_id: str
    case_id: str
    version: int
    status: ApprovalStatus
    verdict: Verdict
    decided_by: str
    decided_at: str
    signed_sha256: str | None


# Knowledge


class NewDocument(Body):
    """A document. `name` is its path below the tenant's folder, and its suffix says its format.

    Its content is either `text` or, for formats that are none, `content_base64`.
    """

    name: str = Field(min_length=1, max_length=512)
    text: str | None = None
    content_base64: str | None = None
    content_type: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,64}$")


class NewDocuments(Body):
    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=50)]


class StoredDocuments(Body):
    """The documents are stored. `job_id` is the job that reads them.

    While an earlier job runs it is None, the status is `waiting`, and the next job follows by itself.
    """

    documents: list[str]
    job_id: str | None
    status: Literal["started", "waiting"]


class JobAnswer(Body):
    """`status` is Bedrock's: STARTING, IN_PROGRESS, COMPLETE, FAILED, STOPPING or STOPPED."""

    job_id: str
    status: str
    started_at: str
    updated_at: str


class SearchBody(Body):
    query: str = Field(min_length=1, max_length=1_000)
    limit: int = Field(default=5, ge=1, le=20)
    mode: Literal["semantic"] = "semantic"


class SearchResult(Body):
    document: str
    chunk_id: str
    text: str
    score: Score
    source_uri: str


class SearchAnswer(Body):
    """Best first."""

    results: list[SearchResult]
