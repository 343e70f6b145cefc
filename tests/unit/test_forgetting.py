"""Forgetting a case: no word of it stays in any store, and who did what when does."""

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest

from countersign.approvals import Person
from countersign.case_file import agent_trace_key, evidence_key, raw_key
from countersign.clock import instant
from countersign.decisions import DecisionBody
from countersign.errors import CaseFileMissing, CaseNotEnded, NotFound, NotRedrivable, StoreConflict
from countersign.forgetting import QUIET_S, forget
from countersign.ledger import CaseStatus
from countersign.memory import recall
from countersign.models import CaseFile, CaseRef, LedgerEvent, RawEvent, canonical_json, sha256_hex
from countersign.redriving import Redriver
from tests.unit.stores import DRAFT, NOW, REF, TERMS, Stores, case_file

ALEX = Person("Alex Doe", "api", "00u1")
READER = Person("ann@example.com", "api")
WORDS = ("QUAGGA", "ZEBRA", "OKAPI", "BONGO")
OTHER = CaseRef(tenant="default", case_id=f"c-{7:032x}")
AFTER = NOW + timedelta(hours=1)
BODY = json.dumps({"data": {"text": "QUAGGA"}})


@pytest.fixture
def stores(stores: Stores) -> Stores:
    stores.s3.put_bucket_versioning(Bucket="files", VersioningConfiguration={"Status": "Enabled"})
    return stores


def close(stores: Stores, ref: CaseRef = REF, status: CaseStatus = CaseStatus.DELIVERED) -> CaseFile:
    """A delivered case with planted words in all it has: event, file, evidence, edits, reasons, traces."""
    file = case_file(ref.tenant, ref.case_id)
    request = file.request.model_copy(update={"subject": "ZEBRA", "text": "QUAGGA", "author": "OKAPI"})
    file = stores.open(file.model_copy(update={"request": request}))
    raw = RawEvent(source="webhook", received_at=instant(NOW), headers={"x": "OKAPI"}, body=BODY)
    stores.files.put_once(raw_key(ref), canonical_json(raw))
    stores.files.put_once(evidence_key(ref, 0), b'{"query": "QUAGGA"}')
    stores.files.put_once(agent_trace_key(ref, 1), b'{"prompt": "QUAGGA"}')
    approval = stores.arbiter.request(file, 1, TERMS, None, NOW, None)
    body = DecisionBody(
        verdict="edit", text=f"BONGO. {DRAFT}", reason="ZEBRA", shown_sha256=approval.shown_sha256
    )
    stores.arbiter.decide(approval, body, READER, NOW)
    stores.files.update(ref, lambda f: f.model_copy(update={"rounds": []}))
    stores.ledger.commit(
        [
            stores.ledger.set_status(ref, status, instant(NOW), outcome=status.value),
            stores.ledger.put_event(
                ref, "closed", LedgerEvent(at=instant(NOW), event="case.closed", actor="countersign")
            ),
            stores.ledger.put_memory(ref, file.request.thread_key, instant(NOW)),
        ]
    )
    return file


def kept(stores: Stores) -> str:
    """Everything that is in any store, every version of every object."""
    found: list[Any] = [stores.db.scan(TableName=table)["Items"] for table in ("cases", "claims")]
    for each in stores.s3.list_object_versions(Bucket="files").get("Versions", []):
        got = stores.s3.get_object(Bucket="files", Key=each["Key"], VersionId=each["VersionId"])
        found.append([each["Key"], got["Body"].read().decode()])
    return json.dumps(found)


def test_no_word_stays_and_every_line_of_the_ledger_does(stores: Stores) -> None:
    close(stores)
    before = [(line.at, line.event, line.actor, line.detail) for line in stores.ledger.history(REF)[1]]
    assert all(word in kept(stores) for word in WORDS)
    done = forget(stores.arbiter, REF, ALEX, AFTER)
    assert done.erased >= 7, "with every older version"
    everything = kept(stores)
    assert not [word for word in WORDS if word in everything]
    head, lines, approvals = stores.ledger.history(REF)
    assert [(line.at, line.event, line.actor, line.detail) for line in lines[:-1]] == before
    assert (lines[-1].event, lines[-1].actor, lines[-1].detail) == (
        "case.forgotten",
        "Alex Doe",
        {"channel": "api", "subject": "00u1"},
    )
    assert head is not None
    assert (head.status, head.outcome, head.subject, head.forgotten_at) == (
        CaseStatus.DELIVERED,
        "delivered",
        "",
        instant(AFTER),
    )
    [approval] = approvals
    assert (approval.verdict, approval.decided_by, approval.subject) == ("edit", "ann@example.com", "")
    assert approval.signed_sha256
    assert approval.shown_sha256


def test_what_stays_of_the_event_is_that_it_came(stores: Stores) -> None:
    close(stores)
    forget(stores.arbiter, REF, ALEX, AFTER)
    raw = stores.files.get_model(raw_key(REF), RawEvent)
    assert (raw.source, raw.received_at, raw.headers, raw.body) == ("webhook", instant(NOW), {}, "")
    assert raw.body_sha256 == sha256_hex(BODY), "the same body is recognised"
    with pytest.raises(CaseFileMissing):
        stores.files.read(REF)


def test_forgetting_again_changes_nothing(stores: Stores) -> None:
    close(stores)
    first = forget(stores.arbiter, REF, ALEX, AFTER)
    before = kept(stores)
    again = forget(stores.arbiter, REF, READER, AFTER + timedelta(days=1))
    assert (again.at, again.erased) == (first.at, 0)
    assert kept(stores) == before


def test_a_crash_anywhere_is_mended_by_forgetting_again(stores: Stores) -> None:
    """Every call of AWS fails once, before it is made; then it is done again."""
    close(stores, OTHER)
    close(stores)
    recall(stores.ledger, stores.files, OTHER, case_file().request.thread_key, NOW)
    crashed = 0
    while True:
        hook = _crash_at(crashed)
        for client in (stores.db, stores.s3):
            client.meta.events.register_first("before-call.*.*", hook)
        try:
            forget(stores.arbiter, REF, ALEX, AFTER)
            break
        except ConnectionAbortedError:
            crashed += 1
        finally:
            for client in (stores.db, stores.s3):
                client.meta.events.unregister("before-call.*.*", hook)
    assert crashed >= 10
    assert stores.events().count("case.forgotten") == 1
    memory = stores.files.read(OTHER).memory
    assert not [each for each in memory if each.case_id == REF.case_id]


def _crash_at(number: int) -> Any:
    calls = itertools.count()

    def crash(**_: Any) -> None:
        if next(calls) == number:
            raise ConnectionAbortedError

    return crash


@pytest.mark.parametrize("status", ["running", "queued", "awaiting_approval", "delivering", "parked"])
def test_a_case_that_has_not_ended_is_not_forgotten(stores: Stores, status: str) -> None:
    close(stores, status=CaseStatus(status))
    before = kept(stores)
    with pytest.raises(CaseNotEnded, match="only one that has ended"):
        forget(stores.arbiter, REF, ALEX, AFTER)
    assert kept(stores) == before


def test_a_case_that_ended_just_now_is_given_time_to_come_to_rest(stores: Stores) -> None:
    close(stores)
    with pytest.raises(CaseNotEnded, match="less than two minutes ago"):
        forget(stores.arbiter, REF, ALEX, NOW + timedelta(seconds=QUIET_S - 1))
    forget(stores.arbiter, REF, ALEX, NOW + timedelta(seconds=QUIET_S + 1))


def test_what_is_not_there_cannot_be_forgotten(stores: Stores) -> None:
    close(stores)
    with pytest.raises(NotFound):
        forget(stores.arbiter, CaseRef(tenant="acme", case_id=REF.case_id), ALEX, AFTER)


def test_an_open_approval_of_a_failed_case_expires(stores: Stores) -> None:
    file = stores.open()
    stores.arbiter.request(file, 1, TERMS, None, NOW, None)
    stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.FAILED, instant(NOW))])
    forget(stores.arbiter, REF, ALEX, AFTER)
    [approval] = stores.ledger.history(REF)[2]
    assert (approval.status, approval.subject) == ("expired", "")


# Cases that recalled it


def recalling(stores: Stores) -> CaseFile:
    """A later case of the conversation that was given the answer of the one to forget."""
    earlier = close(stores)
    file = stores.open(case_file(OTHER.tenant, OTHER.case_id, text=None))
    assert recall(stores.ledger, stores.files, OTHER, earlier.request.thread_key, NOW) == 1
    assert "BONGO" in stores.files.read(OTHER).memory[0].answer
    return file


def test_its_answer_goes_from_the_files_of_cases_that_recalled_it(stores: Stores) -> None:
    recalling(stores)
    stores.files.put_once(agent_trace_key(OTHER, 1), b"earlier: BONGO")
    stores.files.update(OTHER, lambda f: f.model_copy(update={"passages": []}))
    assert forget(stores.arbiter, REF, ALEX, AFTER).recalled_by == [OTHER.case_id]
    assert not [word for word in WORDS if word in kept(stores)]
    assert stores.files.read(OTHER).memory == []


def test_a_case_that_recalls_it_at_this_moment_is_waited_for(stores: Stores) -> None:
    recalling(stores)
    recall(stores.ledger, stores.files, OTHER, case_file().request.thread_key, AFTER)
    with pytest.raises(StoreConflict, match="right now"):
        forget(stores.arbiter, REF, ALEX, AFTER + timedelta(seconds=5))
    # It is marked all the same, so that nobody else recalls it meanwhile.
    third = CaseRef(tenant="default", case_id=f"c-{8:032x}")
    stores.open(case_file(third.tenant, third.case_id, text=None))
    assert recall(stores.ledger, stores.files, third, case_file().request.thread_key, AFTER) == 0
    forget(stores.arbiter, REF, ALEX, AFTER + timedelta(minutes=5))
    assert not [word for word in WORDS if word in kept(stores)]


def test_its_conversation_does_not_know_it_any_more(stores: Stores) -> None:
    thread = close(stores).request.thread_key
    assert stores.ledger.thread("default", thread, 3) == [REF.case_id]
    forget(stores.arbiter, REF, ALEX, AFTER)
    assert stores.ledger.thread("default", thread, 3) == []


def test_a_forgotten_case_does_not_run_again(stores: Stores) -> None:
    close(stores, status=CaseStatus.FAILED)
    forget(stores.arbiter, REF, ALEX, AFTER)
    redriver = Redriver(stores.ledger, None, None, [], None)  # type: ignore[arg-type]
    with pytest.raises(NotRedrivable, match="erased on request"):
        redriver.redrive_case(REF, ALEX, AFTER)
