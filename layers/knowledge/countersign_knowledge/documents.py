"""The documents that knowledge is made of, in their bucket, and the jobs that read them into the index.

A document lies at `{tenant}/{name}`, its tenant in a sidecar beside it: what the index knows of a passage's
tenant comes from there. A job reads whatever has changed since the last one; only one runs at a time.
"""

import json
import mimetypes
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from countersign.errors import InvalidRequest, NotFound

SIDECAR = ".metadata.json"
LARGEST_KEY = 900
"""Bytes of a document's key; S3 takes 1,024, and the sidecar's is longer."""
SUFFIXES = frozenset({".txt", ".md", ".html", ".htm", ".doc", ".docx", ".csv", ".xls", ".xlsx", ".pdf"})
"""What Bedrock's default parser reads."""
RUNNING = frozenset({"STARTING", "IN_PROGRESS", "STOPPING"})

# Printable characters that no path, URL or shell reads as anything but themselves.
_PART = re.compile(r"[\w][\w .,()+@=&'-]*")
_JOB_ID = re.compile(r"[0-9A-Za-z]{1,32}")
# Another job runs, or jobs are started faster than Bedrock allows (one in ten seconds).
_BUSY = frozenset({"ConflictException", "ThrottlingException", "ServiceQuotaExceededException"})


@dataclass(frozen=True)
class Job:
    """An ingestion job; `status` as Bedrock has it."""

    job_id: str
    status: str
    started_at: datetime
    updated_at: datetime

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING


class Documents:
    """The knowledge bucket and its data source. Give it boto3's `s3` and `bedrock-agent` clients."""

    def __init__(
        self, s3: Any, bucket: str, agent: Any, *, knowledge_base_id: str, data_source_id: str
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._agent = agent
        self._source = {"knowledgeBaseId": knowledge_base_id, "dataSourceId": data_source_id}

    def store(self, tenant: str, name: str, content: bytes, content_type: str | None) -> None:
        """Adds a document or its newer version. `name` is one that `document_name` has let through."""
        key = f"{tenant}/{name}"
        kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        owner = json.dumps({"metadataAttributes": {"tenant": tenant}}).encode()
        # The sidecar first: a job that ran in between would index the document as nobody's.
        self._put(key + SIDECAR, owner, "application/json")
        self._put(key, content, kind)

    def start_job(self) -> Job | None:
        """Has the changes read. None where another job runs, or has only just been started."""
        try:
            answer = self._agent.start_ingestion_job(**self._source)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _BUSY:
                return None
            raise
        return _job(answer["ingestionJob"])

    def latest_job(self) -> Job | None:
        """The job that was started last."""
        answer = self._agent.list_ingestion_jobs(
            **self._source, sortBy={"attribute": "STARTED_AT", "order": "DESCENDING"}, maxResults=1
        )
        found: Sequence[Any] = answer["ingestionJobSummaries"]
        return _job(found[0]) if found else None

    def job(self, job_id: str) -> Job:
        """Raises NotFound."""
        missing = NotFound("there is no such ingestion job")
        if not _JOB_ID.fullmatch(job_id):
            raise missing
        try:
            answer = self._agent.get_ingestion_job(**self._source, ingestionJobId=job_id)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {
                "ResourceNotFoundException",
                "ValidationException",
            }:
                raise missing from None
            raise
        return _job(answer["ingestionJob"])

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)


def document_name(tenant: str, name: str) -> str:
    """A document's name as it is stored: a relative path, in Unicode's composed form.

    Raises InvalidRequest for anything that is not plainly that; names are refused rather than mended, so that
    two names never become one document.
    """
    composed = unicodedata.normalize("NFC", name)
    parts = composed.split("/")
    if not all(_PART.fullmatch(part) and part == part.rstrip(". ") for part in parts):
        raise InvalidRequest("`name` is no plain relative path, such as docs/limits.md")
    if composed.endswith(SIDECAR) or PurePosixPath(composed).suffix.lower() not in SUFFIXES:
        raise InvalidRequest(f"`name` has to end in one of {', '.join(sorted(SUFFIXES))}")
    if len(f"{tenant}/{composed}".encode()) > LARGEST_KEY:
        raise InvalidRequest("`name` is too long")
    return composed


def _job(answer: Any) -> Job:
    return Job(answer["ingestionJobId"], answer["status"], answer["startedAt"], answer["updatedAt"])
