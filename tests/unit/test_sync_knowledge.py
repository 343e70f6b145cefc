"""Sync Knowledge: every change is read by a job that began after it; many changes make one."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from countersign_knowledge.documents import Job
from functions.sync_knowledge.app import handler
from tests.unit.stores import Context

EVENTS = Path(__file__).parents[2] / "events/sync_knowledge"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


@dataclass
class Documents:
    """`latest` is the start and the status of the last job; `is_busy` refuses another."""

    latest: tuple[str, str] | None = None
    is_busy: bool = False
    started: list[Job] = field(default_factory=list)

    def latest_job(self) -> Job | None:
        return self._job(*self.latest) if self.latest else None

    def start_job(self) -> Job | None:
        if self.is_busy:
            return None
        self.started.append(self._job("2026-03-02T09:00:30Z", "STARTING"))
        return self.started[-1]

    def _job(self, at: str, status: str) -> Job:
        moment = datetime.fromisoformat(at)
        return Job("XYZ1234567", status, moment, moment)


def sync(name: str, documents: Documents) -> list[str]:
    answer = handler(event(name), Context(), documents)
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


@pytest.mark.parametrize("name", ["document_created", "document_deleted"])
def test_changes_start_one_job(name: str) -> None:
    documents = Documents()
    assert sync(name, documents) == []
    assert len(documents.started) == 1


@pytest.mark.parametrize(
    ("latest", "is_read"),
    [
        (("2026-03-02T09:00:10Z", "IN_PROGRESS"), True),
        (("2026-03-02T09:00:10Z", "COMPLETE"), True),
        (("2026-03-02T09:00:10Z", "FAILED"), False),
        # It began before the second of the two documents, or it cannot be told.
        (("2026-03-02T08:59:00Z", "COMPLETE"), False),
        (("2026-03-02T09:00:00Z", "COMPLETE"), False),
        (("2026-03-02T09:00:02Z", "COMPLETE"), False),
    ],
)
def test_a_job_that_began_afterwards_has_read_them(latest: tuple[str, str], is_read: bool) -> None:
    documents = Documents(latest)
    assert sync("document_created", documents) == []
    assert len(documents.started) == (0 if is_read else 1)


def test_while_an_earlier_job_runs_they_come_again() -> None:
    documents = Documents(("2026-03-02T08:59:00Z", "IN_PROGRESS"), is_busy=True)
    records = event("document_created")["Records"]
    assert sync("document_created", documents) == [record["messageId"] for record in records]
    documents.is_busy = False
    assert sync("document_created", documents) == []
    assert len(documents.started) == 1
