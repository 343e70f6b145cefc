"""The redrive desk: what is listed, what runs again, and that nothing runs twice."""

import json
from datetime import timedelta
from typing import Any

import pytest

from countersign import redriving
from countersign.approvals import Person
from countersign.clock import instant
from countersign.dead_letters import HIDDEN_S, UNANSWERED, DeadLetters
from countersign.errors import EngineUnavailable, InvalidRequest, NotFound, NotRedrivable
from countersign.models import CaseRef, CaseStatus, Delivery, Intake
from tests.unit.dead_queues import Queues
from tests.unit.stores import APPROVAL, CASE, NOW, REF, Stores, case_file

LATER = NOW + timedelta(minutes=5)
ALEX = Person(name="Alex Doe", channel="api", subject="00u1")
KIM = Person(name="Kim Roe", channel="api")


PAGE, AT_ONCE = 4, 6


@pytest.fixture
def queues(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Queues:
    # What bounds a call is as true of a few as of a hundred.
    monkeypatch.setattr(redriving, "PAGE", PAGE)
    monkeypatch.setattr(redriving, "AT_ONCE", AT_ONCE)
    return Queues(stores)


def failed(stores: Stores, number: int | None = None, tenant: str = "default") -> CaseRef:
    case_id = CASE if number is None else f"c-{number:032x}"
    file = stores.open(case_file(tenant=tenant, case_id=case_id))
    at = instant(NOW + timedelta(seconds=number or 0))
    fail(stores, file.ref, at)
    return file.ref


def fail(stores: Stores, ref: CaseRef, at: str) -> None:
    """As Fail Case leaves it."""
    failed = stores.ledger.set_status(
        ref, CaseStatus.FAILED, at, outcome="ConfigurationError", failed_in="Write Draft"
    )
    stores.ledger.commit([failed])


def intake(case_id: str = CASE, tenant: str = "default") -> str:
    return Intake(
        tenant=tenant, case_id=case_id, source="webhook", received_at=instant(NOW)
    ).model_dump_json()


def delivery(case_id: str = CASE, tenant: str = "default") -> str:
    return Delivery(
        tenant=tenant, case_id=case_id, approval_id=f"{case_id}-a1", attempt=1, task_token="token-1"
    ).model_dump_json()


class TestACase:
    def test_runs_again_under_the_next_name(self, stores: Stores, queues: Queues) -> None:
        ref = failed(stores)
        done = queues.redriver.redrive_case(ref, ALEX, LATER)
        assert (done.execution, done.did) == (f"{CASE}-r2", "started")
        [started] = queues.engine.started
        assert (started.ref, started.source, started.run) == (ref, "webhook", 2)
        assert stores.status() == "queued"
        line = stores.ledger.history(ref)[1][-1]
        assert (line.event, line.actor, line.at) == ("case.redriven", "Alex Doe", instant(LATER))
        assert line.detail == {"run": 2, "execution": f"{CASE}-r2", "channel": "api", "subject": "00u1"}

    def test_two_people_at_once_start_one_execution(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        first, second = (queues.redriver.redrive_case(REF, person, LATER) for person in (ALEX, KIM))
        assert first == second
        assert len(queues.engine.started) == 1
        assert [line.actor for line in stores.ledger.history(REF)[1]][-1] == "Alex Doe"
        assert stores.events().count("case.redriven") == 1

    def test_two_people_in_the_same_moment_write_once(
        self, stores: Stores, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both have read the failed head before either writes."""
        failed(stores)
        commit, raced = stores.ledger.commit, []

        def race(writes: Any) -> None:
            if not raced:
                raced.append(True)
                queues.redriver.redrive_case(REF, KIM, LATER)
            commit(writes)

        monkeypatch.setattr(stores.ledger, "commit", race)
        assert queues.redriver.redrive_case(REF, ALEX, LATER).execution == f"{CASE}-r2"
        assert [intake.run for intake in queues.engine.started] == [2]
        redriven = [line for line in stores.ledger.history(REF)[1] if line.event == "case.redriven"]
        assert [line.actor for line in redriven] == ["Kim Roe"]

    def test_that_has_moved_meanwhile_is_left_alone(
        self, stores: Stores, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed(stores)
        commit, moved = stores.ledger.commit, []

        def move(writes: Any) -> None:
            if not moved:
                moved.append(True)
                commit([stores.ledger.set_status(REF, CaseStatus.RUNNING, instant(LATER))])
            commit(writes)

        monkeypatch.setattr(stores.ledger, "commit", move)
        with pytest.raises(NotRedrivable, match="the case is running"):
            queues.redriver.redrive_case(REF, ALEX, LATER)
        assert stores.status() == "running"
        assert "case.redriven" not in stores.events()

    def test_where_the_engine_was_down_asking_again_starts_it(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        queues.engine.is_down = True
        with pytest.raises(EngineUnavailable):
            queues.redriver.redrive_case(REF, ALEX, LATER)
        queues.engine.is_down = False
        queues.redriver.redrive_case(REF, KIM, LATER)
        assert [intake.run for intake in queues.engine.started] == [2]

    @pytest.mark.parametrize("status", sorted(set(CaseStatus) - {CaseStatus.FAILED}))
    def test_that_has_not_failed_is_left_alone(
        self, stores: Stores, queues: Queues, status: CaseStatus
    ) -> None:
        stores.open(status=status)
        with pytest.raises(NotRedrivable, match=f"the case is {status.value.replace('_', ' ')}, and only"):
            queues.redriver.redrive_case(REF, ALEX, LATER)
        assert queues.engine.started == []
        assert stores.status() == status.value

    def test_whose_execution_still_runs_is_left_alone(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        queues.engine.executions[CASE] = "RUNNING"
        with pytest.raises(NotRedrivable, match="has not ended yet"):
            queues.redriver.redrive_case(REF, ALEX, LATER)
        assert stores.status() == "failed"

    def test_that_is_another_tenant_s_is_not_there(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        with pytest.raises(NotFound):
            queues.redriver.redrive_case(CaseRef(tenant="acme", case_id=CASE), ALEX, LATER)

    def test_that_fails_again_runs_a_third_time(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        queues.redriver.redrive_case(REF, ALEX, LATER)
        queues.engine.executions[f"{CASE}-r2"] = "FAILED"
        fail(stores, REF, instant(LATER))
        done = queues.redriver.redrive_case(REF, KIM, LATER + timedelta(minutes=1))
        assert done.execution == f"{CASE}-r3"


class TestTheList:
    def test_failed_cases_say_where_and_why(self, stores: Stores, queues: Queues) -> None:
        for number in (1, 2, 3):
            failed(stores, number)
        failed(stores, 4, tenant="acme")
        page, cursor = queues.redriver.cases("default", 2, None)
        rest, end = queues.redriver.cases("default", 2, cursor)
        assert [each.id[-1] for each in [*page, *rest]] == ["3", "2", "1"]
        assert {(each.kind, each.state, each.reason) for each in page} == {
            ("case", "Write Draft", "ConfigurationError")
        }
        assert end is None

    def test_letters_say_why_and_whose(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        first, second = queues.bury("intake", intake("c-" + "0" * 32)), queues.bury("delivery", delivery())
        queues.bury("intake", intake("c-" + "1" * 32, tenant="acme"))
        queues.reasons.note(delivery(), ConnectionError("quotes Jane Roe"), NOW)
        found = {each.id: each for each in queues.redriver.letters("default")}
        assert found.keys() == {first, second}
        assert found[first].reason == UNANSWERED
        assert found[second].reason == "ConnectionError; its case is failed"
        assert found[second].ref == REF

    def test_what_nobody_can_read_is_shown_to_the_default_tenant(
        self, stores: Stores, queues: Queues
    ) -> None:
        stray = queues.bury("intake", '{"case_id": "c-1", "secret": "Jane Roe"}')
        [found] = queues.redriver.letters("default")
        assert (found.id, found.ref) == (stray, None)
        assert found.reason == f"{UNANSWERED}; the message cannot be read"
        assert "Jane Roe" not in repr(found)
        assert queues.redriver.letters("acme") == []

    @pytest.mark.parametrize("named", ["", "../x", "c-1\n", "c" * 3_000])
    def test_a_letter_of_what_is_no_case_hides_no_other(
        self, stores: Stores, queues: Queues, named: str
    ) -> None:
        strays = {queues.bury("delivery", json.dumps(json.loads(delivery()) | {"case_id": named}))}
        strays |= {queues.bury("intake", intake(REF.case_id, tenant=""))}
        found = queues.redriver.letters("default")
        assert {each.id for each in found} == strays
        assert {each.ref for each in found} == {None}

    def test_looking_leaves_every_message_where_it_is(self, stores: Stores, queues: Queues) -> None:
        # More than one call of SQS brings.
        for number in range(11):
            queues.bury("intake", intake(f"c-{number:032x}", tenant="acme" if number % 2 else "default"))
        for _ in range(2):
            assert len(queues.redriver.letters("default")) == 6
            assert len({each.id for each in queues.redriver.letters("acme")}) == 5
        assert queues.waiting("intake-dead") == 11

    def test_a_look_is_bounded(self, stores: Stores, queues: Queues) -> None:
        for number in range(AT_ONCE + 3):
            queues.bury("intake", intake(f"c-{number:032x}"))
        assert len(queues.redriver.letters("default")) == AT_ONCE
        assert queues.waiting("intake-dead") == AT_ONCE + 3

    def test_a_message_that_comes_twice_is_one_letter(self) -> None:
        message = {
            "MessageId": "m1",
            "Body": intake(),
            "ReceiptHandle": "r1",
            "Attributes": {"SentTimestamp": "1772442000000"},
        }

        answers = [[message], [message | {"ReceiptHandle": "r2"}]]

        class Sqs:
            def receive_message(self, **given: Any) -> dict[str, Any]:
                assert given["VisibilityTimeout"] == HIDDEN_S
                return {"Messages": answers.pop(0)} if answers else {}

        [letter] = DeadLetters(Sqs(), "intake", "dead", "queue").receive()  # type: ignore[arg-type]
        assert letter.receipt == "r2"


class TestLetters:
    def redrive(self, queues: Queues, *ids: str, tenant: str = "default") -> tuple[list[Any], list[Any]]:
        redrives = queues.redriver.redrive(tenant, ids, ALEX, LATER)
        return [(each.id, each.did) for each in redrives.redriven], [each.id for each in redrives.refused]

    def test_an_intake_letter_goes_back_to_its_queue(self, stores: Stores, queues: Queues) -> None:
        first, other = queues.bury("intake", intake()), queues.bury("intake", intake("c-" + "1" * 32))
        assert self.redrive(queues, first) == ([(first, "queued_again")], [])
        assert (queues.held("intake"), queues.held("intake-dead")) == (1, 1)
        [left] = queues.redriver.letters("default")
        assert left.id == other

    def test_a_crash_between_the_two_leaves_it_in_both(
        self, stores: Stores, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        letter = queues.bury("intake", intake())
        monkeypatch.setattr(DeadLetters, "put_away", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            self.redrive(queues, letter)
        [message] = queues.sqs.receive_message(QueueUrl=queues.url["intake"])["Messages"]
        assert json.loads(message["Body"]) == json.loads(intake())

    def test_the_case_of_a_delivery_that_failed_runs_again(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        letter = queues.bury("delivery", delivery())
        assert self.redrive(queues, letter) == ([(letter, "started")], [])
        assert [intake.run for intake in queues.engine.started] == [2]
        assert (queues.held("delivery"), queues.held("delivery-dead")) == (0, 0)

    def test_a_delivery_that_is_waited_for_goes_back_to_its_queue(
        self, stores: Stores, queues: Queues
    ) -> None:
        stores.open(status=CaseStatus.DELIVERING)
        queues.engine.tokens.add("token-1")
        letter = queues.bury("delivery", delivery())
        assert self.redrive(queues, letter) == ([(letter, "queued_again")], [])
        assert (queues.held("delivery"), queues.held("delivery-dead")) == (1, 0)
        line = stores.ledger.history(REF)[1][-1]
        assert (line.event, line.actor) == ("delivery.queued_again", "Alex Doe")
        assert line.detail == {"approval_id": APPROVAL, "attempt": 1}

    @pytest.mark.parametrize("status", [CaseStatus.DELIVERED, CaseStatus.DELIVERING, CaseStatus.RUNNING])
    def test_a_delivery_nobody_waits_for_is_put_away(
        self, stores: Stores, queues: Queues, status: CaseStatus
    ) -> None:
        stores.open(status=status)
        letter = queues.bury("delivery", delivery())
        assert self.redrive(queues, letter) == ([(letter, "put_away")], [])
        assert (queues.held("delivery"), queues.held("delivery-dead")) == (0, 0)

    def test_one_that_is_refused_stays_and_stops_no_other(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        queues.engine.executions[CASE] = "RUNNING"
        other = failed(stores, 1)
        first, second = queues.bury("delivery", delivery()), queues.bury("delivery", delivery(other.case_id))
        assert self.redrive(queues, first, second) == ([(second, "started")], [first])
        assert queues.waiting("delivery-dead") == 1

    def test_another_tenant_s_letter_is_not_there(self, stores: Stores, queues: Queues) -> None:
        letter = queues.bury("intake", intake(tenant="acme"))
        stray = queues.bury("intake", "stray")
        assert self.redrive(queues, letter) == ([], [letter])
        assert self.redrive(queues, stray, tenant="acme") == ([], [stray])
        assert (queues.waiting("intake"), queues.waiting("intake-dead")) == (0, 2)

    def test_an_id_from_outside_is_a_failure_or_nothing(self, stores: Stores, queues: Queues) -> None:
        given = ["nobody", "x#y", "intake:none", "delivery:", "other:1", "", ".."]
        done, refused = self.redrive(queues, *given)
        assert (done, sorted(refused)) == ([], sorted(given))

    def test_cases_and_letters_go_together_and_each_once(self, stores: Stores, queues: Queues) -> None:
        failed(stores)
        letter = queues.bury("intake", intake("c-" + "1" * 32))
        done, refused = self.redrive(queues, CASE, letter, CASE)
        assert (sorted(done), refused) == ([(CASE, "started"), (letter, "queued_again")], [])


class TestAll:
    def test_goes_page_by_page(self, stores: Stores, queues: Queues) -> None:
        for number in range(PAGE + 2):
            failed(stores, number)
        failed(stores, 99, tenant="acme")
        letter = queues.bury("delivery", delivery(f"c-{PAGE + 1:032x}"))
        first = queues.redriver.redrive_all("default", None, ALEX, LATER)
        assert first.redriven[0].id == letter
        assert len(first.redriven) == PAGE, "a letter and the failed case behind it are one redrive"
        second = queues.redriver.redrive_all("default", first.cursor, ALEX, LATER)
        assert (len(second.redriven), second.cursor) == (2, None)
        assert {intake.tenant for intake in queues.engine.started} == {"default"}
        assert len({intake.case_id for intake in queues.engine.started}) == PAGE + 2
        assert queues.redriver.cases("default", 100, None) == ([], None)
        assert len(queues.redriver.cases("acme", 100, None)[0]) == 1

    def test_letters_beyond_what_a_call_may_do_stay(self, stores: Stores, queues: Queues) -> None:
        for number in range(AT_ONCE + 2):
            queues.bury("intake", intake(f"c-{number:032x}"))
        redrives = queues.redriver.redrive_all("default", None, ALEX, LATER)
        assert len(redrives.redriven) == queues.held("intake") == AT_ONCE
        assert queues.waiting("intake-dead") == 2

    def test_nothing_failed(self, stores: Stores, queues: Queues) -> None:
        redrives = queues.redriver.redrive_all("default", None, ALEX, LATER)
        assert (redrives.redriven, redrives.refused, redrives.cursor) == ([], [], None)

    def test_a_cursor_from_elsewhere_is_refused(self, stores: Stores, queues: Queues) -> None:
        with pytest.raises(InvalidRequest):
            queues.redriver.redrive_all("default", "zzz", ALEX, LATER)
