"""What nobody who is on call may read: customers' words, secrets, signatures and tokens stay out of logs,
execution histories and queues, whether things go well or badly.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.faults import Crash
from local.gateway import Response
from tests.workflow.conftest import Desk

# One word for each place where something of a customer's, a person's or a receiver's comes in.
PLANTED = {
    "subject": "QUAGGASUBJECT",
    "text": "QUAGGATEXT",
    "author": "QUAGGAAUTHOR",
    "id": "QUAGGAID",
    "edit": "QUAGGAEDIT",
    "reason": "QUAGGAREASON",
    "receiver": "QUAGGARECEIVER",
    "fault": "QUAGGAFAULT",
    "path": "QUAGGAPATH",
}
ASKED = f"How often is delivery of a signed reply tried? {PLANTED['text']}"
STEPS = (
    "open_case",
    "screen_input",
    "reserve_budget",
    "plan_work",
    "gather_evidence",
    "write_draft",
    "review_draft",
    "request_approval",
    "deliver_reply",
)


def send(desk: Desk) -> str:
    return desk.send(
        ASKED,
        subject=PLANTED["subject"],
        id=PLANTED["id"],
        author=f"{PLANTED['author']}@example.com",
        callback_url=f"{desk.listener.url}/{PLANTED['path']}",
    )


def outside(desk: Desk) -> Iterator[tuple[str, str]]:
    """(where, what can be read there) of everything but the stores of cases."""
    for line in desk.stack.logs:
        assert isinstance(line.line, dict), (
            f"{line.function} printed a line that is no JSON object: {line.line}"
        )
        yield f"log of {line.function}", json.dumps(line.line)
    steps, sqs = desk.stack.client("stepfunctions"), desk.stack.client("sqs")
    machine = desk.stack.resource("HandleCase")
    for execution in steps.list_executions(stateMachineArn=machine, maxResults=1000)["executions"]:
        history = steps.get_execution_history(executionArn=execution["executionArn"])["events"]
        yield "history", json.dumps(history, default=str)
    for queue in ("IntakeDeadLetters", "DeliveryDeadLetters", "IntakeQueue", "DeliveryQueue"):
        url = desk.stack.resource(queue)
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        yield queue, json.dumps(messages.get("Messages", []), default=str)


def assert_silent(desk: Desk) -> None:
    secrets = {
        "the source's secret": desk.app.secret("webhook"),
        "the person's token": desk.token,
        "a signature": "v1,",
    }
    found = [
        (where, name)
        for where, text in outside(desk)
        for name, word in {**PLANTED, **secrets}.items()
        if word in text
    ]
    assert found == []


def test_when_all_goes_well(desk: Desk) -> None:
    case_id = send(desk)
    desk.waiting(case_id)
    desk.decide(case_id, "respond", reason=f"Shorter, please. {PLANTED['reason']}")
    desk.until(lambda: desk.case(case_id)["approval_id"].endswith("-a2"))
    desk.waiting(case_id)
    desk.decide(case_id, "edit", text=f"Ten times [1]. {PLANTED['edit']}")
    desk.until_status(case_id, "delivered")
    assert PLANTED["edit"] in desk.listener.received[0].json()["data"]["text"]
    assert_silent(desk)


@pytest.mark.parametrize("step", STEPS)
def test_when_a_step_fails_with_words_of_the_case(desk: Desk, step: str) -> None:
    """A library's error may quote what it choked on."""

    def fault(moment: str, function: str, *_: Any) -> BaseException | None:
        return ValueError(f"can't read {PLANTED['fault']} {PLANTED['text']}") if function == step else None

    remove = desk.stack.faults.add(fault)
    case_id = send(desk)
    if step == "deliver_reply":
        desk.waiting(case_id)
        desk.decide(case_id, "approve")
        desk.until(lambda: desk.dead_letters("DeliveryDeadLetters"), days=1)
    else:
        ended = ("SUCCEEDED", "FAILED")
        desk.until(lambda: desk.execution(case_id)["status"] in ended or step == "request_approval", days=1)
    remove()
    assert any(line.line.get("error") == "ValueError" for line in desk.stack.logs if line.function == step)
    assert_silent(desk)


def test_when_a_receiver_answers_with_words_of_its_own(desk: Desk) -> None:
    case_id = send(desk)
    desk.waiting(case_id)
    desk.listener.answers += [(500, {"x-note": PLANTED["receiver"], "retry-after": PLANTED["receiver"]})]
    desk.decide(case_id, "approve")
    desk.until_status(case_id, "delivered", days=1)
    assert_silent(desk)


def test_when_what_comes_in_is_refused(desk: Desk) -> None:
    def post(path: str, body: bytes, **headers: str) -> Response:
        return desk.stack.request(
            "POST", path, headers={"content-type": "application/json", **headers}, body=body
        )

    body = json.dumps({"type": PLANTED["text"], "data": {"text": PLANTED["text"]}}).encode()
    signed = {"webhook-id": PLANTED["id"], "webhook-timestamp": "1", "webhook-signature": "v1,QUAGGA"}
    assert post("/webhooks/webhook", body, **signed).status == 401
    assert post(f"/webhooks/{PLANTED['path']}", body).status == 404
    assert post("/approvals/x/decision", body, authorization=f"Bearer {desk.token}").status == 422
    refused = desk.post(
        {"id": PLANTED["id"], "subject": PLANTED["subject"], "text": 7, "author": PLANTED["author"]}
    )
    assert refused.status == 422
    assert_silent(desk)


def test_when_a_function_crashes(desk: Desk) -> None:
    struck: list[str] = []

    def fault(moment: str, function: str, *_: Any) -> BaseException | None:
        if function == "write_draft" and moment == "after" and not struck:
            struck.append(function)
            return Crash()
        return None

    desk.stack.faults.add(fault)
    case_id = send(desk)
    desk.waiting(case_id)
    assert struck == ["write_draft"]
    assert_silent(desk)
