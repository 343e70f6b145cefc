"""Starts the machine of each case on the intake queue, under a name that makes it start once."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.exceptions import ClientError

from countersign import deployment
from countersign.models import Intake
from countersign.observability import LambdaContext, observed
from countersign.settings import settings


@observed
def handler(event: dict[str, Any], context: LambdaContext, engine: Any = None) -> dict[str, Any]:
    """Returns the ids of the messages that have to come again; the others are done."""
    engine = engine or deployment.client("stepfunctions")
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return dict(
        process_partial_response(
            event=event,
            record_handler=lambda record: start(engine, record),
            processor=processor,
            context=context,  # type: ignore[arg-type]
        )
    )


def start(engine: Any, record: SQSRecord) -> None:
    """Starts one case. That it has been started before is success."""
    intake = Intake.model_validate_json(record.body)
    name = intake.case_id if intake.run == 1 else f"{intake.case_id}-r{intake.run}"
    try:
        engine.start_execution(
            stateMachineArn=settings().handle_case_arn, name=name, input=intake.model_dump_json()
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
