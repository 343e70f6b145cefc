"""The ports of this deployment, made from its settings when they are first asked for, and kept warm.

What a port is made of is imported with it: no function needs all of them, and the webhook's must start fast.
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countersign.case_file import CaseFiles
from countersign.errors import EngineUnavailable
from countersign.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from countersign.approvals import Arbiter
    from countersign.budgets import Holds, Reserve
    from countersign.claims import Claims
    from countersign.dead_letters import Reasons
    from countersign.delivery import Courier
    from countersign.intake import IntakeDesk
    from countersign.ledger import Ledger
    from countersign.models import Intake
    from countersign.opening import Opener
    from countersign.reconciling import Reconciler
    from countersign.redriving import Redriver
    from countersign.secrets import SourceSecrets
    from countersign.spending import Limits
    from countersign.switches import Switches


@lru_cache
def client(service: Any, *, retries: bool = True, quick: bool = False) -> Any:
    """A boto3 client. Retries are botocore's own but for Bedrock, where the state machine retries.

    A `quick` one gives up after some six seconds, while whoever called still waits for an answer: three short
    attempts, because a table that is throttled answers at once and mostly takes the third.
    """
    attempts = {"mode": "standard", "total_max_attempts": (3 if quick else 4) if retries else 1}
    times = {"connect_timeout": 2, "read_timeout": 2} if quick else {"connect_timeout": 3, "read_timeout": 60}
    return boto3.client(service, config=Config(retries=attempts, **times))  # type: ignore[arg-type]


@lru_cache
def case_files() -> CaseFiles:
    return CaseFiles(client("s3"), settings().case_files_bucket)


@lru_cache
def ledger() -> "Ledger":
    from countersign.ledger import Ledger

    return Ledger(client("dynamodb"), settings().cases_table)


@lru_cache
def claims() -> "Claims":
    from countersign.claims import Claims

    return Claims(client("dynamodb"), settings().claims_table)


@lru_cache
def holds() -> "Holds":
    from countersign.budgets import Holds

    return Holds(claims(), case_files())


@lru_cache
def reserve() -> "Reserve":
    from countersign.budgets import Reserve

    return Reserve(holds(), ledger(), limits())


def limits() -> "Limits":
    from countersign.spending import Limits

    here = settings()
    return Limits(here.daily_budget_usd, here.case_reserve_usd, here.max_cases_at_once)


@lru_cache
def arbiter() -> "Arbiter":
    from countersign.approvals import Arbiter

    return Arbiter(ledger(), case_files(), TaskTokens(client("stepfunctions")))


@lru_cache
def source_secrets() -> "SourceSecrets":
    from aws_lambda_powertools.utilities.parameters.secrets import SecretsProvider

    from countersign.secrets import SourceSecrets

    provider = SecretsProvider(boto3_client=client("secretsmanager", quick=True))
    return SourceSecrets(provider, settings().secrets_prefix)


@lru_cache
def intake_desk() -> "IntakeDesk":
    from countersign.event_claims import EventClaims
    from countersign.intake import IntakeDesk, IntakeQueue

    here = settings()
    return IntakeDesk(
        here.sources_dir,
        source_secrets(),
        EventClaims(client("dynamodb", quick=True), here.claims_table),
        CaseFiles(client("s3", quick=True), here.case_files_bucket),
        IntakeQueue(client("sqs", quick=True), here.intake_queue_url),
        github_api_url=here.github_api_url,
        allow_loopback=here.allow_loopback_callbacks,
    )


@lru_cache
def opener() -> "Opener":
    from countersign.opening import Opener

    here = settings()
    return Opener(
        case_files(),
        ledger(),
        sources=here.sources_dir,
        policies=here.policies_dir,
        github_api_url=here.github_api_url,
        allow_loopback=here.allow_loopback_callbacks,
    )


@lru_cache
def switches() -> "Switches":
    from countersign.switches import Switches

    return Switches(ledger())


@lru_cache
def courier() -> "Courier":
    from countersign import outbound
    from countersign.delivery import Courier

    here = settings()
    return Courier(
        ledger(),
        case_files(),
        source_secrets(),
        TaskTokens(client("stepfunctions")),
        outbound,
        switches(),
        github_api_url=here.github_api_url,
        slack_api_url=here.slack_api_url,
        allow_loopback=here.allow_loopback_callbacks,
    )


@lru_cache
def reconciler() -> "Reconciler":
    from countersign.intake import IntakeQueue
    from countersign.reconciling import Reconciler

    queue = IntakeQueue(client("sqs"), settings().intake_queue_url)
    return Reconciler(case_files(), ledger(), holds(), executions(), redriver(), queue)


@lru_cache
def executions() -> "Executions":
    return Executions(client("stepfunctions"), settings().handle_case_arn)


@lru_cache
def reasons() -> "Reasons":
    from countersign.dead_letters import Reasons

    return Reasons(client("dynamodb"), settings().claims_table)


@lru_cache
def redriver() -> "Redriver":
    from countersign.dead_letters import DeadLetters
    from countersign.redriving import Redriver

    here, sqs = settings(), client("sqs")
    queues = (
        DeadLetters(sqs, "intake", here.intake_dead_letters_url, here.intake_queue_url),
        DeadLetters(sqs, "delivery", here.delivery_dead_letters_url, here.delivery_queue_url),
    )
    tasks = TaskTokens(client("stepfunctions"))
    return Redriver(ledger(), executions(), tasks, queues, reasons())


class Executions:
    """Starts executions of a state machine, and looks them up by their names."""

    def __init__(self, client: "SFNClient", machine_arn: str) -> None:
        self._client = client
        self._machine_arn = machine_arn
        self._prefix = machine_arn.replace(":stateMachine:", ":execution:")

    def status(self, name: str) -> str | None:
        """As Step Functions has it; None where there is no such execution."""
        try:
            return self._client.describe_execution(executionArn=f"{self._prefix}:{name}")["status"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return None
            raise

    def start(self, intake: "Intake") -> bool:
        """Starts a run of a case under its own name; False where that was started before.

        Raises EngineUnavailable.
        """
        try:
            self._client.start_execution(
                stateMachineArn=self._machine_arn,
                name=intake.ref.execution_name(intake.run),
                input=intake.model_dump_json(),
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ExecutionAlreadyExists":
                return False
            raise EngineUnavailable(f"StartExecution answered {code}") from error
        except BotoCoreError as error:
            raise EngineUnavailable(f"StartExecution failed: {type(error).__name__}") from error
        return True


class TaskTokens:
    """Answers Step Functions' waiting tasks."""

    # A token of a task that has ended, timed out or never was: whoever waited has gone on.
    GONE = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})

    def __init__(self, client: "SFNClient") -> None:
        self._client = client

    def succeed(self, token: str, output: dict[str, Any]) -> bool:
        """False where nobody waits for this token any more. Raises EngineUnavailable."""
        try:
            self._client.send_task_success(taskToken=token, output=json.dumps(output))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in self.GONE:
                return False
            raise EngineUnavailable(f"SendTaskSuccess answered {code}") from error
        except BotoCoreError as error:
            raise EngineUnavailable(f"SendTaskSuccess failed: {type(error).__name__}") from error
        return True

    def waits(self, token: str) -> bool:
        """Whether a task still waits for this token's answer. Raises EngineUnavailable.

        A heartbeat decides nothing, and is refused where nobody waits.
        """
        try:
            self._client.send_task_heartbeat(taskToken=token)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in self.GONE:
                return False
            raise EngineUnavailable(f"SendTaskHeartbeat answered {code}") from error
        except BotoCoreError as error:
            raise EngineUnavailable(f"SendTaskHeartbeat failed: {type(error).__name__}") from error
        return True
