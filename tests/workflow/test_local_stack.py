"""The offline AWS on a small application that has every kind of resource."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.faults import Crash, client_error
from local.functions import FunctionFailed, UnknownFunction
from local.stack import Stack
from local.template import TemplateError

TEMPLATE = Path(__file__).parent / "fixtures" / "app" / "template.yaml"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(TEMPLATE) as stack:
        yield stack


def _note(stack: Stack, key: str) -> dict[str, Any] | None:
    return (
        stack.client("dynamodb")
        .get_item(TableName=stack.resource("NotesTable"), Key={"pk": {"S": key}}, ConsistentRead=True)
        .get("Item")
    )


def _events(stack: Stack) -> list[dict[str, Any]]:
    items = stack.client("dynamodb").scan(TableName=stack.resource("NotesTable"))["Items"]
    return [json.loads(item["event"]["S"]) for item in items if "event" in item]


def _run(stack: Stack, name: str, kind: str, **values: Any) -> dict[str, Any]:
    steps = stack.client("stepfunctions")
    event = {"kind": kind, "text": 'He said "hi" \\ ü 😀', **values}
    arn = steps.start_execution(stateMachineArn=stack.resource("Flow"), name=name, input=json.dumps(event))[
        "executionArn"
    ]

    def ended() -> dict[str, Any] | None:
        execution = steps.describe_execution(executionArn=arn)
        return execution if execution["status"] != "RUNNING" else None

    return stack.wait_for(ended)


def test_outputs_and_resources(stack: Stack) -> None:
    assert stack.outputs["FlowArn"] == stack.resource("Flow")
    assert stack.outputs["ApiUrl"].startswith("https://")
    assert len(stack.outputs["KnowledgeBaseId"]) == 10
    assert "AgentAliasId" not in stack.outputs
    with pytest.raises(KeyError, match="ReplyAgent"):
        stack.resource("ReplyAgent")
    secret = stack.client("secretsmanager").get_secret_value(SecretId=stack.resource("SigningSecret"))
    assert len(secret["SecretString"]) == 40
    assert secret["SecretString"].isalnum()


def test_parameters_and_conditions() -> None:
    with Stack(TEMPLATE, parameters={"Agent": "true", "Greeting": "moin"}) as stack:
        assert len(stack.outputs["AgentAliasId"]) == 10
        answer = stack.request("GET", "/x", token=stack.token).json()
        assert answer["greeting"] == "moin"
    with Stack(TEMPLATE) as stack:  # a layer's cached value does not outlive its stack
        assert stack.request("GET", "/x", token=stack.token).json()["greeting"] == "hello"


@pytest.mark.parametrize(
    ("path", "parameters", "reason"),
    [
        (TEMPLATE.with_name("missing.yaml"), {}, "can't read"),
        (TEMPLATE, {"Nope": "1"}, "no parameter Nope"),
        (TEMPLATE.parent / "statemachines" / "flow.asl.json", {}, "not a CloudFormation template"),
    ],
)
def test_bad_templates_say_why(path: Path, parameters: dict[str, str], reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        Stack(path, parameters=parameters).start()


def test_one_stack_at_a_time(stack: Stack) -> None:
    with pytest.raises(RuntimeError, match="another stack"):
        Stack(TEMPLATE).start()


@pytest.mark.parametrize("name", ["step", "StepFunction", "ARN"])
def test_functions_are_found_by_every_name(stack: Stack, name: str) -> None:
    if name == "ARN":
        name = next(f.arn for f in stack.functions if f.label == "step") + ":live"
    assert stack.invoke(name, {"count": 1}) == {"text": "", "count": 2, "none": None}


def test_unknown_functions_and_failures(stack: Stack) -> None:
    with pytest.raises(UnknownFunction, match="echo, post, step"):
        stack.invoke("nobody", {})
    with pytest.raises(FunctionFailed) as failure:
        stack.invoke("step", {"do": "fail"})
    assert (failure.value.error_type, failure.value.message) == ("Permanent", 'it said "no" \\ and ü')
    with pytest.raises(FunctionFailed) as failure:
        stack.invoke("step", {"do": "exit"})
    assert failure.value.error_type == "Runtime.ExitError"
    assert "exit status 3" in failure.value.message


def test_a_timed_out_function_has_no_more_effects(stack: Stack) -> None:
    stack.invoke("step", {})
    with pytest.raises(FunctionFailed) as failure:
        stack.invoke("step", {"do": "sleep", "seconds": 2.3})
    assert failure.value.error_type == "Sandbox.Timedout"
    assert "Task timed out after 2.00 seconds" in failure.value.message
    time.sleep(0.6)
    assert _note(stack, "slept") is None


def test_lambda_s_own_api(stack: Stack) -> None:
    client = stack.client("lambda")
    name = next(f.name for f in stack.functions if f.label == "step")
    answer = client.invoke(FunctionName=name, Payload=b'{"count": 4}')
    assert json.load(answer["Payload"])["count"] == 5
    answer = client.invoke(FunctionName=name, Payload=b'{"do": "fail"}')
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorType"] == "Permanent"
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"do": "put", "pk": "later"}')
    assert stack.wait_for(lambda: _note(stack, "later"))


def test_requests(stack: Stack) -> None:
    answer = stack.request("POST", "/hooks/git%20hub", body=b"\xff").json()
    assert answer["event"]["pathParameters"] == {"source": "git hub"}
    assert answer["word"] == "fixture-word"
    assert (answer["parts"], answer["only"]) == ("echo", "yes")
    assert 5000 < answer["remaining"] <= 10000
    assert stack.request("GET", "/x").status == 401
    other = stack.add_person("grace", tenant="acme", groups=("a", "b"))
    claims = stack.request("GET", "/x", token=other).json()["event"]["requestContext"]["authorizer"]["jwt"][
        "claims"
    ]
    assert claims == {"sub": "grace", "name": "grace", "tenant": "acme", "groups": "[a b]"}
    for query, status in (("html", 201), ("broken", 500), ("raise", 500), ("big", 500)):
        assert stack.request("GET", f"/x?shape={query}", token=stack.token).status == status
    assert stack.request("GET", "/x?shape=bytes", token=stack.token).body == base64.b64decode("AP8=")


def test_what_functions_print_is_kept_apart(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.request("GET", "/x", token=stack.token)
    line = stack.logs[-1]
    assert line.function == "echo"
    assert str(line.line).startswith("seen countersign-EchoFunction")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("fail", {"error": "Permanent", "cause": 'it said "no" \\ and ü', "text": 'He said "hi" \\ ü 😀'}),
        ("post", {"posted": 'He said "hi" \\ ü 😀'}),
        ("map", [1, 11, 21, 31]),
    ],
)
def test_machines(stack: Stack, kind: str, output: Any) -> None:
    execution = _run(stack, "one", kind)
    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"]) == output


@pytest.mark.parametrize(
    ("kind", "error"), [("uncaught", "Permanent"), ("badquery", "States.QueryEvaluationError")]
)
def test_a_failed_execution_is_told_to_the_rule(stack: Stack, kind: str, error: str) -> None:
    execution = _run(stack, "failing", kind)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
    event = stack.wait_for(lambda: _events(stack))[0]
    assert event["source"] == "aws.states"
    assert event["detail-type"] == "Step Functions Execution Status Change"
    detail = event["detail"]
    assert (detail["status"], detail["name"]) == ("FAILED", "failing")
    assert detail["executionArn"] == execution["executionArn"]
    assert json.loads(detail["input"])["kind"] == kind
    assert detail["startDate"] <= detail["stopDate"]


def test_a_state_that_takes_too_long_in_its_function(stack: Stack) -> None:
    stack.invoke("step", {})
    assert json.loads(_run(stack, "slow", "sleep", seconds=3)["output"]) == {"error": "Sandbox.Timedout"}


def test_the_same_name_starts_once_even_at_once(stack: Stack) -> None:
    steps, outcomes = stack.client("stepfunctions"), []

    def start(number: int) -> None:
        try:
            steps.start_execution(
                stateMachineArn=stack.resource("Flow"),
                name="same",
                input=json.dumps({"kind": "hold", "n": number}),
            )
            outcomes.append("started")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ExecutionAlreadyExists"] * 3 + ["started"]


def test_a_token_is_used_once(stack: Stack) -> None:
    steps = stack.client("stepfunctions")
    arn = steps.start_execution(
        stateMachineArn=stack.resource("Flow"), name="held", input='{"kind": "hold", "text": ""}'
    )["executionArn"]
    token = stack.wait_for(lambda: _note(stack, "held"))["token"]["S"]
    steps.send_task_success(taskToken=token, output='{"verdict": "approve"}')
    for late, code in ((token, "TaskTimedOut"), ("bogus", "InvalidToken")):
        with pytest.raises(ClientError) as error:
            steps.send_task_success(taskToken=late, output="{}")
        assert error.value.response["Error"]["Code"] == code
    stack.wait_for(lambda: steps.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")
    assert json.loads(steps.describe_execution(executionArn=arn)["output"]) == {"verdict": "approve"}


def test_a_token_s_failure_has_its_cause(stack: Stack) -> None:
    steps = stack.client("stepfunctions")
    arn = steps.start_execution(
        stateMachineArn=stack.resource("Flow"), name="held", input='{"kind": "hold", "text": ""}'
    )["executionArn"]
    token = stack.wait_for(lambda: _note(stack, "held"))["token"]["S"]
    steps.send_task_failure(taskToken=token, error="Rejected", cause="said no")
    stack.wait_for(lambda: steps.describe_execution(executionArn=arn)["status"] == "FAILED")
    ended = steps.describe_execution(executionArn=arn)
    assert (ended["error"], ended["cause"]) == ("Rejected", "said no")


def test_batches_with_partial_failures_and_dead_letters(stack: Stack) -> None:
    queue = stack.client("sqs")
    url, dead = stack.resource("WorkQueue"), stack.resource("WorkDeadLetters")
    stack.poller.set_enabled("work", False)
    for body in ("one", "two", "bad"):
        queue.send_message(QueueUrl=url, MessageBody=body)
    queue.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    stack.poller.set_enabled("work", True)
    note = stack.wait_for(lambda: _note(stack, "two") and _note(stack, "one"))
    assert (note["size"], note["receives"]) == ({"N": "3"}, {"N": "1"})
    assert (note["by"]["S"], note["only"]["S"]) == ("work", "-")

    def dead_letters() -> list[str]:
        messages = queue.receive_message(QueueUrl=dead, VisibilityTimeout=0).get("Messages", [])
        return [message["Body"] for message in messages]

    assert stack.wait_for(dead_letters, timeout_s=10) == ["bad"]


def test_a_message_is_picked_up_at_once(stack: Stack) -> None:
    stack.invoke("work", {"Records": []})
    stack.client("dynamodb")
    stack.client("sqs").send_message(QueueUrl=stack.resource("WorkQueue"), MessageBody="quick")
    # A queue that is looked at from time to time would be looked at every twenty seconds.
    assert stack.wait_for(lambda: _note(stack, "quick"), timeout_s=15)


def test_long_polling_ends_when_a_message_comes(stack: Stack) -> None:
    queue, url = stack.client("sqs"), stack.resource("WorkDeadLetters")
    timer = threading.Timer(0.2, lambda: queue.send_message(QueueUrl=url, MessageBody="x"))
    timer.start()
    started = time.monotonic()
    assert queue.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]["Body"] == "x"
    assert time.monotonic() - started < 5
    timer.join()


def test_a_stored_object_is_told_to_the_rule(stack: Stack) -> None:
    bucket = stack.resource("FilesBucket")
    stack.client("s3").put_object(Bucket=bucket, Key="a b.txt", Body=b"x")
    event = stack.wait_for(lambda: _events(stack))[0]
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert (event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]) == (bucket, "a b.txt")


def test_a_condition_lets_one_of_many_through(stack: Stack) -> None:
    table, client, bucket = (
        stack.resource("NotesTable"),
        stack.client("dynamodb"),
        stack.resource("FilesBucket"),
    )
    storage, won, lost = stack.client("s3"), [], []

    def claim(number: int) -> None:
        attempts = {
            "row": lambda: client.put_item(
                TableName=table, Item={"pk": {"S": "row"}}, ConditionExpression="attribute_not_exists(pk)"
            ),
            "object": lambda: storage.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*"),
        }
        for name, attempt in attempts.items():
            try:
                attempt()
                won.append(name)
            except ClientError as error:
                lost.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == ["object", "row"]
    assert sorted(lost) == ["ConditionalCheckFailedException"] * 7 + ["PreconditionFailed"] * 7


def test_a_cancelled_transaction_leaves_nothing(stack: Stack) -> None:
    table, client = stack.resource("NotesTable"), stack.client("dynamodb")
    client.put_item(TableName=table, Item={"pk": {"S": "a"}, "n": {"N": "1"}})
    put = {"Put": {"TableName": table, "Item": {"pk": {"S": "new"}}}}
    update = {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": "a"}},
            "UpdateExpression": "SET n = :two",
            "ExpressionAttributeValues": {":two": {"N": "2"}},
        }
    }
    check = {
        "ConditionCheck": {
            "TableName": table,
            "Key": {"pk": {"S": "missing"}},
            "ConditionExpression": "attribute_exists(pk)",
        }
    }
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[put, update, check])
    assert (_note(stack, "new"), _note(stack, "a")) == (None, {"pk": {"S": "a"}, "n": {"N": "1"}})
    client.transact_write_items(TransactItems=[put, update])
    assert (_note(stack, "new"), _note(stack, "a")["n"]) == ({"pk": {"S": "new"}}, {"N": "2"})


def test_faults_and_crashes_in_functions(stack: Stack) -> None:
    remove = stack.faults.add(
        lambda moment, *call: client_error("PutItem", "ThrottlingException") if moment == "before" else None
    )
    with pytest.raises(FunctionFailed) as failure:
        stack.invoke("step", {"do": "put", "pk": "never"})
    assert failure.value.error_type == "ClientError"
    remove()
    stack.faults.add(lambda moment, *call: Crash() if moment == "after" else None)
    with pytest.raises(FunctionFailed) as failure:
        stack.invoke("step", {"do": "put", "pk": "took-effect"})
    assert failure.value.error_type == "Runtime.ExitError"
    assert _note(stack, "never") is None
    assert _note(stack, "took-effect") is not None


def test_the_meter_tells_callers_apart(stack: Stack) -> None:
    stack.meter.reset()
    execution = _run(stack, "metered", "post")
    counts = stack.meter.snapshot()
    assert counts.calls["sqs", "SendMessage", "engine"] == 1
    assert counts.calls["sqs", "ReceiveMessage", "poller"] == 1
    assert counts.calls["stepfunctions", "SendTaskSuccess", "post"] == 1
    assert counts.function_calls() == 1
    assert counts.transitions == {execution["executionArn"]: 4}
    assert counts.invocations == {"post": 1}
    assert counts.cpu_s["post"] > 0
    assert set(counts.cold_start_s) == {"post"}


@pytest.mark.parametrize("begun", ["to wait", "just now"])
def test_no_thread_outlives_its_stack(begun: str) -> None:
    before = set(threading.enumerate())
    with Stack(TEMPLATE) as stack:
        steps = stack.client("stepfunctions")
        for kind in ("hold", "wait", "both", "flaky"):
            steps.start_execution(
                stateMachineArn=stack.resource("Flow"),
                name=kind,
                input=json.dumps({"kind": kind, "text": ""}),
            )
        if begun == "to wait":
            stack.wait_for(lambda: _note(stack, "hold") and _note(stack, "flaky"))
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
