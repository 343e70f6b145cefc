"""Accounting for accepted events: each has ended, moves, is a dead letter, or is lost and put back."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from countersign import reconciling
from countersign.approvals import Person
from countersign.case_file import raw_key
from countersign.clock import instant
from countersign.dead_letters import Letter
from countersign.models import CaseRef, CaseStatus, Intake, RawEvent, canonical_json
from countersign.reconciling import GRACE_S, Account, Loss, NotRepaired, Reconciler, repair_all
from countersign.redriving import Redriver
from tests.unit.stores import REF, Stores, case_file

ALEX = Person("Alex Doe", "api", "00u1")
OTHER = CaseRef(tenant="other", case_id=REF.case_id)


@dataclass
class Executions:
    """Statuses by execution name; `asked` are the names that were asked for."""

    statuses: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    started: list[Intake] = field(default_factory=list)

    def status(self, name: str) -> str | None:
        self.asked.append(name)
        return self.statuses.get(name)

    def start(self, intake: Intake) -> bool:
        self.started.append(intake)
        return True


@dataclass
class DeadLetters:
    """A queue of dead letters about some cases; `hidden` are those that were not given back."""

    about: list[CaseRef] = field(default_factory=list)
    asked: int = 0
    hidden: int = 0

    def receive(self) -> list[Letter]:
        self.asked += 1
        self.hidden = len(self.about)
        return [Letter("intake", str(i), "", ref, "{}", "") for i, ref in enumerate(self.about)]

    def give_back(self, letters: list[Letter]) -> None:
        self.hidden -= len(letters)


@dataclass
class Queue:
    sent: list[Intake] = field(default_factory=list)

    def send(self, intake: Intake) -> None:
        self.sent.append(intake)


def reconciler(stores: Stores, executions: Executions, letters: DeadLetters, queue: Queue) -> Reconciler:
    rest: Any = (executions, Redriver(stores.ledger, executions, None, [letters], None), queue)  # type: ignore[arg-type,list-item]
    return Reconciler(stores.files, stores.ledger, stores.holds, *rest)


class Desk:
    """A reconciler over stores in moto. Events are kept at the machine's time, and judged an hour later."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.executions = Executions()
        self.letters = DeadLetters()
        self.queue = Queue()
        self.now = datetime.now(UTC) + timedelta(hours=1)
        self.desk = reconciler(stores, self.executions, self.letters, self.queue)

    def accept(self, ref: CaseRef = REF) -> CaseRef:
        raw = RawEvent(source="webhook", received_at="2026-03-02T08:59:58.000Z", headers={}, body="{}")
        assert self.stores.files.put_once(raw_key(ref), canonical_json(raw))
        return ref

    def open(self, ref: CaseRef = REF, status: CaseStatus = CaseStatus.RUNNING) -> CaseRef:
        self.stores.open(case_file(ref.tenant, ref.case_id), status)
        return ref

    def account(self, since: datetime | None = None, cursor: str | None = None) -> Account:
        return self.desk.account("default", since, cursor, self.now)


@pytest.fixture
def desk(stores: Stores) -> Desk:
    return Desk(stores)


@pytest.mark.parametrize("status", ["delivered", "rejected", "expired", "blocked", "failed"])
def test_an_event_whose_case_has_ended_is_accounted_for_without_another_look(desk: Desk, status: str) -> None:
    desk.accept()
    desk.open(status=CaseStatus(status))
    assert desk.account() == Account(accepted=1, ended={status: 1})  # type: ignore[arg-type]
    assert (desk.executions.asked, desk.letters.asked) == ([], 0)


@pytest.mark.parametrize(
    ("opened", "execution", "dead", "reason"),
    [
        (False, None, False, Loss.NOT_STARTED),
        (False, "FAILED", False, Loss.NOT_OPENED),
        (False, None, True, None),
        (True, None, False, Loss.ABANDONED),
        (True, "ABORTED", False, Loss.ABANDONED),
        (True, "SUCCEEDED", False, Loss.ABANDONED),
    ],
)
def test_an_event_that_nobody_works_on_is_lost_or_a_dead_letter(
    desk: Desk, opened: bool, execution: str | None, dead: bool, reason: Loss | None
) -> None:
    ref = desk.accept()
    if opened:
        desk.open()
    desk.executions.statuses = {ref.case_id: execution} if execution else {}
    desk.letters.about = [OTHER, ref] if dead else [OTHER]
    page = desk.account()
    assert (page.accepted, page.moving, page.ended, page.dead_letters) == (1, 0, {}, int(dead))
    assert [(e.case_id, e.execution, e.reason) for e in page.unaccounted] == (
        [(ref.case_id, execution, reason)] if reason else []
    )
    assert {e.status for e in page.unaccounted} <= {CaseStatus.RUNNING if opened else None}
    assert desk.letters.hidden == 0, "others must find them"


@pytest.mark.parametrize("execution", ["RUNNING", "PENDING_REDRIVE"])
@pytest.mark.parametrize("status", [None, "running", "awaiting_approval", "delivering", "parked"])
def test_what_has_a_live_execution_moves(desk: Desk, status: str | None, execution: str) -> None:
    ref = desk.accept()
    if status:
        desk.open(status=CaseStatus(status))
    desk.executions.statuses = {ref.case_id: execution}
    assert desk.account() == Account(accepted=1, moving=1)


def test_an_event_may_wait_on_its_queue_for_a_while(desk: Desk) -> None:
    desk.accept()
    desk.now -= timedelta(hours=1) - timedelta(seconds=GRACE_S - 60)
    assert desk.account() == Account(accepted=1, moving=1)
    assert desk.executions.asked == []
    desk.now += timedelta(seconds=120)
    assert len(desk.account().unaccounted) == 1


def test_a_case_that_ends_while_it_is_looked_at_has_ended(desk: Desk) -> None:
    ref = desk.accept()
    desk.open()

    def end(_: str) -> str:
        at = instant(desk.now)
        desk.stores.ledger.commit([desk.stores.ledger.set_status(ref, CaseStatus.DELIVERED, at)])
        return "SUCCEEDED"

    desk.executions.status = end  # type: ignore[method-assign]
    assert desk.account() == Account(accepted=1, ended={"delivered": 1})  # type: ignore[arg-type]


def test_of_other_tenants_and_from_before_nothing_is_counted(desk: Desk) -> None:
    desk.accept(OTHER)
    assert desk.account() == Account()
    desk.accept()
    assert desk.account(since=desk.now) == Account()
    assert desk.account(since=desk.now - timedelta(days=1)).accepted == 1


def test_pages_are_bounded_and_leave_out_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "LOOKS", 3)
    refs = [CaseRef(tenant="default", case_id=f"c-{i:032x}") for i in range(8)]
    for ref in refs:
        desk.accept(ref)
    desk.open(refs[1], CaseStatus.DELIVERED)
    listed, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        desk.executions.asked.clear()
        page = desk.account(cursor=cursor)
        assert len(desk.executions.asked) <= 3
        listed += [e.case_id for e in page.unaccounted]
        cursor, pages = page.cursor, pages + 1
    assert pages == 3
    assert listed == [ref.case_id for ref in refs if ref != refs[1]]


def test_a_thousand_and_one_events_take_two_listings(desk: Desk) -> None:
    # Of another day than asked for, so that nothing but listings is needed.
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # beside the client: a thousand calls take seconds
    for i in range(1_001):
        backend.put_object("files", f"events/default/c-{i:032x}.json", b"")
    assert desk.account(since=desk.now) == Account()
    assert desk.stores.calls == ["ListObjectsV2", "ListObjectsV2"]


# Putting back


def test_a_lost_event_is_queued_again_for_its_first_run(desk: Desk) -> None:
    ref = desk.accept()
    repair = desk.desk.repair(ref, ALEX, desk.now)
    assert (repair.did, repair.execution) == ("queued", ref.case_id)
    [sent] = desk.queue.sent
    assert (sent.ref, sent.run, sent.source) == (ref, 1, "webhook")
    assert sent.received_at == "2026-03-02T08:59:58.000Z", "the event's own, as it was first queued"


def test_an_event_whose_case_was_never_opened_gets_another_run(desk: Desk) -> None:
    ref = desk.accept()
    desk.executions.statuses = {ref.case_id: "FAILED", f"{ref.case_id}-r2": "FAILED"}
    assert desk.desk.repair(ref, ALEX, desk.now).execution == f"{ref.case_id}-r3"
    desk.executions.statuses |= {f"{ref.case_id}-r3": "RUNNING"}
    with pytest.raises(NotRepaired, match="its execution runs"):
        desk.desk.repair(ref, ALEX, desk.now)
    assert [intake.run for intake in desk.queue.sent] == [3]


def test_an_abandoned_case_fails_and_is_run_again(desk: Desk) -> None:
    ref = desk.accept()
    desk.open()
    assert desk.desk.repair(ref, ALEX, desk.now).execution == f"{ref.case_id}-r2"
    assert desk.stores.status() == "queued"
    assert desk.stores.events() == ["case.opened", "case.failed", "case.redriven"]
    assert [line.actor for line in desk.stores.ledger.history(ref)[1]][-1] == "Alex Doe"
    assert [intake.run for intake in desk.executions.started] == [2]


def test_a_run_that_was_asked_for_and_never_started_is_started(desk: Desk) -> None:
    ref = desk.accept()
    desk.open()
    desk.desk.repair(ref, ALEX, desk.now)
    desk.executions.started.clear()
    assert desk.desk.repair(ref, ALEX, desk.now).execution == f"{ref.case_id}-r2"
    assert [intake.run for intake in desk.executions.started] == [2]


def test_what_is_not_lost_is_left_alone_and_says_why(desk: Desk) -> None:
    unknown, ended, alive, lost = (
        CaseRef(tenant="default", case_id=f"c-{name}") for name in ("unknown", "ended", "alive", "lost")
    )
    for ref in (ended, alive, lost):
        desk.accept(ref)
    desk.open(ended, CaseStatus.DELIVERED)
    desk.open(alive)
    desk.executions.statuses = {alive.case_id: "RUNNING"}
    done, refused = repair_all(desk.desk, [unknown, ended, alive, lost], ALEX, desk.now)
    assert [repair.case_id for repair in done] == [lost.case_id]
    assert refused == [
        (unknown.case_id, "there is no such event"),
        (ended.case_id, "the case has ended as delivered"),
        (alive.case_id, "its execution runs"),
    ]
    assert [intake.case_id for intake in desk.queue.sent] == [lost.case_id]
