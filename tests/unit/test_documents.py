"""The knowledge bucket: names that stay within a tenant's folder, sidecars, and ingestion jobs."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.errors import InvalidRequest, NotFound
from countersign_knowledge.documents import Documents, document_name
from tests.unit.stores import Stores

STARTED = datetime(2026, 3, 2, 9, tzinfo=UTC)
SOURCE = {"knowledgeBaseId": "KB", "dataSourceId": "DS"}


class Agent:
    """Bedrock's ingestion jobs; `error` refuses the next call."""

    def __init__(self, *jobs: str, error: str | None = None) -> None:
        self.jobs = list(jobs)
        self.error = error

    def start_ingestion_job(self, **given: Any) -> Any:
        self._check(given, {})
        self.jobs.append("STARTING")
        return {"ingestionJob": self._job(len(self.jobs) - 1)}

    def list_ingestion_jobs(self, **given: Any) -> Any:
        self._check(given, {"sortBy": {"attribute": "STARTED_AT", "order": "DESCENDING"}, "maxResults": 1})
        latest = range(len(self.jobs))[-1:]
        return {"ingestionJobSummaries": [self._job(number) for number in latest]}

    def get_ingestion_job(self, **given: Any) -> Any:
        self._check(given, {"ingestionJobId": given["ingestionJobId"]})
        return {"ingestionJob": self._job(int(given["ingestionJobId"]))}

    def _check(self, given: Any, more: Any) -> None:
        assert given == {**SOURCE, **more}
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": ""}}, "Call")

    def _job(self, number: int) -> Any:
        return {
            "ingestionJobId": str(number),
            "status": self.jobs[number],
            "startedAt": STARTED,
            "updatedAt": STARTED,
        }


def documents(stores: Stores | None = None, agent: Agent | None = None) -> Documents:
    s3 = stores.s3 if stores else None
    return Documents(s3, "knowledge", agent or Agent(), knowledge_base_id="KB", data_source_id="DS")


def test_a_document_has_its_tenant_beside_it(stores: Stores) -> None:
    documents(stores).store("acme", "docs/limits.md", b"# Limits", None)
    documents(stores).store("acme", "prices.csv", b"a,b", "text/plain")
    kept = {
        item["Key"]: stores.s3.get_object(Bucket="knowledge", Key=item["Key"])
        for item in stores.s3.list_objects_v2(Bucket="knowledge")["Contents"]
    }
    assert sorted(kept) == [
        "acme/docs/limits.md",
        "acme/docs/limits.md.metadata.json",
        "acme/prices.csv",
        "acme/prices.csv.metadata.json",
    ]
    assert kept["acme/docs/limits.md"]["ContentType"] == "text/markdown"
    assert kept["acme/prices.csv"]["ContentType"] == "text/plain"
    sidecar = json.loads(kept["acme/docs/limits.md.metadata.json"]["Body"].read())
    assert sidecar == {"metadataAttributes": {"tenant": "acme"}}


def test_the_tenant_is_there_before_the_document_is(stores: Stores) -> None:
    keys: list[str] = []
    stores.s3.meta.events.register(
        "before-parameter-build.s3.PutObject", lambda params, **_: keys.append(params["Key"])
    )
    documents(stores).store("acme", "a.md", b"A", None)
    assert keys == ["acme/a.md.metadata.json", "acme/a.md"]


@pytest.mark.parametrize(
    "name",
    [
        "a.md",
        "docs/limits.md",
        "docs/2026/Q1 report (final).pdf",
        "Ärger & Lösung.docx",
        "手册/说明.txt",
        "a-b_c.d+e@f,g.HTML",
    ],
)
def test_a_plain_path_is_a_name(name: str) -> None:
    assert document_name("acme", name) == name


def test_two_ways_to_write_a_letter_are_one_name() -> None:
    assert document_name("acme", "A\u0308.md") == "Ä.md"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a.md",
        "../other/a.md",
        "a/../../other/a.md",
        "a/./b.md",
        "a//b.md",
        "a/",
        "a.md/",
        ".hidden.md",
        "a/.hidden.md",
        " a.md",
        "a.md ",
        "a /b.md",
        "a./b.md",
        "a\\b.md",
        "a\x00.md",
        "a\n.md",
        "a\u202e.md",
        "s3://bucket/a.md",
        "a?.md",
        "a%2f.md",
        "a.md.metadata.json",
        "a",
        "a.exe",
        "a.md.exe",
        "ü" * 450 + ".md",
    ],
)
def test_anything_else_is_none(name: str) -> None:
    with pytest.raises(InvalidRequest):
        document_name("acme", name)


def test_a_job_is_started_and_followed() -> None:
    agent = Agent("COMPLETE")
    assert (latest := documents(agent=agent).latest_job()) is not None
    assert (latest.job_id, latest.is_running) == ("0", False)
    started = documents(agent=agent).start_job()
    assert started is not None
    assert (started.job_id, started.status, started.is_running) == ("1", "STARTING", True)
    assert documents(agent=agent).job("1") == started == documents(agent=agent).latest_job()
    assert documents().latest_job() is None


@pytest.mark.parametrize(
    "code", ["ConflictException", "ThrottlingException", "ServiceQuotaExceededException"]
)
def test_one_job_runs_at_a_time(code: str) -> None:
    assert documents(agent=Agent(error=code)).start_job() is None


def test_other_errors_are_errors() -> None:
    for act in (lambda d: d.start_job(), lambda d: d.latest_job(), lambda d: d.job("1")):
        with pytest.raises(ClientError):
            act(documents(agent=Agent(error="AccessDeniedException")))


@pytest.mark.parametrize(
    ("job_id", "error"),
    [
        ("9", "ResourceNotFoundException"),
        ("9", "ValidationException"),
        ("../1", None),
        ("", None),
        ("x" * 33, None),
    ],
)
def test_a_job_that_is_none_is_not_found(job_id: str, error: str | None) -> None:
    with pytest.raises(NotFound):
        documents(agent=Agent(error=error)).job(job_id)
