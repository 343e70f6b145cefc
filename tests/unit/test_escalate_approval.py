"""Escalate Approval: the row takes the next people's task, or answers it where somebody has decided."""

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.approvals import Person
from countersign.decisions import DecisionBody
from countersign.errors import ApprovalMissing
from functions.escalate_approval.app import handler
from tests.unit.stores import APPROVAL, NOW, TERMS, Context, Stores

EVENTS = Path(__file__).parents[2] / "events/escalate_approval"


def event() -> dict[str, Any]:
    return json.loads((EVENTS / "nobody_decided.json").read_text())


def test_the_next_people_are_asked(stores: Stores) -> None:
    stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    assert handler(event(), Context(), stores.arbiter) == {"approval_id": APPROVAL, "version": 2}
    assert stores.events()[-1] == "approval.escalated"
    assert stores.tasks.told == []


def test_who_decided_at_the_deadline_is_heard(stores: Stores) -> None:
    approval = stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    body = DecisionBody(verdict="approve", shown_sha256=approval.shown_sha256)
    stores.arbiter.decide(approval, body, Person("Alice", "api"), NOW)
    stores.tasks.waiting.add(event()["task_token"])
    assert handler(event(), Context(), stores.arbiter)["version"] == 1
    assert stores.tasks.told == [(event()["task_token"], {"approval_id": APPROVAL, "version": 1})]


def test_there_must_be_a_row(stores: Stores) -> None:
    with pytest.raises(ApprovalMissing):
        handler(event(), Context(), stores.arbiter)
