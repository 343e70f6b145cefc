"""Countersign whole, on this machine: template.yaml's stack with a local Bedrock and a stand-in for APIs.

with OfflineApp(knowledge=Path("knowledge")) as app:
    app.stack.request("POST", "/webhooks/webhook", headers=..., body=...)
"""

import base64
import json
import mimetypes
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from countersign.sources import load_sources
from local.bedrock.app import LocalBedrock
from local.bedrock.models import Model, make_model
from local.clock import Clock
from local.documents import SIDECAR, documents
from local.outbox import Outbox
from local.resources import short_id, stable_name
from local.stack import ROOT, LogLine, Stack
from local.template import STACK_NAME

TENANT = "default"
SOURCES = ROOT / "layers/sources/sources"
# The stand-ins take any that have the right form.
API_TOKENS = {"github": "local-github-token", "slack": "xoxb-local-slack-token"}


@dataclass(frozen=True)
class Ingested:
    """What an ingestion job did: documents by outcome, and why some failed."""

    scanned: int
    indexed: int
    deleted: int
    failed: int
    reasons: tuple[str, ...] = ()


class OfflineApp:
    """One offline deployment, from `start` to `stop`. Replies go to `outbox` but for named listeners."""

    def __init__(
        self,
        *,
        knowledge: Path | None = None,
        model: str | Model = "extractive",
        parameters: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        on_log: Callable[[LogLine], None] | None = None,
        template: Path = ROOT / "template.yaml",
    ) -> None:
        """`model` is what the command line's `--model` takes, `parameters` are the template's.

        Raises ValueError for an unknown model.
        """
        self._knowledge = knowledge
        self._parts = ExitStack()
        self.outbox = Outbox()
        clock = clock or Clock()
        base = short_id("KnowledgeBase")
        self.bedrock = LocalBedrock(
            model=make_model(model) if isinstance(model, str) else model,
            knowledge_bases={base: stable_name("AWS::S3::Bucket", STACK_NAME, "KnowledgeBucket")},
            s3=lambda: self.stack.client("s3"),
            agents={short_id("Agent"): base},
            sleep=clock.sleep,
        )
        self.stack = Stack(
            template,
            # Nobody's tokens are checked against it: the gateway gives out its own.
            parameters={"TokenIssuer": "https://localhost", **(parameters or {})},
            environment={
                "GITHUB_API_URL": self.outbox.url,
                "SLACK_API_URL": self.outbox.slack_url,
                "ALLOW_LOOPBACK_CALLBACKS": "true",
            },
            clock=clock,
            bedrock=self.bedrock,
            on_log=on_log,
        )

    def start(self) -> Self:
        """Deploy, and ingest the knowledge. Raises KnowledgeMissing, TemplateError."""
        if self._knowledge is not None:
            documents(self._knowledge)
        with ExitStack() as parts:
            parts.enter_context(self.outbox)
            parts.enter_context(self.stack)
            self._give_secrets()
            if self._knowledge is not None:
                self.ingest(self._knowledge)
            self._parts = parts.pop_all()
        return self

    def stop(self) -> None:
        """End everything; its data is gone."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def token(self) -> str:
        """The API token of the person who runs it."""
        return self.stack.token

    @property
    def sources(self) -> dict[str, str]:
        """The secret of every source, by its name."""
        return {path.stem: self.secret(path.stem) for path in sorted(SOURCES.glob("*.yaml"))}

    def secret(self, source: str) -> str:
        """What a sender of this source signs with."""
        current: str = self._stored(source)["current"]
        return current

    def ingest(self, folder: Path, tenant: str = TENANT) -> Ingested:
        """Make a folder's documents (or one file) a tenant's knowledge. Raises KnowledgeMissing."""
        s3, bucket = self.stack.client("s3"), self.stack.resource("KnowledgeBucket")
        with self._one_job_for_all(s3, bucket):
            for name, path in documents(folder):
                key = f"{tenant}/{name}"
                kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=kind)
                owner = json.dumps({"metadataAttributes": {"tenant": tenant}}).encode()
                s3.put_object(Bucket=bucket, Key=key + SIDECAR, Body=owner, ContentType="application/json")
        agent = self.stack.client("bedrock-agent")
        source = {
            "knowledgeBaseId": self.stack.resource("KnowledgeBase"),
            "dataSourceId": self.stack.resource("KnowledgeDocuments").rpartition("|")[2],
        }
        job = agent.start_ingestion_job(**source)["ingestionJob"]
        job = agent.get_ingestion_job(**source, ingestionJobId=job["ingestionJobId"])["ingestionJob"]
        counted = job["statistics"]
        return Ingested(
            scanned=counted["numberOfDocumentsScanned"],
            indexed=counted["numberOfNewDocumentsIndexed"] + counted["numberOfModifiedDocumentsIndexed"],
            deleted=counted["numberOfDocumentsDeleted"],
            failed=counted["numberOfDocumentsFailed"],
            reasons=tuple(job.get("failureReasons", ())),
        )

    @contextmanager
    def _one_job_for_all(self, s3: Any, bucket: str) -> Iterator[None]:
        """While many documents come in, the bucket tells nobody of each: one job reads them afterwards."""
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        try:
            yield
        finally:
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )

    def reply_secret(self, source: str) -> str:
        """What the callbacks of a source with a fixed address are signed with."""
        secret: str = self._stored(source)["reply_secret"]
        return secret

    def _stored(self, source: str) -> dict[str, Any]:
        name = f"{STACK_NAME}/sources/{source}"
        stored = self.stack.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
        value: dict[str, Any] = json.loads(stored)
        return value

    def _give_secrets(self) -> None:
        """What an operator does once: a secret for each source, with what its replies need."""
        store = self.stack.client("secretsmanager")
        known = {secret["Name"] for secret in store.list_secrets(MaxResults=100)["SecretList"]}
        for name, source in load_sources(SOURCES).items():
            secret_id = f"{STACK_NAME}/sources/{name}"
            value = self._stored(name) if secret_id in known else {"current": secrets.token_hex(16)}
            if name in API_TOKENS:
                value["api_token"] = API_TOKENS[name]
            if source.needs_reply_url:
                key = base64.b64encode(secrets.token_bytes(24)).decode()
                value |= {"reply_url": self.outbox.replies_url, "reply_secret": f"whsec_{key}"}
            put = store.put_secret_value if secret_id in known else store.create_secret
            named = {"SecretId" if secret_id in known else "Name": secret_id}
            put(**named, SecretString=json.dumps(value))
