"""Forgetting, end to end: after it no store of the deployment holds a word of the case."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workflow.command_line import CommandLine
from tests.workflow.conftest import Desk, Json

ASKED = "How long may a draft wait for QUAGGA, says okapi@example.com?"
WORDS = ("QUAGGA", "ZEBRA", "okapi@example.com", "BONGO", "GIRAFFE")


@pytest.fixture
def cli(desk: Desk) -> CommandLine:
    return CommandLine(desk.stack, desk.token)


def wait(desk: Desk, seconds: float) -> None:
    due = desk.stack.clock.now() + seconds
    desk.stack.clock.spawn(lambda: desk.stack.clock.sleep(seconds), name="wait")
    desk.until(lambda: desk.stack.clock.now() >= due, days=1)


def ask(desk: Desk, event_id: str, **changes: Any) -> Any:
    return desk.post(
        {
            "id": "T-forget",
            "subject": "ZEBRA",
            "text": ASKED,
            "author": "okapi@example.com",
            "callback_url": desk.listener.url,
            **changes,
        },
        event_id,
    )


def expire_claims(desk: Desk) -> None:
    """As DynamoDB does with what has expired."""
    db, table = desk.stack.client("dynamodb"), desk.stack.resource("ClaimsTable")
    for claim in db.scan(TableName=table)["Items"]:
        db.delete_item(TableName=table, Key={"id": claim["id"]})


def delivered(desk: Desk, event_id: str) -> str:
    """A case that was sent back with a reason, then edited and delivered."""
    case_id: str = ask(desk, event_id).json()["case_id"]
    desk.waiting(case_id)
    first = desk.case(case_id)["approval_id"]
    desk.decide(case_id, "respond", reason="Say it shorter, GIRAFFE.")
    desk.until(lambda: desk.case(case_id)["approval_id"] != first)
    desk.waiting(case_id)
    assert desk.decide(case_id, "edit", text="BONGO: it waits a day.", reason="GIRAFFE").status == 200
    desk.until_status(case_id, "delivered")
    return case_id


def stored(desk: Desk) -> Iterator[str]:
    """Everything that the stores hold: rows, all versions of objects, messages, executions' histories."""
    db, s3, sqs, steps = (desk.stack.client(name) for name in ("dynamodb", "s3", "sqs", "stepfunctions"))
    for table in db.list_tables()["TableNames"]:
        for page in db.get_paginator("scan").paginate(TableName=table):
            yield from (json.dumps(item, default=str) for item in page["Items"])
    for bucket in s3.list_buckets()["Buckets"]:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket["Name"]):
            for each in page.get("Versions", []):
                got = s3.get_object(Bucket=bucket["Name"], Key=each["Key"], VersionId=each["VersionId"])
                yield each["Key"] + got["Body"].read().decode(errors="replace")
    for url in sqs.list_queues().get("QueueUrls", []):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            yield message["Body"]
    arn = desk.stack.resource("HandleCase")
    for execution in steps.list_executions(stateMachineArn=arn, maxResults=1000)["executions"]:
        history = steps.get_execution_history(executionArn=execution["executionArn"])["events"]
        yield json.dumps(history, default=str)


def found(desk: Desk) -> set[str]:
    return {word for text in stored(desk) for word in WORDS if word in text}


def test_after_it_no_store_holds_a_word_and_everything_still_answers(desk: Desk, cli: CommandLine) -> None:
    case_id = delivered(desk, "msg_forgotten")
    approval_id = desk.case(case_id)["approval_id"]
    assert found(desk) == set(WORDS)
    before = [line for line in desk.case(case_id)["timeline"] if not line["event"].startswith("step.")]

    early = cli.run("forget", case_id, "--yes")
    assert early.exit_code == 1
    assert "less than two minutes ago" in early.stderr
    wait(desk, 300)
    done = cli.json("forget", case_id, "--yes")
    assert (done["case_id"], done["recalled_by"]) == (case_id, [])
    assert found(desk) == set()

    case = desk.case(case_id)
    assert (case["status"], case["subject"], case["draft"]) == ("delivered", "", None)
    assert case["forgotten_at"] == done["forgotten_at"]
    assert case["timeline"][:-1] == before
    assert (case["timeline"][-1]["event"], case["timeline"][-1]["actor"]) == ("case.forgotten", "local")
    listed = {each["case_id"]: each for each in desk.get("/cases?limit=100")["cases"]}
    assert listed[case_id]["forgotten_at"]
    assert "(forgotten)" in cli.run("cases").stdout
    assert approval_id in {each["approval_id"] for each in desk.get("/approvals?status=decided")["approvals"]}
    gone = desk.stack.request("GET", f"/approvals/{approval_id}", token=desk.token)
    assert (gone.status, gone.json()["error"]["message"]) == (404, "the text of this case has been erased")
    assert cli.run("case", case_id).exit_code == 0


@pytest.mark.parametrize("claim", ["kept", "expired"])
def test_the_same_event_does_not_bring_it_back(desk: Desk, cli: CommandLine, claim: str) -> None:
    """Within the fortnight that its claim lives, and after it."""
    case_id = ask(desk, f"msg_{claim}").json()["case_id"]
    desk.waiting(case_id)
    desk.decide(case_id, "reject", reason="GIRAFFE")
    desk.until_status(case_id, "rejected")
    wait(desk, 300)
    cli.json("forget", case_id, "--yes")
    if claim == "expired":
        expire_claims(desk)
    for changes in ({}, {"text": "QUAGGA again"}):
        answer: Json = ask(desk, f"msg_{claim}", **changes).json()
        assert (answer["case_id"], answer["duplicate"]) == (case_id, True)
    desk.stack.settle(lambda: True)
    assert desk.case(case_id)["status"] == "rejected"
    assert found(desk) == set()


def test_the_conversation_goes_on_without_it(desk: Desk, cli: CommandLine) -> None:
    """A later case of the thread recalled it; the next one does not."""
    again = {"subject": "Again", "text": "How long may a draft wait?", "author": "reader@example.com"}
    first = delivered(desk, "msg_first")
    second: str = ask(desk, "msg_second", **again).json()["case_id"]
    desk.waiting(second)
    desk.decide(second, "reject", reason="Asked twice.")
    desk.until_status(second, "rejected")
    wait(desk, 300)
    assert cli.json("forget", first, "--yes")["recalled_by"] == [second]
    assert found(desk) == set()
    third: str = ask(desk, "msg_third", **again).json()["case_id"]
    assert "BONGO" not in json.dumps(desk.waiting(third))
    assert found(desk) == set()


def test_a_running_case_is_refused_and_a_failed_one_is_not_redriven_after(
    desk: Desk, cli: CommandLine
) -> None:
    case_id = desk.send("Is anybody there, QUAGGA?")
    desk.waiting(case_id)
    refused = cli.run("forget", case_id, "--yes")
    assert refused.exit_code == 1
    assert "the case is awaiting approval, and only one that has ended can be forgotten" in refused.stderr
    desk.stack.client("stepfunctions").stop_execution(executionArn=desk.execution(case_id)["executionArn"])
    desk.until(lambda: desk.status(case_id) == "failed")
    wait(desk, 300)
    cli.json("forget", case_id, "--yes")
    answer = desk.stack.request("POST", f"/cases/{case_id}/redrive", token=desk.token)
    assert (answer.status, answer.json()["error"]["code"]) == (409, "not_redrivable")
    assert "erased on request" in answer.json()["error"]["message"]
    assert found(desk) == set()
