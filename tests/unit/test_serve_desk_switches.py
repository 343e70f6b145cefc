"""The desk's calls about destinations: which are off, and who turns them on."""

from datetime import timedelta

import pytest

from countersign.models import CaseRef
from countersign.switches import destination_id
from tests.unit.api_calls import LATER, Desk
from tests.unit.stores import NOW, REF, Stores, case_file

CALLBACK = case_file().request.destination
ISSUE = CALLBACK.model_copy(update={"channel": "github_issue", "address": "https://api.github.com/repos/a/b"})
OTHERS = {"sub": "00u1", "name": "Alex Doe", "tenant": "acme", "groups": "[operators]"}


@pytest.fixture
def desk(stores: Stores) -> Desk:
    desk = Desk(stores)
    desk.switches.turn_off(REF, CALLBACK, NOW)
    desk.switches.turn_off(REF, ISSUE, NOW + timedelta(seconds=1))
    return desk


def test_what_is_off_is_listed_the_latest_first(desk: Desk) -> None:
    first = desk.call("list_switched_off", query={"limit": "1"}).json()
    [listed] = first["destinations"]
    assert listed == {
        "id": destination_id(ISSUE),
        "channel": "github_issue",
        "address": ISSUE.address,
        "state": "off",
        "history": [{"state": "off", "at": "2026-03-02T09:00:01.000Z", "by": REF.case_id}],
    }
    rest = desk.call("list_switched_off", query={"cursor": first["cursor"]}).json()
    assert [each["id"] for each in rest["destinations"]] == [destination_id(CALLBACK)]
    assert desk.call("list_switched_off", query={"cursor": "x"}).status == 422


def test_a_person_turns_one_on_and_it_says_who_and_when(desk: Desk) -> None:
    turned = desk.call("turn_on").json()
    assert (turned["id"], turned["state"]) == (destination_id(CALLBACK), "on")
    at = LATER.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert turned["history"][-1] == {"state": "on", "at": at, "by": "Alex Doe"}
    assert desk.call("turn_on").json() == turned
    assert [each["id"] for each in desk.call("list_switched_off").json()["destinations"]] == [
        destination_id(ISSUE)
    ]


@pytest.mark.parametrize("name", ["d-" + "0" * 32, "d-1", "c-" + "0" * 32, "d-%23", "x" * 2_000])
def test_a_destination_that_was_never_off_is_not_found(desk: Desk, name: str) -> None:
    assert desk.call("turn_on", path=f"/destinations/{name}/on").status == 404


def test_each_tenant_has_its_own(desk: Desk) -> None:
    assert desk.call("list_switched_off", claims=OTHERS).json()["destinations"] == []
    assert desk.call("turn_on", claims=OTHERS).status == 404
    assert desk.switches.is_off("default", CALLBACK)
    desk.switches.turn_off(CaseRef(tenant="acme", case_id="c-1"), CALLBACK, NOW)
    assert desk.call("turn_on", claims=OTHERS).status == 200
    assert desk.switches.is_off("default", CALLBACK)


@pytest.mark.parametrize("name", ["list_switched_off", "turn_on"])
def test_only_operators_may(desk: Desk, name: str) -> None:
    desk.stores.calls.clear()
    assert desk.call(name, claims=OTHERS | {"groups": "[support]"}).status == 403
    assert desk.stores.calls == []
