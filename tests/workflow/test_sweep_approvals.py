"""The sweep on the running stack: a decision whose function died is carried out all the same."""

from typing import Any

from local.clock import VirtualClock
from local.faults import Crash
from tests.workflow.conftest import Desk

ASKED = "How often is delivery of a signed reply tried, and within how many hours?"


def later(desk: Desk) -> None:
    assert isinstance(desk.stack.clock, VirtualClock)
    desk.stack.clock.advance(360)


def sweep(desk: Desk) -> dict[str, int]:
    swept: dict[str, int] = desk.stack.invoke("sweep_approvals", {"detail-type": "Scheduled Event"})
    return swept


def test_a_decision_whose_function_died_before_it_told_anybody(desk: Desk) -> None:
    def die(moment: str, function: str, service: str, operation: str, params: Any) -> Crash | None:
        tells = function == "serve_api" and operation == "SendTaskSuccess"
        return Crash() if tells and moment == "before" else None

    case_id = desk.send(ASKED)
    desk.waiting(case_id)
    desk.stack.faults.add(die)
    assert desk.decide(case_id, "approve").status == 500
    assert desk.status(case_id) == "delivering"
    assert sweep(desk)["told"] == 0, "too early: the function might still be at it"
    later(desk)
    assert sweep(desk)["told"] == 1
    desk.until_status(case_id, "delivered")
    assert len(desk.listener.received) == 1


def test_a_case_that_waits_is_left_alone(desk: Desk) -> None:
    case_id = desk.send(ASKED)
    desk.waiting(case_id)
    later(desk)
    swept = sweep(desk)
    assert (swept["looked_at"], swept["failed"], swept["put_off"]) == (1, 0, 0)
    assert desk.status(case_id) == "awaiting_approval"
