"""Open Case: the raw event becomes the case file and the ledger's first lines, once for all runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from countersign.case_file import raw_key
from countersign.errors import CaseFileMissing, ConfigurationError
from countersign.models import CaseStatus, LedgerEvent, RawEvent, canonical_json, sha256_hex
from countersign.opening import Opener
from countersign.sources import load_source
from functions.open_case.app import handler
from tests.unit.senders import GITHUB_API, REPLY_URL, ROOT, SOURCES, changed, sample
from tests.unit.stores import CASE, REF, Context, Stores

FIRST, REDRIVEN = (
    json.loads((ROOT / f"events/open_case/{name}.json").read_text()) for name in ("first_run", "redriven")
)
RECEIVED = "2026-11-02T09:30:02.000Z"
TEXT = "How often is a delivery retried, and what happens after the last try? \0🖋"


def opener(stores: Stores, sources: Path = SOURCES) -> Opener:
    return Opener(
        stores.files,
        stores.ledger,
        sources=sources,
        policies=ROOT / "layers/policies/policies",
        github_api_url=GITHUB_API,
    )


def keep(stores: Stores, event: dict[str, Any] | None = None, reply_url: str | None = None) -> RawEvent:
    """The raw event as Receive Webhook keeps it."""
    event = event or changed(sample("webhook_case_opened"), text=TEXT)
    name = event["pathParameters"]["source"]
    raw = RawEvent(
        source=name,
        received_at=RECEIVED,
        headers=load_source(name, SOURCES).kept_headers(event["headers"]),
        body=event["body"],
        reply_url=reply_url,
    )
    assert stores.files.put_once(raw_key(REF), canonical_json(raw))
    return raw


def test_a_reply_goes_where_it_was_to_go_when_the_event_came(stores: Stores) -> None:
    keep(stores, sample("stripe_dispute_created"), REPLY_URL)
    handler({**FIRST, "source": "stripe"}, Context(), opener(stores))
    destination = stores.files.read(REF).request.destination
    assert (destination.channel, destination.address, destination.source) == ("callback", REPLY_URL, "stripe")


def test_a_case_is_opened_with_what_the_sender_wrote(stores: Stores) -> None:
    raw = keep(stores)
    stores.calls.clear()
    answer = handler(FIRST, Context(), opener(stores))
    assert stores.calls == ["GetObject", "PutObject", "TransactWriteItems"]
    request = stores.files.read(REF).request
    assert (request.text, request.received_at) == (TEXT, RECEIVED)
    assert answer == {
        "terms": {
            "needed": True,
            "deadline_s": 86_400,
            "escalation_s": 172_800,
            "policy": {"name": "default", "version": 1},
        },
        "thread": sha256_hex("webhook\0ticket-4711"),
    }
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.source, head.subject) == (CaseStatus.RUNNING, "webhook", "Retries")
    assert (head.created_at, head.run) == (RECEIVED, 1)
    (opened,) = events
    assert (opened.event, opened.actor) == ("case.opened", "countersign")
    assert opened.detail == {
        "source": "webhook",
        "run": 1,
        "execution": CASE,
        "body_sha256": raw.body_sha256,
    }


def test_an_event_of_github_is_read_with_the_headers_that_were_kept(stores: Stores) -> None:
    keep(stores, sample("github_comment_mentions_us"))
    handler({**FIRST, "source": "github"}, Context(), opener(stores))
    destination = stores.files.read(REF).request.destination
    assert destination.channel == "github_issue"
    assert destination.address.startswith(f"{GITHUB_API}/repos/octocat/Hello-World/issues/1347/")


@pytest.mark.parametrize("first_ends", ["before the ledger", "whole"])
def test_the_step_may_run_again(stores: Stores, first_ends: str) -> None:
    keep(stores)
    if first_ends == "before the ledger":
        stores.ledger.commit = lambda writes: (_ for _ in ()).throw(TimeoutError)  # type: ignore[method-assign]
        with pytest.raises(Exception, match="not shown"):
            handler(FIRST, Context(), opener(stores))
        del stores.ledger.commit  # type: ignore[method-assign]
    answers = [handler(FIRST, Context(), opener(stores)) for _ in range(1 + (first_ends == "whole"))]
    assert all(answer == answers[0] for answer in answers)
    assert stores.status() == "running"
    assert stores.events() == ["case.opened"]


def test_a_redriven_case_finds_its_file_and_goes_on(stores: Stores) -> None:
    keep(stores)
    first = handler(FIRST, Context(), opener(stores))
    file = stores.files.update(REF, lambda file: file.model_copy(update={"memory": []}))
    stores.ledger.commit(
        [stores.ledger.set_status(REF, CaseStatus.FAILED, RECEIVED, outcome="StoreConflict")]
    )
    for _ in range(2):
        assert handler(REDRIVEN, Context(), opener(stores)) == first
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.run, head.created_at) == (CaseStatus.RUNNING, 2, RECEIVED)
    assert [event.event for event in events] == ["case.opened", "case.redriven"]
    assert events[1].detail["execution"] == f"{CASE}-r2"
    assert stores.files.read(REF) == file


def test_a_case_that_the_desk_queued_says_once_who_asked(stores: Stores) -> None:
    keep(stores)
    handler(FIRST, Context(), opener(stores))
    asked = LedgerEvent(at=RECEIVED, event="case.redriven", actor="Alex Doe", detail={"run": 2})
    stores.ledger.commit(
        [
            stores.ledger.set_status(REF, CaseStatus.QUEUED, RECEIVED, run=2),
            stores.ledger.put_event(REF, "redriven#r2", asked),
        ]
    )
    for _ in range(2):
        handler(REDRIVEN, Context(), opener(stores))
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.run) == (CaseStatus.RUNNING, 2)
    assert [event.actor for event in events if event.event == "case.redriven"] == ["Alex Doe"]


def test_an_earlier_run_that_comes_late_leaves_the_later_one_alone(stores: Stores) -> None:
    keep(stores)
    handler(FIRST, Context(), opener(stores))
    stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.QUEUED, RECEIVED, run=3)])
    handler(REDRIVEN, Context(), opener(stores))
    head = stores.ledger.head(REF)
    assert head is not None
    assert (head.status, head.run) == (CaseStatus.QUEUED, 3)


def test_a_case_that_failed_to_open_can_be_redriven(stores: Stores) -> None:
    keep(stores)
    handler(REDRIVEN, Context(), opener(stores))
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert head.run == 2
    assert [event.event for event in events] == ["case.opened"]


def test_what_was_read_first_stands(stores: Stores, tmp_path: Path) -> None:
    keep(stores)
    first = handler(FIRST, Context(), opener(stores))
    shutil.copytree(SOURCES, tmp_path / "sources")
    path = tmp_path / "sources/webhook.yaml"
    path.write_text(path.read_text().replace("thread: data.id", "thread: data.author"))
    assert handler(REDRIVEN, Context(), opener(stores, tmp_path / "sources")) == first


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("id: data.id", "id: data.number"), r"no longer reads what it accepted: .*data\.number"),
        (("type: case.opened", "type: case.created"), "now ignores what it accepted"),
        (
            ("cases:", "challenges: [{type: case.opened, echo: data.id}]\ncases:"),
            "now only echoes what it acc",
        ),
    ],
)
def test_a_source_that_changed_meanwhile_is_our_fault(
    stores: Stores, tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    keep(stores)
    shutil.copytree(SOURCES, tmp_path / "sources")
    path = tmp_path / "sources/webhook.yaml"
    path.write_text(path.read_text().replace(f"  {change[0]}\n", f"  {change[1]}\n").replace(*change, 1))
    with pytest.raises(ConfigurationError, match=says):
        handler(FIRST, Context(), opener(stores, tmp_path / "sources"))
    assert stores.ledger.head(REF) is None


def test_a_case_without_its_raw_event_is_our_fault(stores: Stores) -> None:
    with pytest.raises(CaseFileMissing):
        handler(FIRST, Context(), opener(stores))


def test_a_forgotten_event_opens_nothing(stores: Stores) -> None:
    raw = keep(stores)
    mark = raw.model_copy(update={"headers": {}, "body": "", "forgotten": raw.body_sha256})
    stores.files.replace(raw_key(REF), canonical_json(mark))
    with pytest.raises(CaseFileMissing, match="erased on request"):
        handler(FIRST, Context(), opener(stores))
    assert stores.ledger.head(REF) is None


def test_a_case_that_has_come_to_a_good_end_stays_there_when_it_is_redriven(stores: Stores) -> None:
    keep(stores)
    handler(FIRST, Context(), opener(stores))
    stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.DELIVERED, RECEIVED, outcome="delivered")])
    handler(REDRIVEN, Context(), opener(stores))
    assert stores.status() == "delivered"
    assert stores.events() == ["case.opened"]
