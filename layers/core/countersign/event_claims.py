"""Who is taking in an event, and who has: one claim for each event, kept by Powertools' idempotency.

A claim that is held answers "in progress", never "duplicate": what has not been made durable is not
acknowledged. It is let go where the work fails, and by itself once the function that held it must have ended.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.idempotency import idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.dynamodb import DynamoDBPersistenceLayer

from countersign.errors import EventInProgress, IntakeUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_S = 14 * 86_400
"""Seconds that an event is remembered: longer than any sender tries."""


class EventClaims:
    """The claims table's idempotency records. Give it a boto3 DynamoDB client and the table's name.

    A record holds a hash of the key and what `once` was given to remember: ids and hashes, no text.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._records = DynamoDBPersistenceLayer(
            table_name=table, key_attr="id", expiry_attr="expiration", boto3_client=client
        )

    def once(
        self, key: str, work: Callable[[], dict[str, str]], remaining_ms: Callable[[], int]
    ) -> tuple[dict[str, str], bool]:
        """What `work` returned, and whether that was now; an earlier run's answer where the key is known.

        `remaining_ms` says for how many milliseconds this process can go on. Raises EventInProgress where
        another run holds the key, IntakeUnavailable where the table does not answer, and what `work` raises.
        """
        ran = False

        def run(**_: Any) -> dict[str, str]:
            nonlocal ran
            ran = True
            return work()

        config = IdempotencyConfig(
            event_key_jmespath="key",
            raise_on_no_idempotency_key=True,
            expires_after_seconds=KEPT_S,
            hash_function="sha256",
            lambda_context=SimpleNamespace(get_remaining_time_in_millis=remaining_ms),  # type: ignore[arg-type]
        )
        claimed: Any = idempotent_function(
            run,
            data_keyword_argument="event",
            persistence_store=self._records,
            config=config,
            key_prefix="event",
        )
        try:
            remembered: dict[str, str] = claimed(event={"key": key})
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError):
            raise EventInProgress("this event is being taken in right now; try again") from None
        except IdempotencyPersistenceLayerError as error:
            raise IntakeUnavailable("the claims table does not answer") from error
        return remembered, ran
