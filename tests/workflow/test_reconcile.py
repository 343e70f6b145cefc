"""Every acknowledged event ends, moves, is a dead letter, or is listed, and what is listed is put back."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from local.faults import Crash, client_error
from local.template import ACCOUNT, REGION
from tests.workflow.command_line import CommandLine
from tests.workflow.conftest import Desk

type Account = Callable[..., Any]


@pytest.fixture
def cli(desk: Desk) -> CommandLine:
    return CommandLine(desk.stack, desk.token)


@pytest.fixture(autouse=True)
def since(desk: Desk) -> str:
    """The beginning of the test, when nothing of the one before is accepted any more."""
    wait(desk, 60)
    return datetime.fromtimestamp(int(desk.stack.clock.now()), UTC).isoformat()


@pytest.fixture
def account(desk: Desk, cli: CommandLine, since: str) -> Callable[..., Any]:
    """The account of this test's events."""

    def run(*words: str, status: int = 0) -> Any:
        desk.stack.settle(lambda: True)
        return cli.json("reconcile", "--since", since, *words, status=status)

    return run


def wait(desk: Desk, seconds: float) -> None:
    # Nothing may be due then, so something is.
    due = desk.stack.clock.now() + seconds
    desk.stack.clock.spawn(lambda: desk.stack.clock.sleep(seconds), name="wait")
    desk.until(lambda: desk.stack.clock.now() >= due, days=0.1)


def failing(
    function: str, operation: str, error: Callable[[], BaseException]
) -> Callable[..., BaseException | None]:
    def fault(moment: str, name: str, _: str, called: str, __: Any) -> BaseException | None:
        return error() if (moment, name, called) == ("before", function, operation) else None

    return fault


def statuses(desk: Desk, case_id: str) -> list[str]:
    """Of the executions of a case."""
    listed = desk.stack.client("stepfunctions").list_executions(
        stateMachineArn=desk.stack.resource("HandleCase"), maxResults=1000
    )
    return [each["status"] for each in listed["executions"] if each["name"].startswith(case_id)]


def lose_its_message(desk: Desk) -> str:
    """An event that was acknowledged, whose message became a dead letter, and was then deleted."""
    desk.stack.faults.add(failing("start_case", "StartExecution", Crash))
    case_id = desk.send("Where is the message?")
    desk.until(lambda: desk.dead_letters("IntakeDeadLetters") == 1, days=0.1)
    return case_id


def test_a_message_that_was_lost_is_queued_again(desk: Desk, account: Account) -> None:
    case_id = lose_its_message(desk)
    wait(desk, 3_600)
    found = account()
    assert (found["accepted"], found["dead_letters"], found["unaccounted"]) == (1, 1, [])
    desk.stack.client("sqs").purge_queue(QueueUrl=desk.stack.resource("IntakeDeadLetters"))
    [lost] = account(status=1)["unaccounted"]
    assert (lost["case_id"], lost["status"], lost["execution"]) == (case_id, None, None)
    assert lost["reason"] == "not_started"
    desk.stack.faults.clear()
    [repaired] = account("--repair")["repaired"]
    assert repaired == {"case_id": case_id, "did": "queued", "execution": case_id}
    desk.waiting(case_id)
    assert account()["moving"] == 1


def test_a_case_that_could_not_be_opened_is_opened_by_another_run(desk: Desk, account: Account) -> None:
    denied = lambda: client_error("TransactWriteItems", "AccessDeniedException")  # noqa: E731
    desk.stack.faults.add(failing("open_case", "TransactWriteItems", denied))
    desk.stack.faults.add(failing("fail_case", "GetItem", Crash))  # or it would be on the desk
    case_id = desk.send("Will it open?")
    desk.until(lambda: statuses(desk, case_id) == ["FAILED"])
    wait(desk, 3_600)
    [lost] = account(status=1)["unaccounted"]
    assert (lost["reason"], lost["status"], lost["execution"]) == ("not_opened", None, "FAILED")
    desk.stack.faults.clear()
    [repaired] = account("--repair")["repaired"]
    assert (repaired["did"], repaired["execution"]) == ("redriven", f"{case_id}-r2")
    assert desk.waiting(case_id)["case_id"] == case_id


def test_a_case_whose_execution_died_unnoticed_runs_again(desk: Desk, account: Account) -> None:
    case_id = desk.send("Is anybody there?")
    desk.waiting(case_id)
    wait(desk, 3_600)
    assert account()["moving"] == 1
    desk.stack.faults.add(failing("fail_case", "GetItem", Crash))
    arn = desk.execution(case_id)["executionArn"]
    desk.stack.client("stepfunctions").stop_execution(executionArn=arn)
    [lost] = account(status=1)["unaccounted"]
    assert (lost["reason"], lost["status"], lost["execution"]) == (
        "abandoned",
        "awaiting_approval",
        "ABORTED",
    )
    desk.stack.faults.clear()
    account("--repair")
    assert desk.waiting(case_id)["version"] == 2, "the same approval, asked again"
    assert desk.decide(case_id, "approve").status == 200
    desk.until_status(case_id, "delivered")
    assert len(desk.listener.received) == 1
    assert account()["ended"] == {"delivered": 1}


def test_an_execution_that_vanished_is_replaced(desk: Desk, cli: CommandLine, since: str) -> None:
    case_id = desk.send("Is anybody there?")
    desk.waiting(case_id)
    wait(desk, 3_600)
    desk.stack.faults.add(failing("fail_case", "GetItem", Crash))
    arn = desk.execution(case_id)["executionArn"]
    desk.stack.client("stepfunctions").stop_execution(executionArn=arn)
    desk.stack.settle(lambda: True)
    desk.stack.faults.clear()
    for machine in stepfunctions_parser_backends[ACCOUNT][REGION].state_machines:
        machine.executions = [each for each in machine.executions if each.execution_arn != arn]
    result = cli.run("reconcile", "--since", since)
    assert result.exit_code == 1
    assert "the case's execution is gone" in result.stdout
    assert "1 unaccounted for" in result.stdout
    repaired = cli.run("reconcile", "--since", since, "--repair")
    assert repaired.exit_code == 0
    assert f"{case_id} redriven: execution {case_id}-r2" in repaired.stdout
    desk.waiting(case_id)
