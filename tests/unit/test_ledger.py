"""The cases table: conditions that hold or don't, lists with cursors, and ids from outside."""

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.decisions import ApprovalStatus
from countersign.errors import InvalidRequest, NotFound, StoreConflict
from countersign.ledger import Ledger, Rejected, find_approval
from countersign.models import CaseRef, CaseStatus, LedgerEvent
from tests.unit.stores import APPROVAL, CASE, NOW, REF, TERMS, Stores, case_file

LINE = LedgerEvent(at="2026-03-02T09:00:00.000Z", event="case.opened", actor="countersign")


def case_ids(count: int) -> list[str]:
    return [f"c-{number:032x}" for number in range(count)]


def cursor_of(row: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(row).encode()).decode()


def test_a_refused_transaction_says_which_condition_did_not_hold(stores: Stores) -> None:
    file = stores.open()
    stores.ledger.append(file.ref, "once", LINE)
    with pytest.raises(Rejected) as caught:
        stores.ledger.commit(
            [
                stores.ledger.set_status(REF, CaseStatus.FAILED, "2026-03-02T10:00:00.000Z"),
                stores.ledger.put_event(REF, "once", LINE),
            ]
        )
    assert caught.value.positions == [1]
    assert stores.status() == "running"


def test_a_line_of_history_is_written_once(stores: Stores) -> None:
    stores.open()
    assert stores.ledger.append(REF, "once", LINE)
    assert not stores.ledger.append(REF, "once", LINE.model_copy(update={"event": "other"}))
    assert stores.events() == ["case.opened", "case.opened"]


def test_a_status_needs_a_head_that_has_not_moved(stores: Stores) -> None:
    with pytest.raises(Rejected):
        stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.FAILED, "2026-03-02T10:00:00.000Z")])
    stores.open()
    opened, later = "2026-03-02T08:59:59.000Z", "2026-03-02T10:00:00.000Z"
    stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.PARKED, later, seen=opened)])
    with pytest.raises(Rejected):
        stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.FAILED, later, seen=opened)])
    assert stores.status() == "parked"


class Refusing:
    """A DynamoDB that answers every write with one error."""

    def __init__(self, code: str, *reasons: str) -> None:
        response: Any = {"Error": {"Code": code, "Message": "no"}}
        if reasons:
            response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
        self.error = ClientError(response, "TransactWriteItems")

    def transact_write_items(self, **_: Any) -> None:
        raise self.error

    put_item = update_item = transact_write_items


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("ConditionalCheckFailedException",), Rejected),
        (("TransactionCanceledException", "None", "ConditionalCheckFailed"), Rejected),
        (("TransactionCanceledException", "TransactionConflict", "ConditionalCheckFailed"), Rejected),
        (("TransactionCanceledException", "TransactionConflict", "None"), StoreConflict),
        (("TransactionConflictException",), StoreConflict),
        (("TransactionCanceledException", "None", "ThrottlingError"), ClientError),
        (("AccessDeniedException",), ClientError),
    ],
)
@pytest.mark.parametrize("writes", [1, 2])
def test_an_error_of_dynamodb_has_a_name_where_it_means_something(
    answer: tuple[str, ...], expected: type[Exception], writes: int
) -> None:
    ledger = Ledger(Refusing(*answer), "cases")  # type: ignore[arg-type]
    with pytest.raises(expected):
        ledger.commit([ledger.put_event(REF, str(number), LINE) for number in range(writes)])


def test_cases_are_listed_newest_first_page_by_page(stores: Stores) -> None:
    for number, case_id in enumerate(case_ids(5)):
        file = stores.open(case_file(case_id=case_id))
        at = f"2026-03-02T1{number}:00:00.000Z"
        stores.ledger.commit([stores.ledger.set_status(file.ref, CaseStatus.PARKED, at)])
    stores.open(case_file(tenant="other"))
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        found, cursor = stores.ledger.cases("default", CaseStatus.PARKED, 2, cursor)
        seen += [head.case_id for head in found]
    assert seen == list(reversed(case_ids(5)))
    assert cursor is None
    assert len(stores.ledger.cases("default", None, 100, None)[0]) == 5
    assert stores.ledger.cases("default", CaseStatus.RUNNING, 100, None)[0] == []
    assert [head.tenant for head in stores.ledger.cases("other", None, 100, None)[0]] == ["other"]


def test_a_cursor_is_good_for_its_own_list_alone(stores: Stores) -> None:
    for case_id in case_ids(2):
        stores.open(case_file(case_id=case_id))
    _, cursor = stores.ledger.cases("default", None, 1, None)
    assert len(stores.ledger.cases("default", None, 1, cursor)[0]) == 1
    for tenant, status in (("other", None), ("default", CaseStatus.RUNNING)):
        with pytest.raises(InvalidRequest):
            stores.ledger.cases(tenant, status, 1, cursor)


KEY = {"pk": f"default#{CASE}", "sk": "head", "gsi1pk": "default#cases", "gsi1sk": "2026"}


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "====",
        base64.urlsafe_b64encode(b"\xff").decode(),
        cursor_of([]),
        cursor_of("text"),
        cursor_of({}),
        cursor_of({**KEY, "sk": ""}),
        cursor_of({**KEY, "sk": 1}),
        cursor_of({**KEY, "more": "x"}),
        cursor_of({name: KEY[name] for name in ("gsi1pk", "gsi1sk", "pk")}),
        cursor_of({**KEY, "gsi1pk": "other#cases"}),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
    ],
)
def test_a_cursor_of_ones_own_making_is_refused(stores: Stores, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        stores.ledger.cases("default", None, 1, cursor)


def test_a_whole_case_is_read_in_one_query(stores: Stores) -> None:
    file = stores.open()
    stores.arbiter.request(file, 1, TERMS, "token-1", NOW, None)
    stores.calls.clear()
    head, events, approvals = stores.ledger.history(REF)
    assert stores.calls == ["Query"]
    assert head is not None
    assert head.approval_id == APPROVAL
    assert [event.event for event in events] == ["case.opened", "approval.requested"]
    assert approvals[0].reviewer_score == 0.8
    assert stores.ledger.history(CaseRef(tenant="other", case_id=CASE)) == (None, [], [])


def test_approvals_are_listed_by_status_within_a_tenant(stores: Stores) -> None:
    for case_id in case_ids(3):
        stores.arbiter.request(stores.open(case_file(case_id=case_id)), 1, TERMS, "t", NOW, None)
    stores.arbiter.expire(CaseRef(tenant="default", case_id=case_ids(3)[1]), f"{case_ids(3)[1]}-a1", NOW)
    pending, cursor = stores.ledger.approvals("default", ApprovalStatus.PENDING, 10, None)
    assert [approval.case_id for approval in pending] == [case_ids(3)[0], case_ids(3)[2]]
    assert cursor is None
    assert len(stores.ledger.approvals("default", ApprovalStatus.EXPIRED, 10, None)[0]) == 1
    assert stores.ledger.approvals("other", ApprovalStatus.PENDING, 10, None)[0] == []


def test_a_conversation_remembers_its_latest_cases_first(stores: Stores) -> None:
    for number, case_id in enumerate(case_ids(3)):
        ref = CaseRef(tenant="default", case_id=case_id)
        stores.ledger.commit([stores.ledger.put_memory(ref, "thread", f"2026-03-0{number + 1}T00:00:00Z")])
    assert stores.ledger.thread("default", "thread", 2) == [case_ids(3)[2], case_ids(3)[1]]
    assert stores.ledger.thread("other", "thread", 2) == []


@pytest.mark.parametrize(
    ("tenant", "approval_id"),
    [
        ("other", APPROVAL),
        ("default", f"{CASE}-a2"),
        ("default", CASE),
        ("default", ""),
        ("default", "-a1"),
        ("default", f"{CASE}-a٣"),
        ("default", f"{CASE}-a1\n"),
        ("default", f"x#{CASE}-a1"),
        ("default", f"thread#{CASE}-a1"),
        ("default", "c" * 3_000 + "-a1"),
        ("default", f"{CASE}-a" + "1" * 2_000),
    ],
)
def test_an_approval_id_from_outside_finds_its_row_or_nothing(
    stores: Stores, tenant: str, approval_id: str
) -> None:
    stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    assert find_approval(stores.ledger, "default", APPROVAL).approval_id == APPROVAL
    stores.calls.clear()
    with pytest.raises(NotFound):
        find_approval(stores.ledger, tenant, approval_id)
    is_one = approval_id in {APPROVAL, f"{CASE}-a2"}
    assert stores.calls == (["GetItem"] if is_one else []), "what is no id gets into no key"


@pytest.mark.parametrize(
    ("before", "is_late"), [("2026-03-02T11:59:59.999Z", False), ("2026-03-02T12:00:00.000Z", True)]
)
def test_the_row_itself_keeps_its_deadline(stores: Stores, before: str, is_late: bool) -> None:
    stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    change = stores.ledger.change_approval(REF, APPROVAL, {"verdict": "approve"}, version=1, before=before)
    if is_late:
        with pytest.raises(Rejected):
            stores.ledger.commit([change])
    else:
        stores.ledger.commit([change])
