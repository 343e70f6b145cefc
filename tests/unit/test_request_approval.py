"""Request Approval: a row over what is shown, and the task bound to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.errors import CaseFileMissing
from functions.request_approval.app import handler
from tests.unit.stores import APPROVAL, DRAFT, REF, Context, Stores, case_file

EVENTS = Path(__file__).parents[2] / "events/request_approval"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "text", "has_draft", "reason"),
    [("draft", DRAFT, True, None), ("model_failed", None, False, "ModelThrottled")],
)
def test_a_person_is_asked(
    stores: Stores, name: str, text: str | None, has_draft: bool, reason: str | None
) -> None:
    stores.open(case_file(text=text))
    stores.calls.clear()
    answer = handler(event(name), Context(), stores.arbiter)
    assert stores.calls == ["GetObject", "PutObject", "TransactWriteItems"]
    assert answer == {"approval_id": APPROVAL, "version": 1}
    approval = stores.ledger.approval(REF, APPROVAL)
    assert approval is not None
    assert (approval.has_draft, approval.reason) == (has_draft, reason)
    assert approval.task_token == event(name)["task_token"]
    assert stores.status() == "awaiting_approval"


def test_the_call_that_is_made_twice_asks_once(stores: Stores) -> None:
    stores.open()
    first = handler(event("draft"), Context(), stores.arbiter)
    assert handler(event("draft"), Context(), stores.arbiter) == first
    assert stores.events().count("approval.requested") == 1


def test_a_case_without_its_file_fails(stores: Stores) -> None:
    with pytest.raises(CaseFileMissing):
        handler(event("draft"), Context(), stores.arbiter)
