"""Taking an event in: verified, read, claimed, kept and queued, in this order, and acknowledged only then.

The claim is on what the signature covers: the event key where that is signed, else the body's SHA-256. The
raw event is kept under the case's id, which comes from the event key, and the first body wins. So of two
events with one key or, where the key is not signed, with one body, the second is a duplicate of the first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from countersign.case_file import CaseFiles, raw_key
from countersign.clock import instant
from countersign.errors import CaseFileMissing, IntakeUnavailable, SignatureRejected
from countersign.models import CaseRef, Intake, RawEvent, canonical_json, sha256_hex
from countersign.signatures import verify
from countersign.sources import Challenged, Ignored, Source, event_key, load_source, read_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from countersign.event_claims import EventClaims
    from countersign.secrets import SourceSecrets


@dataclass(frozen=True)
class Receipt:
    """The case an event belongs to. `other_body`: the case was opened with another body, which stands."""

    case_id: str
    duplicate: bool
    other_body: bool = False


class IntakeQueue:
    """The queue that start_case reads. Give it a boto3 SQS client and the queue's address."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._sqs = client
        self._url = url

    def send(self, intake: Intake) -> None:
        """Returns once the message is durable."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=canonical_json(intake).decode())


class IntakeDesk:
    """Where events come in.

    `sources` is the folder of the sources' files; `github_api_url` and `allow_loopback` are what `read_event`
    takes.
    """

    def __init__(
        self,
        sources: Path,
        secrets: "SourceSecrets",
        claims: "EventClaims",
        files: CaseFiles,
        queue: IntakeQueue,
        *,
        github_api_url: str,
        allow_loopback: bool = False,
    ) -> None:
        self._sources = sources
        self._secrets = secrets
        self._claims = claims
        self._files = files
        self._queue = queue
        self._github_api_url = github_api_url
        self._allow_loopback = allow_loopback

    def receive(
        self,
        name: str,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        remaining_ms: Callable[[], int],
    ) -> Receipt | Ignored | Challenged:
        """Takes in one event of the source `name`, as it came over the wire; header names in lower case.

        `remaining_ms` says for how many milliseconds this process can go on. Nothing is stored of an event
        that is rejected, ignored or a challenge. Raises RequestRejected for the sender's faults, Unavailable
        where the sender should try again, ConfigurationError where the source's file is wrong.
        """
        # First, so that an unknown sender costs no look at the secrets.
        source = load_source(name, self._sources)
        self._verify(source, headers, body, now)
        received_at = instant(now)
        reply_url = self._reply_url(source)
        read = read_event(
            source,
            headers,
            body,
            received_at,
            self._github_api_url,
            reply_url=reply_url,
            allow_loopback=self._allow_loopback,
        )
        if isinstance(read, Ignored | Challenged):
            return read
        key = event_key(source, headers, body)
        ref = CaseRef(tenant=source.tenant, case_id=derive_case_id(source.tenant, source.name, key))
        raw = RawEvent(
            source=source.name,
            received_at=received_at,
            headers=source.kept_headers(headers),
            body=body.decode(),
            reply_url=reply_url,
        )
        claimed = f"key\0{key}" if source.signs_event_key else f"body\0{raw.body_sha256}"
        try:
            remembered, ran = self._claims.once(
                f"{source.tenant}\0{source.name}\0{claimed}", lambda: self._take(ref, raw), remaining_ms
            )
        except (BotoCoreError, ClientError, CaseFileMissing) as error:
            raise IntakeUnavailable("the event cannot be stored now") from error
        other_body = remembered["body_sha256"] != raw.body_sha256
        duplicate = other_body or not ran or "forgotten" in remembered
        return Receipt(remembered["case_id"], duplicate=duplicate, other_body=other_body)

    def _verify(self, source: Source, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raises SignatureRejected, SecretsUnavailable.

        What the current secret did not sign may be signed with one that came, or went, since it was read.
        """
        at = now.timestamp()
        try:
            verify(source.scheme, headers, body, self._secrets.signing(source.name)[:1], at)
        except SignatureRejected:
            self._secrets.refresh(source.name)
            verify(source.scheme, headers, body, self._secrets.signing(source.name), at)

    def _reply_url(self, source: Source) -> str | None:
        """Raises SecretsUnavailable. It may have been put down since the secret was read."""
        if not source.needs_reply_url:
            return None
        reply_url = self._secrets.reply_url(source.name)
        if reply_url is None and self._secrets.refresh(source.name):
            reply_url = self._secrets.reply_url(source.name)
        return reply_url

    def _take(self, ref: CaseRef, raw: RawEvent) -> dict[str, str]:
        """Keeps and queues; returns what the claim remembers."""
        key = raw_key(ref)
        if not self._files.put_once(key, canonical_json(raw)):
            # An earlier run ended before its claim did, or a sender used one unsigned id for two events.
            raw = self._files.get_model(key, RawEvent)
        kept = {"case_id": ref.case_id, "body_sha256": raw.body_sha256}
        if raw.forgotten is not None:
            return kept | {"forgotten": "yes"}
        # Again for a case that is queued already: its execution starts once, whatever is queued.
        self._queue.send(
            Intake(
                tenant=ref.tenant,
                case_id=ref.case_id,
                source=raw.source,
                received_at=raw.received_at,
            )
        )
        return kept


def derive_case_id(tenant: str, source: str, key: str) -> str:
    """The same event is the same case, whoever sends it again and whenever."""
    digest = sha256_hex(f"{tenant}\0{source}\0{key}")
    return f"c-{digest[:32]}"
