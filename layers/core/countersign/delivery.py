"""Delivery: one attempt to send what was signed, and the answer for the task that waits for it.

An attempt sends only what the approval row's hash says was signed. It is begun on that row, by one process
at a time, and leaves one line in the ledger (`attempts`). An attempt that is over is not made again, its
answer is repeated; after one that delivered the reply is never sent again, also not by a redriven case.
Between sending and writing that down lies a moment in which a crash makes the same attempt run again: then
the receiver sees the same delivery id (the approval's), and on GitHub and Slack the comment or message is
looked for first.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from countersign.answers import Outcome, read_answer
from countersign.attempts import Attempts, Begun
from countersign.case_file import CaseFiles
from countersign.clock import parse
from countersign.decisions import Approval, ApprovalStatus, Proposal
from countersign.errors import (
    ApprovalMissing,
    CaseFileMissing,
    ConfigurationError,
    DestinationDenied,
    DestinationOff,
    DestinationUnresolved,
    SecretsUnavailable,
    SignedBytesChanged,
)
from countersign.github_comments import GitHub
from countersign.ledger import Ledger
from countersign.models import CaseRef, Delivery, canonical_json
from countersign.outbound import LOOK_UP_S, Network, NoAnswer, PinnedTarget
from countersign.proposals import read_signed
from countersign.replies import Reply, compose_reply, marker
from countersign.signatures import sign_standard_webhook
from countersign.slack_messages import Slack, token_refused
from countersign.switches import Switches

ATTEMPT_S = 30
"""Seconds of an attempt, from the look-up of the name to the end of the answer.

The function's timeout (60 s) leaves as much again for the stores, the queue's visibility (360 s) is six times
that: a message comes back only when its attempt is surely over.
"""

# Trying again would not help: a person has to look.
_PERMANENT = (
    ApprovalMissing,
    CaseFileMissing,
    ConfigurationError,
    DestinationDenied,
    SignedBytesChanged,
)


class Tasks(Protocol):
    """Step Functions as far as a delivery needs it."""

    def succeed(self, token: str, output: dict[str, str | int | None]) -> bool:
        """False where nobody waits for this token any more."""
        ...


class Secrets(Protocol):
    """The secrets of sources. All raise SecretsUnavailable."""

    def api_token(self, source: str) -> str | None: ...

    def reply_key(self, source: str) -> str | None:
        """What callbacks are signed with, by Standard Webhooks."""
        ...

    def refresh(self, source: str) -> object:
        """Reads the secret again, unless that was done just now."""
        ...


def _failure(outcome: Outcome) -> str | None:
    """What the case fails with where no attempt comes after this one; None where none has to."""
    if outcome.outcome == "delivered":
        return None
    return (outcome.outcome == "failed" and outcome.reason) or "DeliveryFailed"


@dataclass(frozen=True)
class Courier:
    """The stores, the secrets, the engine and the network that a delivery needs."""

    ledger: Ledger
    files: CaseFiles
    secrets: Secrets
    tasks: Tasks
    network: Network
    switches: Switches
    github_api_url: str
    slack_api_url: str = "https://slack.com/api"
    allow_loopback: bool = False

    @property
    def attempts(self) -> Attempts:
        return Attempts(self.ledger)

    def deliver(
        self, delivery: Delivery, now: datetime, *, repeated: bool, seconds: float = ATTEMPT_S
    ) -> Outcome:
        """Makes one attempt, or finds how it went before, and answers its task.

        `repeated` says that the message was received before; `seconds` is what is left for sending. Four
        calls of AWS while the secret is warm. Whatever the stores and the engine raise passes through: the
        message comes again.
        """
        begun = self.attempts.begin(delivery, now)
        if isinstance(begun, Outcome):
            outcome = begun
        else:
            began = time.monotonic()
            outcome = self._attempt(delivery, begun, now, began + seconds, repeated=repeated)
            self.attempts.finish(delivery, outcome, now)
        self.tasks.succeed(
            delivery.task_token,
            {
                "outcome": outcome.outcome,
                "retry_after_s": outcome.retry_after_s,
                "status": outcome.status,
                "error": _failure(outcome),
            },
        )
        return outcome

    def _attempt(
        self, delivery: Delivery, begun: Begun | None, now: datetime, until: float, *, repeated: bool
    ) -> Outcome:
        try:
            proposal, decided = self._signed(begun)
            if self.switches.is_off(delivery.tenant, proposal.destination):
                raise DestinationOff("its receiver was gone, and nobody has turned it on again")
            reply = compose_reply(
                proposal,
                self.github_api_url,
                self.slack_api_url,
                str(decided.decided_by),
                str(decided.decided_at),
            )
            # An attempt of which nobody knows how it ended may have been received.
            maybe_sent = repeated or delivery.attempt > 1 or bool(begun and begun.maybe_sent)
            attempt = _Attempt(proposal, reply, decided, now, until, maybe_sent)
            return self._noted(attempt, self._send(attempt))
        except (DestinationUnresolved, SecretsUnavailable) as error:
            return Outcome(outcome="retry", reason=type(error).__name__)
        except _PERMANENT as error:
            return Outcome(outcome="failed", reason=type(error).__name__)
        except NoAnswer as error:
            return Outcome(outcome="retry", reason=error.reason)

    def _noted(self, attempt: "_Attempt", outcome: Outcome) -> Outcome:
        """A receiver that is gone is switched off; one that a person has turned on since is tried again."""
        if outcome.status != HTTPStatus.GONE:
            return outcome
        proposal = attempt.proposal
        ref = CaseRef(tenant=proposal.tenant, case_id=proposal.case_id)
        if self.switches.turn_off(ref, proposal.destination, attempt.now):
            return outcome.model_copy(update={"outcome": "failed", "reason": DestinationOff.__name__})
        return outcome.model_copy(update={"outcome": "retry"})

    def _send(self, attempt: "_Attempt") -> Outcome:
        match attempt.proposal.destination.channel:
            case "callback":
                return self._call_back(attempt)
            case "github_issue":
                return self._comment_on_issue(attempt)
            case "github_discussion":
                return self._comment_on_discussion(attempt)
            case "slack_thread":
                return self._post_to_slack(attempt)

    def _signed(self, begun: Begun | None) -> tuple[Proposal, Approval]:
        """What the row says was signed. Raises ApprovalMissing, SignedBytesChanged, CaseFileMissing."""
        approval = begun.approval if begun else None
        if (
            approval is None
            or approval.status is not ApprovalStatus.DECIDED
            or approval.verdict not in {"approve", "edit"}
            or approval.signed_key is None
            or approval.signed_sha256 is None
        ):
            raise ApprovalMissing("nobody signed what was queued for delivery")
        proposal = read_signed(self.files, approval.signed_key, approval.signed_sha256)
        if (proposal.tenant, proposal.approval_id) != (approval.tenant, approval.approval_id):
            raise SignedBytesChanged("what is stored belongs to another approval")
        return proposal, approval

    def _resolve(self, url: str, until: float) -> PinnedTarget:
        return self.network.resolve_target(
            url, allow_loopback=self.allow_loopback, deadline_s=min(LOOK_UP_S, until - time.monotonic())
        )

    def _call_back(self, attempt: "_Attempt") -> Outcome:
        source = attempt.proposal.destination.source
        target = self._resolve(attempt.reply.url, attempt.until)
        key = self.secrets.reply_key(source)
        if not key:
            raise ConfigurationError(f"source {source} has no secret to sign replies with")
        body = canonical_json(attempt.reply.body)
        headers = {
            "Content-Type": "application/json",
            **sign_standard_webhook(key, attempt.proposal.approval_id, int(attempt.now.timestamp()), body),
        }
        answer = self.network.post(target, body, headers, deadline_s=attempt.until - time.monotonic())
        return read_answer(answer, attempt.now)

    def _comment_on_issue(self, attempt: "_Attempt") -> Outcome:
        # The token goes to the configured API alone, whatever address was signed.
        if not attempt.reply.url.startswith(f"{self.github_api_url}/repos/"):
            raise DestinationDenied("the address is not one of the configured GitHub API")
        target = self._resolve(attempt.reply.url, attempt.until)
        github = self._github(attempt)
        if attempt.maybe_sent:
            since = parse(str(attempt.decided.decided_at))
            found = github.find_on_issue(target, marker(attempt.proposal.approval_id), since)
            if found is not None:
                return self._noticed(attempt, found)
        return self._noticed(attempt, github.comment_on_issue(target, attempt.reply.body))

    def _comment_on_discussion(self, attempt: "_Attempt") -> Outcome:
        target = self._resolve(attempt.reply.url, attempt.until)
        github = self._github(attempt)
        if attempt.maybe_sent:
            subject = attempt.proposal.destination.address
            found = github.find_on_discussion(target, subject, marker(attempt.proposal.approval_id))
            if found is not None:
                return self._noticed(attempt, found)
        return self._noticed(attempt, github.comment_on_discussion(target, attempt.reply.body))

    def _post_to_slack(self, attempt: "_Attempt") -> Outcome:
        slack = Slack(
            self.network,
            self._resolve(self.slack_api_url, attempt.until),
            self._api_token(attempt),
            attempt.until,
            attempt.now,
        )
        outcome = None
        if attempt.maybe_sent:
            address = attempt.proposal.destination.address
            since = parse(str(attempt.decided.decided_at))
            outcome = slack.find_message(address, attempt.proposal.approval_id, since)
        outcome = outcome or slack.post_message(attempt.reply.body)
        if token_refused(outcome):
            self.secrets.refresh(attempt.proposal.destination.source)
        return outcome

    def _github(self, attempt: "_Attempt") -> GitHub:
        return GitHub(self.network, self._api_token(attempt), attempt.until, attempt.now)

    def _api_token(self, attempt: "_Attempt") -> str:
        source = attempt.proposal.destination.source
        token = self.secrets.api_token(source)
        if not token:
            raise ConfigurationError(f"source {source} has no api_token to reply with")
        return token.strip()

    def _noticed(self, attempt: "_Attempt", outcome: Outcome) -> Outcome:
        """A refused token may have been replaced: the next attempt shall find the new one."""
        if outcome.status == HTTPStatus.UNAUTHORIZED:
            self.secrets.refresh(attempt.proposal.destination.source)
        return outcome


@dataclass(frozen=True)
class _Attempt:
    """`until` is on `time.monotonic`'s clock."""

    proposal: Proposal
    reply: Reply
    decided: Approval
    now: datetime
    until: float
    maybe_sent: bool
