"""The sweep: tells lost decisions again, ends what has no execution, leaves alone what merely waits."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from countersign import retention, sweeping
from countersign.approvals import Person
from countersign.clock import instant
from countersign.decisions import Approval, DecisionBody
from countersign.models import CaseRef, CaseStatus
from countersign.sweeping import GRACE_S, PERIOD_S, Sweep, Swept, is_due
from functions.sweep_approvals.app import handler
from tests.unit.stores import APPROVAL, CASE, NOW, REF, TERMS, Context, Stores, case_file

EVENTS = Path(__file__).parents[2] / "events/sweep_approvals"
ALICE = Person("Alice", "api")
SOON = NOW + timedelta(minutes=6)


@dataclass
class Executions:
    """Step Functions' executions: `statuses` by name, all others have one `status`."""

    status_of_all: str | None = "RUNNING"
    statuses: dict[str, str | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def status(self, name: str) -> str | None:
        self.asked.append(name)
        return self.statuses.get(name, self.status_of_all)


@pytest.fixture
def executions() -> Executions:
    return Executions()


@pytest.fixture
def run(stores: Stores, executions: Executions) -> Callable[[datetime], Swept]:
    return lambda now: Sweep(stores.arbiter, stores.holds, executions, {"default"}).run(now)


def ask(stores: Stores, case_id: str = CASE) -> Approval:
    stores.tasks.waiting.add(f"token of {case_id}")
    file = stores.open(case_file(case_id=case_id))
    return stores.arbiter.request(file, 1, TERMS, f"token of {case_id}", NOW, None)


def decide(stores: Stores, approval: Approval, verdict: str = "approve", **words: str) -> None:
    body = DecisionBody.model_validate({"verdict": verdict, "shown_sha256": approval.shown_sha256, **words})
    stores.arbiter.decide(approval, body, ALICE, NOW)


def lose(stores: Stores, verdict: str = "approve", **words: str) -> None:
    """A decision whose function died before it could tell anybody."""
    approval = ask(stores)
    stores.tasks.is_down = True
    decide(stores, approval, verdict, **words)
    stores.tasks.is_down = False


@pytest.mark.parametrize(
    ("seconds", "due"),
    [
        (-60, False),
        (0, False),
        (PERIOD_S - 1, False),
        (PERIOD_S, True),
        (2 * PERIOD_S, True),
        (3 * PERIOD_S + 60, False),
        (4 * PERIOD_S, True),
        (6 * PERIOD_S, False),
        (7 * PERIOD_S, False),
        (8 * PERIOD_S + 1, True),
        (1_000 * PERIOD_S, False),
        (1_024 * PERIOD_S + 359, True),
    ],
)
def test_what_waits_is_looked_at_ever_more_rarely(seconds: float, due: bool) -> None:
    assert is_due(seconds) is due


def test_a_case_that_waits_for_three_days_is_looked_at_some_ten_times() -> None:
    runs = range(0, 3 * 86_400, PERIOD_S)
    assert 10 <= sum(is_due(seconds) for seconds in runs) <= 20
    late = [seconds + 17 for seconds in runs]
    assert 10 <= sum(is_due(seconds) for seconds in late) <= 20


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("approve", {}),
        ("edit", {"text": "Ten."}),
        ("respond", {"reason": "Why?"}),
        ("reject", {"reason": "No."}),
    ],
)
def test_a_decision_that_nobody_was_told_of_is_told(
    stores: Stores, run: Callable[[datetime], Swept], verdict: str, words: dict[str, str]
) -> None:
    lose(stores, verdict, **words)
    assert run(NOW + timedelta(minutes=2)) == Swept(), "its function may still be at it"
    assert run(SOON) == Swept(looked_at=1, told=1)
    assert [output for _, output in stores.tasks.told] == [{"approval_id": APPROVAL, "version": 1}]
    assert run(SOON) == Swept(looked_at=1), "the machine has gone on, and the case takes its time"


def test_an_engine_that_is_still_down_is_told_later(stores: Stores, run: Callable[[datetime], Swept]) -> None:
    lose(stores)
    stores.tasks.is_down = True
    assert run(SOON) == Swept(looked_at=1, put_off=1)
    stores.tasks.is_down = False
    assert run(NOW + timedelta(minutes=11)).told == 1


def test_a_case_that_waits_for_a_person_is_left_alone(
    stores: Stores, executions: Executions, run: Callable[[datetime], Swept]
) -> None:
    approval = ask(stores)
    assert run(SOON) == Swept(looked_at=1)
    assert executions.asked == [CASE]
    assert run(NOW + timedelta(minutes=16)) == Swept(), "not yet again"
    assert stores.ledger.approval(REF, APPROVAL) == approval
    assert stores.status() == "awaiting_approval"


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED", None])
@pytest.mark.parametrize("case_status", ["running", "awaiting_approval", "delivering", "parked"])
def test_a_case_whose_execution_is_gone_has_failed(
    stores: Stores,
    executions: Executions,
    run: Callable[[datetime], Swept],
    status: str | None,
    case_status: str,
) -> None:
    stores.open(status=CaseStatus(case_status))
    executions.status_of_all = status
    assert run(SOON) == Swept(looked_at=1, failed=1)
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    assert (head.status, head.outcome) == ("failed", status or "ExecutionMissing")
    assert events[-1].detail == {"state": "execution", "error": status or "ExecutionMissing"}
    assert run(SOON) == Swept()


@pytest.mark.parametrize("status", ["delivered", "rejected", "expired", "blocked", "failed"])
def test_a_case_that_has_ended_is_not_looked_at(
    stores: Stores, run: Callable[[datetime], Swept], status: str
) -> None:
    stores.open(status=CaseStatus(status))
    assert run(SOON) == Swept()


def test_a_case_that_ends_while_it_is_looked_at_keeps_its_end(stores: Stores) -> None:
    """The list is behind, as an index may be: the execution had written how the case ended."""
    stores.open()

    class Ending(Executions):
        def status(self, name: str) -> str | None:
            ended = stores.ledger.set_status(REF, CaseStatus.DELIVERED, instant(SOON), outcome="delivered")
            stores.ledger.commit([ended])
            return "SUCCEEDED"

    assert Sweep(stores.arbiter, stores.holds, Ending(), {"default"}).run(SOON) == Swept(looked_at=1)
    assert stores.status() == "delivered"


def test_a_case_that_is_redriven_while_it_is_looked_at_goes_on(stores: Stores) -> None:
    stores.open()

    class Redriving(Executions):
        def status(self, name: str) -> str | None:
            stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.RUNNING, instant(SOON))])
            return "ABORTED"

    assert Sweep(stores.arbiter, stores.holds, Redriving(), {"default"}).run(SOON) == Swept(looked_at=1)
    assert stores.status() == "running"


def test_a_redriven_case_is_judged_by_its_new_execution(
    stores: Stores, executions: Executions, run: Callable[[datetime], Swept]
) -> None:
    stores.open()
    stores.db.update_item(
        TableName="cases",
        Key={"pk": {"S": f"default#{CASE}"}, "sk": {"S": "head"}},
        UpdateExpression="SET #run = :two",
        ExpressionAttributeNames={"#run": "run"},
        ExpressionAttributeValues={":two": {"N": "2"}},
    )
    executions.statuses = {CASE: "ABORTED"}
    assert run(SOON) == Swept(looked_at=1)
    assert executions.asked == [f"{CASE}-r2"]


def test_a_decision_on_a_case_whose_execution_was_stopped_does_not_hang(
    stores: Stores, executions: Executions, run: Callable[[datetime], Swept]
) -> None:
    """The decision stands for a redrive, and the case does not look as if it were being delivered."""
    approval = ask(stores)
    executions.status_of_all = "ABORTED"
    stores.tasks.waiting.clear()
    assert run(SOON).failed == 1
    decide(stores, approval)
    assert stores.status() == "delivering"
    assert run(SOON + timedelta(minutes=1)).failed == 1
    assert stores.status() == "failed"
    assert stores.events().count("case.failed") == 2


DEADLINE = datetime.fromisoformat("2026-03-02T12:00:00Z")


@pytest.mark.parametrize(
    ("status", "after_s", "expired"),
    [
        ("ABORTED", GRACE_S + 1, 1),
        (None, GRACE_S + 1, 1),
        ("ABORTED", GRACE_S - 1, 0),
        ("ABORTED", -1, 0),
        # Its own execution closes it, by Expire Approval.
        ("RUNNING", GRACE_S + 1, 0),
    ],
)
def test_a_row_that_no_execution_waits_for_expires(
    stores: Stores,
    executions: Executions,
    run: Callable[[datetime], Swept],
    status: str | None,
    after_s: int,
    expired: int,
) -> None:
    ask(stores)
    executions.status_of_all = status
    stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.FAILED, instant(SOON))])
    if status == "RUNNING":
        at = instant(DEADLINE)
        stores.ledger.commit([stores.ledger.set_status(REF, CaseStatus.AWAITING_APPROVAL, at)])
    assert run(DEADLINE + timedelta(seconds=after_s)).expired == expired
    row = stores.ledger.approval(REF, APPROVAL)
    assert row is not None
    assert (row.status == "expired") is bool(expired)


def test_a_run_looks_at_no_more_than_it_may(
    stores: Stores,
    executions: Executions,
    run: Callable[[datetime], Swept],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(5):
        stores.open(case_file(case_id=f"c-{number}"))
    monkeypatch.setattr(sweeping, "PAGE", 2)
    assert run(SOON).looked_at == 5
    monkeypatch.setattr(sweeping, "LOOKS", 3)
    assert run(SOON).looked_at == 3
    monkeypatch.setattr(sweeping, "PAGES", 1)
    assert run(SOON).looked_at == 2
    assert len(executions.asked) == 10


def test_every_tenant_is_swept_and_no_other(stores: Stores, executions: Executions) -> None:
    for tenant in ("acme", "default", "unknown"):
        stores.open(case_file(tenant=tenant))
    executions.status_of_all = None
    assert Sweep(stores.arbiter, stores.holds, executions, ["acme", "default", "acme"]).run(SOON).failed == 2
    assert stores.status(CaseRef(tenant="acme", case_id=CASE)) == "failed"
    assert stores.status(CaseRef(tenant="unknown", case_id=CASE)) == "running"


def test_nothing_to_do_takes_a_query_for_each_status(
    stores: Stores, run: Callable[[datetime], Swept]
) -> None:
    stores.calls.clear()
    assert run(SOON) == Swept()
    assert stores.calls == ["Query"] * 6


def test_the_schedule_sweeps_and_says_what_it_did(stores: Stores, executions: Executions) -> None:
    event: dict[str, Any] = json.loads((EVENTS / "schedule.json").read_text())
    stores.open()  # long ago by now, in the window of no doubling in particular
    answer = handler(event, Context(), Sweep(stores.arbiter, stores.holds, executions, {"default"}))
    assert answer.keys() == {"looked_at", "told", "failed", "expired", "put_off", "erased"}
    assert answer["failed"] == 0


@pytest.mark.usefixtures("deployed")
def test_the_sources_say_which_tenants_there_are() -> None:
    from functions.sweep_approvals.app import make_sweep

    assert set(make_sweep().tenants) == {"default"}


# Subjects are erased by age, as the bucket's texts are


def test_subjects_go_when_the_texts_do_and_nothing_else_does(stores: Stores, executions: Executions) -> None:
    ask(stores)
    young = stores.open(case_file(case_id=f"c-{5:032x}"))
    stores.ledger.commit(
        [stores.ledger.change_row(*_head_key(young.ref), *_later(NOW + timedelta(days=300)))]
    )
    other = stores.open(case_file(tenant="acme"))
    sweep = Sweep(stores.arbiter, stores.holds, executions, {"default"}, 365)
    assert sweep.run(NOW + timedelta(days=364)).erased == 0
    assert sweep.run(NOW + timedelta(days=366)).erased == 1
    head, lines, [approval] = stores.ledger.history(REF)
    assert head is not None
    assert (head.subject, approval.subject) == ("", "")
    assert (head.forgotten_at, lines[0].event) == (None, "case.opened")
    assert [getattr(stores.ledger.head(ref), "subject", None) for ref in (young.ref, other.ref)] == [
        "Delivery",
        "Delivery",
    ]


def test_old_subjects_go_a_page_at_a_time_and_are_looked_at_once(
    stores: Stores, executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAGE", 3)
    for number in range(7):
        ref = stores.open(case_file(case_id=f"c-{number:032x}")).ref
        stores.ledger.commit(
            [stores.ledger.change_row(*_head_key(ref), *_later(NOW + timedelta(minutes=number)))]
        )
    late = NOW + timedelta(days=400)
    erased = [retention.erase_old_subjects(stores.ledger, "default", late) for _ in range(5)]
    assert sum(erased) == 7
    stores.calls.clear()
    assert retention.erase_old_subjects(stores.ledger, "default", late) == 0
    assert stores.calls == ["GetItem", "Query"]


def test_a_page_without_subjects_stops_nothing(
    stores: Stores, executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAGE", 2)
    refs = [stores.open(case_file(case_id=f"c-{number:032x}")).ref for number in range(4)]
    for number, ref in enumerate(refs):
        stores.ledger.commit(
            [stores.ledger.change_row(*_head_key(ref), *_later(NOW + timedelta(minutes=number)))]
        )
    stores.ledger.commit([stores.ledger.blank_subject(*_head_key(ref)) for ref in refs[:3]])
    late = NOW + timedelta(days=400)
    assert sum(retention.erase_old_subjects(stores.ledger, "default", late) for _ in range(4)) == 1


def _head_key(ref: CaseRef) -> tuple[str, str]:
    return f"{ref.tenant}#{ref.case_id}", "head"


def _later(at: datetime) -> tuple[str, str, dict[str, str]]:
    return "SET created_at = :at, gsi1sk = :at", "attribute_exists(pk)", {":at": instant(at)}
