"""Recall Memory: earlier questions of a conversation, with the answers somebody signed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from countersign.approvals import Person
from countersign.clock import instant
from countersign.decisions import DecisionBody
from countersign.memory import RECALLED
from countersign.models import CaseFile, CaseRef
from functions.recall_memory.app import handler
from tests.unit.stores import DRAFT, NOW, REF, TERMS, Context, Stores, case_file

EVENT = json.loads((Path(__file__).parents[2] / "events/recall_memory/thread.json").read_text())
READER = Person(name="ann@example.com", channel="inbox")


@pytest.fixture
def asking(stores: Stores) -> Stores:
    stores.open(case_file(text=None))
    return stores


def earlier(stores: Stores, number: int, *, edited: str | None = None, signed: bool = True) -> CaseFile:
    """A closed case of the same conversation, asked `number` hours before."""
    file = stores.open(case_file(case_id=f"c-{number:032x}", text=DRAFT))
    approval = stores.arbiter.request(file, 1, TERMS, None, NOW, None)
    if signed:
        verdict = "edit" if edited else "approve"
        body = DecisionBody(verdict=verdict, text=edited, shown_sha256=approval.shown_sha256)
        stores.arbiter.decide(approval, body, READER, NOW)
    at = instant(NOW - timedelta(hours=number))
    stores.ledger.commit([stores.ledger.put_memory(file.ref, EVENT["thread"], at)])
    return file


def recalled(stores: Stores) -> list[tuple[str, str]]:
    return [(each.case_id, each.answer) for each in stores.files.read(REF).memory]


def test_a_first_question_recalls_nothing_and_writes_nothing(asking: Stores) -> None:
    asking.calls.clear()
    assert handler(EVENT, Context(), asking.ledger, asking.files) == {"recalled": 0}
    assert asking.calls == ["Query"]


def test_the_answer_that_is_recalled_is_the_one_that_was_signed(asking: Stores) -> None:
    approved = earlier(asking, 2)
    edited = earlier(asking, 1, edited="Ten times, says the manual.")
    earlier(asking, 3, signed=False)
    assert handler(EVENT, Context(), asking.ledger, asking.files) == {"recalled": 2}
    assert recalled(asking) == [(edited.case_id, "Ten times, says the manual."), (approved.case_id, DRAFT)]


def test_only_the_latest_few_are_recalled_and_never_the_case_itself(asking: Stores) -> None:
    files = [earlier(asking, number) for number in (1, 2, 3, 4, 5)]
    asking.ledger.commit([asking.ledger.put_memory(REF, EVENT["thread"], instant(NOW))])
    assert handler(EVENT, Context(), asking.ledger, asking.files) == {"recalled": RECALLED}
    assert [case_id for case_id, _ in recalled(asking)] == [file.case_id for file in files[:RECALLED]]


def test_a_case_whose_text_was_erased_or_tampered_with_is_passed_over(asking: Stores) -> None:
    erased, forged, kept = earlier(asking, 1), earlier(asking, 2), earlier(asking, 3)
    asking.s3.delete_object(Bucket="files", Key=f"{erased.ref.prefix}/case.json")
    (approval,) = asking.ledger.history(forged.ref)[2]
    asking.s3.put_object(Bucket="files", Key=str(approval.signed_key), Body=b"{}")
    assert handler(EVENT, Context(), asking.ledger, asking.files) == {"recalled": 1}
    assert [case_id for case_id, _ in recalled(asking)] == [kept.case_id]


def test_another_tenants_conversation_of_the_same_name_is_not_ours(asking: Stores) -> None:
    other = asking.open(case_file(tenant="other", case_id=f"c-{9:032x}"))
    asking.ledger.commit([asking.ledger.put_memory(other.ref, EVENT["thread"], instant(NOW))])
    assert handler(EVENT, Context(), asking.ledger, asking.files) == {"recalled": 0}
    assert CaseRef(tenant="other", case_id=other.case_id) == other.ref
