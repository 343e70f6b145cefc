"""Starts the machine of each case on the intake queue, under a name that makes it start once."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.exceptions import ClientError

from countersign import deployment
from countersign.batches import each_message
from countersign.models import Intake
from countersign.observability import LambdaContext, log_outcome, observed
from countersign.settings import settings


@observed
def handler(event: dict[str, Any], context: LambdaContext, engine: Any = None) -> dict[str, Any]:
    """Returns the ids of the messages that have to come again; the others are done."""
    engine = engine or deployment.client("stepfunctions")
    return each_message(event, context, lambda record: start(engine, record))


def start(engine: Any, record: SQSRecord) -> None:
    """Starts one case. That it has been started before is success."""
    intake = Intake.model_validate_json(record.body)
    outcome = "started"
    try:
        engine.start_execution(
            stateMachineArn=settings().handle_case_arn,
            name=intake.ref.execution_name(intake.run),
            input=intake.model_dump_json(),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        outcome = "known"
    log_outcome("Case", outcome, tenant=intake.tenant, case_id=intake.case_id, run=intake.run)
