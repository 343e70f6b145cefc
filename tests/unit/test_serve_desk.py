"""The operators' desk: who may come to it, and what has failed there."""

import pytest

from countersign.endings import Failure, fail_case
from tests.unit.api_calls import Desk
from tests.unit.stores import REF, Stores

AT = "2026-03-02T09:04:00.000Z"
OPERATOR = {"sub": "00u1", "name": "Alex Doe", "tenant": "default", "groups": "[support operators]"}


@pytest.fixture
def desk(stores: Stores) -> Desk:
    stores.open()
    fail_case(stores.ledger, REF, Failure("Write Draft", "ConfigurationError"), AT)
    return Desk(stores)


@pytest.mark.parametrize(
    ("groups", "status"),
    [
        ("[operators]", 200),
        ("[support operators]", 200),
        ("operators", 200),
        ("support,operators", 200),
        ("[support]", 403),
        ("[co-operators]", 403),
        ("", 403),
    ],
)
def test_only_the_group_s_people_come_to_the_desk(desk: Desk, groups: str, status: int) -> None:
    answer = desk.call("list_failures", claims=OPERATOR | {"groups": groups})
    assert answer.status == status
    assert status == 200 or answer.code == "not_allowed"


def test_a_token_without_groups_is_refused_before_anything_is_read(desk: Desk) -> None:
    desk.stores.calls.clear()
    answer = desk.call("list_failures", claims={"sub": "00u1", "name": "Alex Doe"})
    assert (answer.status, answer.code) == (403, "not_allowed")
    assert desk.stores.calls == []


def test_what_is_another_tenant_s_is_not_there(desk: Desk) -> None:
    answer = desk.call("list_failures", claims=OPERATOR | {"tenant": "acme"})
    assert answer.json() == {"failures": [], "cursor": None}


def test_a_failed_case_is_listed_with_its_reason(desk: Desk) -> None:
    [failure] = desk.call("list_failures").json()["failures"]
    assert failure == {
        "id": REF.case_id,
        "kind": "case",
        "case_id": REF.case_id,
        "state": None,
        "reason": "ConfigurationError",
        "at": AT,
        "redrivable": True,
    }
