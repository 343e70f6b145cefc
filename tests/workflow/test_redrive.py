"""The redrive desk over the deployed machine: nothing paid is paid again, nothing decided is asked again."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from countersign.dead_letters import UNANSWERED
from local.clock import VirtualClock
from local.faults import Crash
from local.gateway import Response
from tests.workflow.command_line import CommandLine
from tests.workflow.conftest import Desk, Json

ASKED = "How often is delivery of a signed reply tried, and within how many hours?"


def post(desk: Desk, path: str, body: Json | None = None, token: str | None = None) -> Response:
    headers = {"content-type": "application/json"}
    return desk.stack.request(
        "POST", path, headers=headers, body=json.dumps(body or {}).encode(), token=token or desk.token
    )


def redrive(desk: Desk, case_id: str) -> Json:
    answer = post(desk, f"/cases/{case_id}/redrive")
    assert answer.status == 200, answer.body
    done: Json = answer.json()
    return done


def break_down(desk: Desk, function: str, operation: str | None = None) -> Callable[[], None]:
    """Every call of AWS that a function makes, or one operation, fails from now on; returns what mends it."""

    def broken(moment: str, caller: str, _: str, called: str, __: Mapping[str, Any]) -> Exception | None:
        if moment == "before" and caller == function and operation in (None, called):
            return RuntimeError("a bug")
        return None

    return desk.stack.faults.add(broken)


def crash(desk: Desk, function: str) -> Callable[[], None]:
    def crashes(moment: str, caller: str, *_: object) -> Crash | None:
        return Crash() if caller == function and moment == "before" else None

    return desk.stack.faults.add(crashes)


def paid(desk: Desk) -> int:
    """Calls of models, guardrail and knowledge since the meter was reset."""
    calls = desk.stack.meter.snapshot().calls
    return sum(number for (service, _, _), number in calls.items() if service.startswith("bedrock"))


def executions(desk: Desk, case_id: str) -> dict[str, str]:
    """The executions of a case with their statuses."""
    listed = desk.stack.client("stepfunctions").list_executions(
        stateMachineArn=desk.stack.resource("HandleCase"), maxResults=1000
    )["executions"]
    return {each["name"]: each["status"] for each in listed if each["name"].startswith(case_id)}


def fail(desk: Desk, case_id: str, days: float = 0.01) -> Json:
    case = desk.until_status(case_id, "failed", days=days)
    desk.until(lambda: "RUNNING" not in executions(desk, case_id).values())
    return case


def later(desk: Desk, seconds: float) -> None:
    assert isinstance(desk.stack.clock, VirtualClock)
    desk.stack.clock.advance(seconds)


def letter_of(desk: Desk, case_id: str) -> Json:
    """The one dead letter of a case."""
    found = [each for each in desk.get("/failures")["failures"] if each["case_id"] == case_id]
    [letter] = [each for each in found if each["kind"] != "case"]
    return dict(letter)


def approve(desk: Desk, case_id: str) -> Json:
    card = desk.waiting(case_id)
    assert desk.decide(case_id, "approve").status == 200
    return card


@pytest.mark.parametrize(
    ("function", "state", "decided"),
    [
        ("recall_memory", "Recall Memory", False),
        ("gather_evidence", "Gather Evidence", False),
        ("review_draft", "Review Draft", False),
        ("request_approval", "Request Approval", False),
        ("record_decision", "Record Decision", True),
        ("close_case", "Close Case", True),
    ],
)
def test_wherever_a_case_fails_it_goes_on_from_there(
    desk: Desk, function: str, state: str, decided: bool
) -> None:
    desk.stack.meter.reset()
    approve(desk, desk.send(ASKED))
    desk.until(lambda: len(desk.listener.received) == 1)
    usual = paid(desk)

    desk.stack.meter.reset()
    mend = break_down(desk, function)
    case_id = desk.send(ASKED)
    if decided:
        approve(desk, case_id)
    assert fail(desk, case_id)["outcome"] == "RuntimeError"
    [listed] = [each for each in desk.get("/failures")["failures"] if each["id"] == case_id]
    assert (listed["kind"], listed["state"], listed["reason"]) == ("case", state, "RuntimeError")

    mend()
    assert redrive(desk, case_id)["execution"] == f"{case_id}-r2"
    if not decided:
        approve(desk, case_id)
    case = desk.until_status(case_id, "delivered")
    # Before any model was called the guardrail's word had not been kept, and is asked for again.
    assert paid(desk) == usual + (function == "recall_memory")
    assert case["usage"]["model_calls"] == 3
    sent = [each for each in desk.listener.received if each.json()["data"]["case_id"] == case_id]
    assert len(sent) == 1
    names = [line["event"] for line in case["timeline"]]
    assert names.count("decision.approve") == 1
    [line] = [line for line in case["timeline"] if line["event"] == "case.redriven"]
    assert (line["actor"], line["detail"]["execution"]) == ("local", f"{case_id}-r2")
    assert executions(desk, case_id) == {case_id: "FAILED", f"{case_id}-r2": "SUCCEEDED"}
    assert all(each["id"] != case_id for each in desk.get("/failures")["failures"])


@pytest.mark.parametrize("operation", ["GetObject", "TransactWriteItems"])
def test_a_case_that_could_not_be_opened_is_on_the_desk(desk: Desk, operation: str) -> None:
    mend = break_down(desk, "open_case", operation)
    case_id = desk.send(ASKED, subject="Attempts")
    case = fail(desk, case_id)
    mend()
    assert (case["subject"], case["source"]) == ("", "webhook")
    assert [f["state"] for f in desk.get("/failures")["failures"] if f["id"] == case_id] == ["Open Case"]
    redrive(desk, case_id)
    approve(desk, case_id)
    case = desk.case(case_id)
    assert case["subject"] == "Attempts"
    assert desk.events(case_id)[:3] == ["case.failed", "case.redriven", "case.opened"]


def test_a_pending_approval_is_asked_again_under_its_own_id(desk: Desk) -> None:
    desk.stack.meter.reset()
    case_id = desk.send(ASKED)
    first = desk.waiting(case_id)
    usual = paid(desk)
    desk.stack.client("stepfunctions").stop_execution(executionArn=desk.execution(case_id)["executionArn"])
    fail(desk, case_id)
    redrive(desk, case_id)
    desk.until_status(case_id, "awaiting_approval")
    second = desk.card(case_id)
    assert (second["approval_id"], second["version"]) == (first["approval_id"], first["version"] + 1)
    assert second["shown_sha256"] == first["shown_sha256"]
    assert paid(desk) == usual
    assert desk.decide(case_id, "approve").status == 200
    desk.until_status(case_id, "delivered")
    assert len(desk.listener.received) == 1


def test_a_delivery_nobody_took_is_tried_again_with_its_own_id(desk: Desk) -> None:
    desk.stack.meter.reset()
    desk.listener.answers = [(500, {})] * 10
    case_id = desk.send(ASKED)
    card = approve(desk, case_id)
    fail(desk, case_id, days=5)
    usual = paid(desk)
    redrive(desk, case_id)
    case = desk.until_status(case_id, "delivered")
    assert len(desk.listener.received) == 11
    assert {each.headers["webhook-id"] for each in desk.listener.received} == {card["approval_id"]}
    assert paid(desk) == usual
    assert [line["event"] for line in case["timeline"]].count("decision.approve") == 1


def test_what_was_delivered_is_not_sent_again(desk: Desk) -> None:
    """The receiver has it, and the case failed before it could say so."""
    mend = break_down(desk, "close_case")
    case_id = desk.send(ASKED)
    approve(desk, case_id)
    fail(desk, case_id)
    assert len(desk.listener.received) == 1
    mend()
    redrive(desk, case_id)
    desk.until_status(case_id, "delivered")
    assert len(desk.listener.received) == 1


def test_two_redrives_in_a_row(desk: Desk) -> None:
    desk.stack.meter.reset()
    mend = break_down(desk, "review_draft")
    case_id = desk.send(ASKED)
    fail(desk, case_id)
    redrive(desk, case_id)
    fail(desk, case_id)
    mend()
    assert redrive(desk, case_id)["execution"] == f"{case_id}-r3"
    approve(desk, case_id)
    case = desk.until_status(case_id, "delivered")
    assert case["usage"]["model_calls"] == 3
    assert len(desk.listener.received) == 1
    assert [line["detail"]["run"] for line in case["timeline"] if line["event"] == "case.redriven"] == [2, 3]
    assert list(executions(desk, case_id).values()).count("FAILED") == 2


def test_people_who_redrive_at_once_start_one_execution(desk: Desk) -> None:
    mend = break_down(desk, "recall_memory")
    case_id = desk.send(ASKED)
    fail(desk, case_id)
    mend()
    people = [desk.stack.add_person(name, groups=("operators",)) for name in ("ada", "grace", "mary")]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda token: post(desk, f"/cases/{case_id}/redrive", token=token), people))
    # Who comes when the case is on its way already is told so.
    assert {answer.status for answer in answers} <= {200, 409}
    assert 200 in {answer.status for answer in answers}
    approve(desk, case_id)
    desk.until_status(case_id, "delivered")
    assert executions(desk, case_id).keys() == {case_id, f"{case_id}-r2"}
    assert desk.events(case_id).count("case.redriven") == 1


def test_only_a_failed_case_runs_again(desk: Desk) -> None:
    case_id = desk.send(ASKED)
    desk.waiting(case_id)
    for _ in range(2):
        answer = post(desk, f"/cases/{case_id}/redrive")
        assert (answer.status, answer.json()["error"]["code"]) == (409, "not_redrivable")
        approve(desk, case_id) if desk.status(case_id) == "awaiting_approval" else None
        desk.until_status(case_id, "delivered")
    assert executions(desk, case_id).keys() == {case_id}


def test_only_operators_redrive(desk: Desk) -> None:
    mend = break_down(desk, "recall_memory")
    case_id = desk.send(ASKED)
    fail(desk, case_id)
    mend()
    reader = desk.stack.add_person("reader")
    stranger = desk.stack.add_person("stranger", tenant="acme", groups=("operators",))
    assert post(desk, f"/cases/{case_id}/redrive", token=reader).status == 403
    assert desk.stack.request("GET", "/failures", token=reader).status == 403
    assert post(desk, f"/cases/{case_id}/redrive", token=stranger).status == 404
    assert post(desk, "/failures/redrive", {"all": True}, token=stranger).json()["redriven"] == []
    assert desk.status(case_id) == "failed"


def test_a_redrive_that_was_cut_off_is_found_and_offered_again(desk: Desk) -> None:
    """The ledger says that the case is queued, and no execution was started: the desk crashed in between."""
    mend = break_down(desk, "recall_memory")
    case_id = desk.send(ASKED)
    fail(desk, case_id)
    mend()
    mend = break_down(desk, "serve_desk", "StartExecution")
    assert post(desk, f"/cases/{case_id}/redrive").status == 500
    mend()
    assert desk.status(case_id) == "queued"
    later(desk, 360)
    desk.stack.invoke("sweep_approvals", {"detail-type": "Scheduled Event"})
    assert fail(desk, case_id)["outcome"] == "ExecutionMissing"
    assert redrive(desk, case_id)["execution"] == f"{case_id}-r3"
    desk.waiting(case_id)


def test_the_command_line_lists_and_redrives(desk: Desk) -> None:
    mend = break_down(desk, "recall_memory")
    case_id = desk.send(ASKED)
    fail(desk, case_id)
    mend()
    terminal = CommandLine(desk.stack, desk.token)
    listed = terminal.run("failures")
    assert (listed.exit_code, listed.stderr) == (0, "")
    [line] = [line for line in listed.stdout.splitlines() if case_id[:10] in line]
    for words in ("failed case", "Recall Memory", "RuntimeError"):
        assert words in line
    done = terminal.run("redrive", case_id)
    assert (done.exit_code, done.stdout) == (0, f"{case_id[:10]} runs again as {case_id}-r2\n")
    desk.waiting(case_id)
    late = terminal.json("redrive", case_id, status=1)
    assert late["redriven"] == []
    [refused] = late["refused"]
    assert refused["reason"].startswith("the case is awaiting approval")


class TestDeadLetters:
    def test_an_event_that_started_no_case_starts_it(self, desk: Desk) -> None:
        mend = break_down(desk, "start_case", "StartExecution")
        case_id = desk.send(ASKED)
        desk.until(lambda: desk.dead_letters("IntakeDeadLetters") == 1, days=0.1)
        letter = letter_of(desk, case_id)
        assert (letter["kind"], letter["case_id"]) == ("intake", case_id)
        assert letter["reason"] == "RuntimeError"
        assert desk.status(case_id) == "queued"
        mend()
        # The desk is cut off when the message is on its queue again and not yet gone from here.
        mend = break_down(desk, "serve_desk", "DeleteMessage")
        assert post(desk, "/failures/redrive", {"ids": [letter["id"]]}).status == 500
        mend()
        desk.waiting(case_id)
        assert desk.dead_letters("IntakeDeadLetters") == 0, "hidden for a while"
        later(desk, 60)
        answer = post(desk, "/failures/redrive", {"all": True}).json()
        assert (letter["id"], "queued_again") in [(each["id"], each["did"]) for each in answer["redriven"]]
        desk.until(lambda: desk.dead_letters("IntakeQueue") == 0)
        assert executions(desk, case_id).keys() == {case_id}
        assert all(each["kind"] == "case" for each in desk.get("/failures")["failures"])

    def test_a_crash_leaves_no_reason_and_says_so(self, desk: Desk) -> None:
        mend = crash(desk, "start_case")
        case_id = desk.send(ASKED)
        desk.until(lambda: desk.dead_letters("IntakeDeadLetters") == 1, days=0.1)
        letter = letter_of(desk, case_id)
        assert (letter["case_id"], letter["reason"]) == (case_id, UNANSWERED)
        mend()
        post(desk, "/failures/redrive", {"ids": [letter["id"]]})
        desk.waiting(case_id)

    def test_a_delivery_that_is_still_waited_for_is_made(self, desk: Desk) -> None:
        case_id = desk.send(ASKED)
        desk.waiting(case_id)
        mend = crash(desk, "deliver_reply")
        desk.decide(case_id, "approve")
        desk.until(lambda: desk.dead_letters("DeliveryDeadLetters") == 1, days=0.1)
        mend()
        letter = letter_of(desk, case_id)
        assert letter["reason"] == f"{UNANSWERED}; its case is delivering"
        [done] = post(desk, "/failures/redrive", {"ids": [letter["id"]]}).json()["redriven"]
        assert done == {"id": letter["id"], "case_id": case_id, "execution": case_id, "did": "queued_again"}
        case = desk.until_status(case_id, "delivered")
        assert len(desk.listener.received) == 1
        [line] = [line for line in case["timeline"] if line["event"] == "delivery.queued_again"]
        assert line["actor"] == "local"
        assert executions(desk, case_id) == {case_id: "SUCCEEDED"}

    def test_a_delivery_whose_case_has_failed_runs_the_case_again(self, desk: Desk) -> None:
        case_id = desk.send(ASKED)
        card = desk.waiting(case_id)
        mend = crash(desk, "deliver_reply")
        desk.decide(case_id, "approve")
        fail(desk, case_id, days=1)
        mend()
        found = [each for each in desk.get("/failures")["failures"] if each["case_id"] == case_id]
        kinds = {each["kind"]: each for each in found}
        assert kinds.keys() == {"delivery", "case"}
        assert kinds["case"]["reason"] == "States.Timeout"
        answer = post(desk, "/failures/redrive", {"ids": [case_id, kinds["delivery"]["id"]]}).json()
        assert {each["execution"] for each in answer["redriven"]} == {f"{case_id}-r2"}
        assert [each["did"] for each in answer["redriven"]] == ["started", "started"]
        desk.until_status(case_id, "delivered")
        [received] = desk.listener.received
        assert received.headers["webhook-id"] == card["approval_id"]
        assert desk.dead_letters("DeliveryDeadLetters") == 0

    def test_a_letter_that_another_redrive_has_outrun_is_put_away(self, desk: Desk) -> None:
        case_id = desk.send(ASKED)
        desk.waiting(case_id)
        mend = crash(desk, "deliver_reply")
        desk.decide(case_id, "approve")
        fail(desk, case_id, days=1)
        mend()
        redrive(desk, case_id)
        desk.until_status(case_id, "delivered")
        letter = letter_of(desk, case_id)
        assert letter["reason"] == f"{UNANSWERED}; its case is delivered"
        [done] = post(desk, "/failures/redrive", {"ids": [letter["id"]]}).json()["redriven"]
        assert (done["did"], desk.dead_letters("DeliveryDeadLetters")) == ("put_away", 0)
        assert len(desk.listener.received) == 1
