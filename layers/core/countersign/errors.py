"""Every error Countersign names. The class name is the contract: ASL Retry and Catch match on it.

CountersignError
├── RequestRejected                 a caller's fault: answered with 4xx, nothing stored
│   ├── UnreadableBody                  400  not the strict JSON (or form) we read
│   ├── SignatureRejected               401  missing, wrong, stale or unverifiable signature
│   ├── NotAllowed                      403  this person may not do this
│   ├── NotFound                        404  no such source, case or approval for this tenant
│   ├── AlreadyDecided                  409  somebody decided first
│   ├── StaleCard                       409  the card shown is not the one that waits now
│   ├── CaseNotEnded                    409  only a case that has ended can be forgotten
│   ├── NotRedrivable                   409  the case has not failed, or its execution has not ended
│   ├── ApprovalExpired                 410  the deadline has passed
│   ├── BodyTooLarge                    413  over 1 MiB
│   ├── WrongContentType                415  not the type this source sends
│   └── InvalidRequest                  422  readable, but not what this call takes
├── StepError                       a step of the machine could not do its work
│   ├── ModelThrottled                  Bedrock asks us to slow down; retried by ASL
│   ├── ModelUnavailable                Bedrock failed or timed out; retried by ASL
│   ├── ModelRefused                    the model, a guardrail or our access said no; goes to a person
│   ├── ModelOutputInvalid              twice no answer that fits the schema; goes to a person
│   ├── KnowledgeUnavailable            retrieval failed; retried by ASL
│   ├── StoreConflict                   a concurrent writer won too often; retried by ASL
│   ├── StoreUnavailable                AWS failed, was silent or asks us to slow down; retried by ASL
│   ├── BudgetExhausted                 too little is left of the case's hold or of the day: more, or parked
│   ├── BudgetTooSmall                  a whole day's cap would not pay for it; goes to a person
│   ├── SlotsTaken                      as many cases of the tenant draft as may; the case is parked
│   ├── CaseFileMissing                 a case without its file: our own fault
│   ├── ApprovalMissing                 a task answered for an approval that does not exist: our own fault
│   └── SignedBytesChanged              what is stored is not what was signed; nothing is sent
├── DestinationDenied               a reply address we will not connect to
│   ├── DestinationUnresolved           its name has no address now; tried again on the delivery schedule
│   └── DestinationOff                  its receiver is gone (410); nothing is sent until a person turns it on
├── AttemptUnderway                 another copy of the message is being delivered; this one comes again
├── Unavailable                     nothing is lost: answered with 503 and Retry-After
│   ├── SecretsUnavailable              the secret store did not answer, or with something unusable
│   ├── EventInProgress                 another run is taking this very event in and has not finished
│   └── IntakeUnavailable               claims, case files or the queue did not take an event
├── EngineUnavailable               Step Functions did not answer; what was decided stands, a sweep tells it
└── ConfigurationError              a source, policy, prompt or setting that cannot work
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countersign.models import ModelCall


class CountersignError(Exception):
    """Root of every error raised on purpose."""


class RequestRejected(CountersignError):
    """The caller's fault. `status` is the HTTP status, `code` the word in the error body."""

    status = 400
    code = "bad_request"


class UnreadableBody(RequestRejected):
    code = "unreadable_body"


class SignatureRejected(RequestRejected):
    status = 401
    code = "signature_rejected"


class NotAllowed(RequestRejected):
    status = 403
    code = "not_allowed"


class NotFound(RequestRejected):
    status = 404
    code = "not_found"


class AlreadyDecided(RequestRejected):
    """Carries who decided what and when, so that a late click learns the outcome.

    `decided_at` is ISO 8601 in UTC, `verdict` the recorded verdict.
    """

    status = 409
    code = "already_decided"

    def __init__(self, message: str, *, decided_by: str, decided_at: str, verdict: str) -> None:
        super().__init__(message)
        self.decided_by = decided_by
        self.decided_at = decided_at
        self.verdict = verdict


class StaleCard(RequestRejected):
    status = 409
    code = "stale_card"


class CaseNotEnded(RequestRejected):
    status = 409
    code = "case_not_ended"


class NotRedrivable(RequestRejected):
    status = 409
    code = "not_redrivable"


class ApprovalExpired(RequestRejected):
    status = 410
    code = "approval_expired"


class BodyTooLarge(RequestRejected):
    status = 413
    code = "body_too_large"


class WrongContentType(RequestRejected):
    status = 415
    code = "wrong_content_type"


class InvalidRequest(RequestRejected):
    status = 422
    code = "invalid_request"


class StepError(CountersignError):
    """A step of the machine could not do its work. `calls` were paid for before it failed.

    `assumed_usd` is what may have been paid besides: a call whose answer never came may be on the bill.
    """

    def __init__(self, message: str = "", *, calls: "Sequence[ModelCall]" = ()) -> None:
        super().__init__(message)
        self.calls = tuple(calls)
        self.assumed_usd: Decimal | None = None


class ModelThrottled(StepError):
    pass


class ModelUnavailable(StepError):
    pass


class ModelRefused(StepError):
    pass


class ModelOutputInvalid(StepError):
    pass


class KnowledgeUnavailable(StepError):
    pass


class StoreConflict(StepError):
    pass


class StoreUnavailable(StepError):
    pass


class BudgetExhausted(StepError):
    """`needed_usd` is what a step must be able to spend to come to its end, where it is a step that stops."""

    def __init__(
        self, message: str = "", *, needed_usd: Decimal | None = None, calls: "Sequence[ModelCall]" = ()
    ) -> None:
        super().__init__(message, calls=calls)
        self.needed_usd = needed_usd


class BudgetTooSmall(StepError):
    pass


class SlotsTaken(StepError):
    pass


class CaseFileMissing(StepError):
    pass


class ApprovalMissing(StepError):
    pass


class SignedBytesChanged(StepError):
    pass


class DestinationDenied(CountersignError):
    pass


class DestinationUnresolved(DestinationDenied):
    pass


class DestinationOff(DestinationDenied):
    pass


class AttemptUnderway(CountersignError):
    pass


class Unavailable(CountersignError):
    """Try again, after about `retry_after_s` seconds. `code` is the word in the error body."""

    status = 503
    code = "unavailable"
    retry_after_s = 30


class SecretsUnavailable(Unavailable):
    pass


class EventInProgress(Unavailable):
    code = "in_progress"
    retry_after_s = 5


class IntakeUnavailable(Unavailable):
    pass


class EngineUnavailable(CountersignError):
    pass


class ConfigurationError(CountersignError):
    pass
