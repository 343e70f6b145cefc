"""A case's way, out of Step Functions' history."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from local.cli.demo_view import state_line
from local.cli.progress import Visit, visits

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
STATES = ("Open Case", "Gather Evidence", "Draft Good Enough?", "Fail Case")


def entered(second: float, kind: str, name: str) -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    return {"type": f"{kind}StateEntered", "timestamp": at, "stateEnteredEventDetails": {"name": name}}


def exited(second: float, kind: str, name: str) -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    return {"type": f"{kind}StateExited", "timestamp": at, "stateExitedEventDetails": {"name": name}}


def succeeded(payload: Any) -> dict[str, Any]:
    output = json.dumps({"ExecutedVersion": "1", "Payload": payload, "StatusCode": 200})
    return {"type": "TaskSucceeded", "timestamp": START, "taskSucceededEventDetails": {"output": output}}


def failed(error: str) -> dict[str, Any]:
    return {"type": "TaskFailed", "timestamp": START, "taskFailedEventDetails": {"error": error}}


def test_a_task_is_a_visit_with_its_result() -> None:
    history = [
        {"type": "ExecutionStarted", "timestamp": START},
        entered(1, "Task", "Open Case"),
        succeeded({"case_id": "c-1", "steps": 2}),
        exited(1.5, "Task", "Open Case"),
        entered(1.5, "Choice", "Draft Good Enough?"),
    ]
    task, choice = visits(history, STATES)
    assert (task.state, task.seconds, task.result) == ("Open Case", 0.5, {"case_id": "c-1", "steps": 2})
    assert (task.is_task, choice.is_task, choice.seconds) == (True, False, None)
    assert state_line(task, "c-1").plain == "  ✓ Open Case             0.50 s   steps 2"
    assert state_line(choice, "c-1").plain == "  · Draft Good Enough?"


def test_states_inside_a_map_are_its_items() -> None:
    history = [
        entered(0, "Map", "Gather Evidence"),
        entered(0, "Task", "Gather Evidence Step"),
        entered(0, "Task", "Gather Evidence Step"),
        succeeded({"found": 5}),
        exited(1, "Task", "Gather Evidence Step"),
        exited(2, "Map", "Gather Evidence"),
    ]
    (visit,) = visits(history, STATES)
    assert (visit.times, visit.seconds, visit.result) == (2, 2.0, {})
    assert state_line(visit, "c-1").plain.startswith("  ✓ Gather Evidence ×2    2.00 s")


def test_a_retry_and_the_error_that_leads_out() -> None:
    history = [
        entered(0, "Task", "Open Case"),
        failed("StoreConflict"),
        failed("CaseFileMissing"),
        entered(3, "Task", "Fail Case"),
    ]
    first, _ = visits(history, STATES)
    assert first.seconds == 3.0
    assert state_line(first, "c-1").plain.endswith("StoreConflict, tried again · CaseFileMissing")


def test_an_error_before_success_was_tried_again() -> None:
    visit = Visit("Open Case", "Task", START, START, errors=["StoreConflict"], succeeded=True)
    assert state_line(visit, "c-1").plain.endswith("StoreConflict, tried again")


def test_a_payload_that_is_no_object_says_nothing() -> None:
    history = [entered(0, "Task", "Open Case"), succeeded([1]), exited(1, "Task", "Open Case")]
    assert visits(history, STATES)[0].result == {}
