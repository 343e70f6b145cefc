"""The ports of this deployment, made from its settings when they are first asked for, and kept warm."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from countersign.approvals import Arbiter
from countersign.case_file import CaseFiles
from countersign.claims import Claims
from countersign.ledger import Ledger
from countersign.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@lru_cache
def client(service: Any, *, retries: bool = True) -> Any:
    """A boto3 client. Retries are botocore's own but for Bedrock, where the state machine retries."""
    attempts = {"mode": "standard", "total_max_attempts": 4 if retries else 1}
    return boto3.client(service, config=Config(retries=attempts, connect_timeout=3, read_timeout=60))  # type: ignore[arg-type]


@lru_cache
def case_files() -> CaseFiles:
    return CaseFiles(client("s3"), settings().case_files_bucket)


@lru_cache
def ledger() -> Ledger:
    return Ledger(client("dynamodb"), settings().cases_table)


@lru_cache
def claims() -> Claims:
    return Claims(client("dynamodb"), settings().claims_table)


@lru_cache
def arbiter() -> Arbiter:
    return Arbiter(ledger(), case_files(), TaskTokens(client("stepfunctions")))


class TaskTokens:
    """Answers Step Functions' waiting tasks."""

    # A token of a task that has ended, timed out or never was: whoever waited has gone on.
    GONE = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})

    def __init__(self, client: "SFNClient") -> None:
        self._client = client

    def succeed(self, token: str, output: dict[str, Any]) -> bool:
        """False where nobody waits for this token any more."""

        try:
            self._client.send_task_success(taskToken=token, output=json.dumps(output))
        except ClientError as error:
            if error.response["Error"]["Code"] in self.GONE:
                return False
            raise
        return True
