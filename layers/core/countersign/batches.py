"""Batches of a queue, message by message: one that fails comes again alone, and the others are done."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from countersign.observability import LambdaContext, log_failure


def each_message(
    event: dict[str, Any],
    context: LambdaContext,
    handle: Callable[[SQSRecord], object],
    note: Callable[[str, Exception], object],
) -> dict[str, Any]:
    """Lambda's partial batch response: the ids of the messages for which `handle` raised, each logged.

    `note` is given the body of each of them and its error: who looks at the dead letters asks for the reason.
    """
    if not event["Records"]:
        return {"batchItemFailures": []}  # which Powertools takes for no batch at all

    def handle_one(record: SQSRecord) -> None:
        try:
            handle(record)
        except Exception as error:
            log_failure(error, message_id=record.message_id)
            note(record.body, error)
            raise

    return dict(
        process_partial_response(
            event=event,
            record_handler=handle_one,
            processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
            context=context,  # type: ignore[arg-type]
        )
    )
