"""Expire Approval: nobody decided, unless somebody just has."""

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.approvals import Person
from countersign.decisions import DecisionBody
from countersign.errors import ApprovalMissing
from functions.expire_approval.app import handler
from tests.unit.stores import APPROVAL, NOW, TERMS, Context, Stores

EVENTS = Path(__file__).parents[2] / "events/expire_approval"


def event() -> dict[str, Any]:
    return json.loads((EVENTS / "nobody_decided.json").read_text())


def test_an_undecided_row_is_closed_once(stores: Stores) -> None:
    stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    for _ in range(2):
        assert handler(event(), Context(), stores.arbiter) == {"approval_id": APPROVAL, "status": "expired"}
    assert stores.events().count("approval.expired") == 1


def test_a_decision_stands(stores: Stores) -> None:
    approval = stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    body = DecisionBody(verdict="approve", shown_sha256=approval.shown_sha256)
    stores.arbiter.decide(approval, body, Person("Alice", "api"), NOW)
    assert handler(event(), Context(), stores.arbiter)["status"] == "decided"


def test_there_must_be_a_row(stores: Stores) -> None:
    with pytest.raises(ApprovalMissing):
        handler(event(), Context(), stores.arbiter)
