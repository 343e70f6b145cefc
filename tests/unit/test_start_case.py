"""Start Case: one execution for a case, whatever comes twice; a bad message comes back alone."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.dead_letters import UNANSWERED, Reasons
from countersign.deployment import Executions
from functions.start_case.app import handler
from tests.unit.stores import CASE, ENVIRONMENT, Context, Stores

EVENTS = Path(__file__).parents[2] / "events/start_case"
OTHER = "c-45c48cce2e2d7fbdea1afc51c7c6ad26"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


class Nobody:
    """Reasons that nobody keeps."""

    def note(self, body: str, error: Exception, now: datetime) -> None:
        assert body


class Engine:
    """Step Functions that starts an execution of a name once, or answers everything with an error."""

    def __init__(self, error: str | None = None) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self._error = error

    def start_execution(self, **given: Any) -> None:
        assert given["stateMachineArn"] == ENVIRONMENT["HANDLE_CASE_ARN"]
        error = self._error or ("ExecutionAlreadyExists" if given["name"] in self.started else None)
        if error:
            raise ClientError({"Error": {"Code": error, "Message": ""}}, "StartExecution")
        self.started[given["name"]] = json.loads(given["input"])


def failures(name: str, engine: Engine, reasons: Any = None) -> list[str]:
    executions: Any = Executions(engine, ENVIRONMENT["HANDLE_CASE_ARN"])  # type: ignore[arg-type]
    answer = handler(event(name), Context(), executions, reasons or Nobody())
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


@pytest.mark.usefixtures("deployed")
class TestStartCase:
    def test_an_event_starts_its_case_under_its_own_name(self) -> None:
        engine = Engine()
        assert failures("one_case", engine) == []
        assert engine.started == {CASE: json.loads(event("one_case")["Records"][0]["body"])}

    def test_what_was_started_before_is_done(self) -> None:
        engine = Engine()
        for _ in range(2):
            assert failures("one_case", engine) == []
        assert list(engine.started) == [CASE]

    def test_an_empty_batch_is_done(self) -> None:
        executions: Any = Executions(Engine(), ENVIRONMENT["HANDLE_CASE_ARN"])  # type: ignore[arg-type]
        reasons: Any = Nobody()
        assert handler({"Records": []}, Context(), executions, reasons) == {"batchItemFailures": []}

    def test_a_redrive_is_an_execution_of_its_own(self) -> None:
        engine = Engine()
        failures("one_case", engine)
        assert failures("redrive", engine) == []
        assert list(engine.started) == [CASE, f"{CASE}-r2"]
        assert engine.started[f"{CASE}-r2"]["run"] == 2

    def test_a_stray_message_comes_back_alone(self) -> None:
        engine, name = Engine(), "two_cases_and_a_stray"
        assert failures(name, engine) == [event(name)["Records"][1]["messageId"]]
        assert list(engine.started) == [CASE, OTHER]

    def test_a_busy_engine_is_asked_again_later(self) -> None:
        name = "two_cases_and_a_stray"
        assert len(failures(name, Engine("ThrottlingException"))) == 3

    def test_why_a_message_failed_is_kept_for_whoever_finds_it_dead(self, stores: Stores) -> None:
        reasons, name = Reasons(stores.db, "claims"), "two_cases_and_a_stray"
        bodies = [record["body"] for record in event(name)["Records"]]
        failures(name, Engine(), reasons)
        assert [reasons.of(body) for body in bodies] == [UNANSWERED, "ValidationError", UNANSWERED]
        failures(name, Engine("ThrottlingException"), reasons)
        assert reasons.of(bodies[0]) == "EngineUnavailable"
        kept = stores.db.scan(TableName="claims")["Items"]
        assert {frozenset(item) for item in kept} == {frozenset({"id", "error", "at", "expiration"})}
        assert CASE not in str(kept)
