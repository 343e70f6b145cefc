"""Knowledge bases over buckets: ingestion jobs and Retrieve."""

import base64
import binascii
import contextvars
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.bedrock.documents import Unreadable, chunks, read_text
from local.bedrock.errors import NotFoundError, ValidationError
from local.bedrock.metadata_filter import allows
from local.bedrock.retrieval import PassageIndex, StoredPassage

_SIDECAR = ".metadata.json"
_LARGEST_SIDECAR = 10 * 1024
_JOBS_KEPT = 100
_USUAL_RESULTS = 5
_REASONS_KEPT = 50


@dataclass(frozen=True)
class _Document:
    """A document as it was when it was read; `version` is its ETag with its sidecar's."""

    version: tuple[str, str]
    passages: tuple[StoredPassage, ...]


@dataclass
class _Base:
    bucket: str
    documents: dict[tuple[str, str], _Document] = field(default_factory=dict)
    index: PassageIndex = field(default_factory=lambda: PassageIndex([]))
    jobs: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class KnowledgeBases:
    """The knowledge bases of one offline Bedrock. Thread-safe."""

    def __init__(
        self,
        buckets: Mapping[str, str],
        s3: Callable[[], Any] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`buckets` is `{knowledge base id: bucket}`; `s3` makes the client that reads them."""
        self._bases = {name: _Base(bucket) for name, bucket in buckets.items()}
        self._s3 = s3
        self._now = now

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the knowledge bases."""
        return tuple(self._bases)

    def start_ingestion(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """StartIngestionJob: reads what is new or changed, forgets what is gone.

        The job is done when this returns, and is answered as `STARTING`, as AWS does.
        """
        base_id, source_id = params["knowledgeBaseId"], params["dataSourceId"]
        base = self._base(base_id)
        with base.lock:
            started = self._now()
            job = {
                "knowledgeBaseId": _short(base_id),
                "dataSourceId": source_id,
                "ingestionJobId": f"JOB{len(base.jobs) + 1:07d}",
                "status": "STARTING",
                "startedAt": started,
                "updatedAt": started,
            }
            if "description" in params:
                job["description"] = params["description"]
            # The calls of S3 are the knowledge base's own, not those of the function that started the job.
            statistics, reasons, failed = contextvars.Context().run(self._ingest, base, source_id)
            done = {
                **job,
                "status": "FAILED" if failed else "COMPLETE",
                "statistics": statistics,
                "updatedAt": self._now(),
            }
            if reasons:
                done["failureReasons"] = reasons[:_REASONS_KEPT]
            base.jobs.append(done)
            del base.jobs[:-_JOBS_KEPT]
        return {"ingestionJob": job}

    def get_ingestion(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """GetIngestionJob."""
        for job in self._base(params["knowledgeBaseId"]).jobs:
            if (job["dataSourceId"], job["ingestionJobId"]) == (
                params["dataSourceId"],
                params["ingestionJobId"],
            ):
                return {"ingestionJob": job}
        raise NotFoundError(f"Ingestion job {params['ingestionJobId']} does not exist")

    def list_ingestions(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ListIngestionJobs: the latest first unless sorted otherwise."""
        base = self._base(params["knowledgeBaseId"])
        jobs = [job for job in base.jobs if job["dataSourceId"] == params["dataSourceId"]]
        for condition in params.get("filters", ()):
            jobs = [job for job in jobs if job["status"] in condition["values"]]
        order = params.get("sortBy", {"attribute": "STARTED_AT", "order": "DESCENDING"})
        key = "status" if order["attribute"] == "STATUS" else "startedAt"
        jobs.sort(key=lambda job: job[key], reverse=order["order"] == "DESCENDING")
        page, token = _page(jobs, params.get("maxResults", 100), params.get("nextToken"))
        summaries = [{name: job[name] for name in job if name != "failureReasons"} for job in page]
        return {"ingestionJobSummaries": summaries} | token

    def retrieve(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Retrieve."""
        query = params["retrievalQuery"].get("text", "")
        config = params.get("retrievalConfiguration", {})
        results, token = self.search(params["knowledgeBaseId"], query, config, params.get("nextToken"))
        return {"retrievalResults": results} | token

    def search(
        self, base_id: str, query: str, config: Mapping[str, Any], next_token: str | None = None
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Results in Retrieve's shape for its configuration, and `{"nextToken"}` if there are more.

        Raises NotFoundError, ValidationError.
        """
        if not query.strip():
            raise ValidationError("The query has no text")
        options = config.get("vectorSearchConfiguration") or config.get("managedSearchConfiguration") or {}
        condition = options.get("filter")
        allows(condition, {})  # a filter that is none is refused even where there is nothing to filter
        index = self._base(base_id).index
        found = index.search(query, lambda metadata: allows(condition, metadata))
        reranking = options.get("rerankingConfiguration", {}).get("bedrockRerankingConfiguration", {})
        if "numberOfRerankedResults" in reranking:
            found = found[: reranking["numberOfRerankedResults"]]
        page, token = _page(found, options.get("numberOfResults", _USUAL_RESULTS), next_token)
        return [_result(passage, score) for passage, score in page], token

    def _base(self, base_id: str) -> _Base:
        try:
            return self._bases[_short(base_id)]
        except KeyError:
            raise NotFoundError(f"Knowledge base with id {_short(base_id)} does not exist") from None

    def _ingest(self, base: _Base, source_id: str) -> tuple[dict[str, int], list[str], bool]:
        """Read the bucket: (statistics, what failed and why, whether the bucket itself could not be read)."""
        counts = dict.fromkeys(
            (
                "numberOfDocumentsScanned",
                "numberOfMetadataDocumentsScanned",
                "numberOfNewDocumentsIndexed",
                "numberOfModifiedDocumentsIndexed",
                "numberOfMetadataDocumentsModified",
                "numberOfDocumentsDeleted",
                "numberOfDocumentsFailed",
            ),
            0,
        )
        if self._s3 is None:
            return counts, ["No S3 client was given"], True
        client = self._s3()
        try:
            tags = dict(_listing(client, base.bucket))
        except client.exceptions.ClientError as problem:
            return counts, [f"The bucket {base.bucket} could not be read: {problem}"], True
        reasons: list[str] = []
        documents = {key: document for key, document in base.documents.items() if key[0] != source_id}
        for key, tag in tags.items():
            if key.endswith(_SIDECAR):
                counts["numberOfMetadataDocumentsScanned"] += 1
                continue
            counts["numberOfDocumentsScanned"] += 1
            version = (tag, tags.get(key + _SIDECAR, ""))
            before = base.documents.get((source_id, key))
            if before is not None and before.version == version:
                documents[source_id, key] = before
                continue
            try:
                passages = _read(client, base.bucket, key, source_id, has_sidecar=bool(version[1]))
            except (Unreadable, client.exceptions.ClientError) as problem:
                counts["numberOfDocumentsFailed"] += 1
                reasons.append(f"s3://{base.bucket}/{key}: {problem}")
                continue
            documents[source_id, key] = _Document(version, tuple(passages))
            if before is None:
                counts["numberOfNewDocumentsIndexed"] += 1
            elif before.version[0] == tag:
                counts["numberOfMetadataDocumentsModified"] += 1
            else:
                counts["numberOfModifiedDocumentsIndexed"] += 1
        gone = [key for key in base.documents if key[0] == source_id and key[1] not in tags]
        counts["numberOfDocumentsDeleted"] = len(gone)
        if documents != base.documents:
            base.documents = documents
            base.index = PassageIndex([each for part in documents.values() for each in part.passages])
        return counts, reasons, False


def _listing(client: Any, bucket: str) -> Iterator[tuple[str, str]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):
                yield item["Key"], item["ETag"]


def _read(
    client: Any, bucket: str, key: str, source_id: str, *, has_sidecar: bool
) -> Iterator[StoredPassage]:
    text = read_text(key, client.get_object(Bucket=bucket, Key=key)["Body"].read())
    attributes: dict[str, Any] = {}
    if has_sidecar:
        attributes = _attributes(client.get_object(Bucket=bucket, Key=key + _SIDECAR)["Body"].read())
    uri = f"s3://{bucket}/{key}"
    passages = []
    for number, chunk in enumerate(chunks(text)):
        chunk_id = hashlib.blake2b(f"{uri}\0{number}\0{chunk}".encode(), digest_size=16).hexdigest()
        own = {
            "x-amz-bedrock-kb-source-uri": uri,
            "x-amz-bedrock-kb-chunk-id": chunk_id,
            "x-amz-bedrock-kb-data-source-id": source_id,
        }
        passages.append(StoredPassage(chunk_id, chunk, uri, attributes | own))
    return iter(passages)


def _attributes(content: bytes) -> dict[str, Any]:
    """The attributes of a sidecar. A typed one (`{"value": {"type", "stringValue"}}`) becomes its value."""
    if len(content) > _LARGEST_SIDECAR:
        raise Unreadable("its metadata file is larger than 10 KB")
    try:
        attributes = json.loads(content)["metadataAttributes"]
        items = list(attributes.items())
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Unreadable('its metadata file is not {"metadataAttributes": {...}}') from problem
    found = {}
    for name, plain in items:
        typed = plain.get("value", {}) if isinstance(plain, dict) else None
        value = plain if typed is None else next((typed[kind] for kind in typed if kind != "type"), None)
        if not isinstance(value, str | bool | int | float | list):
            raise Unreadable(f"its metadata attribute {name} is no string, number, boolean or list")
        found[name] = value
    return found


def _result(passage: StoredPassage, score: float) -> dict[str, Any]:
    return {
        "content": {"text": passage.text, "type": "TEXT"},
        "location": {"type": "S3", "s3Location": {"uri": passage.uri}},
        "score": round(score, 6),
        "metadata": dict(passage.metadata),
    }


def _page[Item](items: list[Item], size: int, token: str | None) -> tuple[list[Item], dict[str, str]]:
    start = 0
    if token is not None:
        try:
            start = int(base64.b64decode(token, validate=True))
        except (ValueError, binascii.Error) as problem:
            raise ValidationError("The nextToken is none of ours") from problem
    rest = start + size
    more = {"nextToken": base64.b64encode(str(rest).encode()).decode()} if rest < len(items) else {}
    return items[start:rest], more


def _short(base_id: str) -> str:
    """The id in an ARN of a knowledge base, or the id itself."""
    return base_id.rsplit("/", 1)[-1]
