"""Starts the machine of each case on the intake queue, under a name that makes it start once."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from countersign import clock, deployment
from countersign.batches import each_message
from countersign.dead_letters import Reasons
from countersign.deployment import Executions
from countersign.models import Intake
from countersign.observability import LambdaContext, log_outcome, observed


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    executions: Executions | None = None,
    reasons: Reasons | None = None,
) -> dict[str, Any]:
    """Returns the ids of the messages that have to come again; the others are done."""
    executions, reasons = executions or deployment.executions(), reasons or deployment.reasons()
    return each_message(
        event,
        context,
        lambda record: start(executions, record),
        lambda body, error: reasons.note(body, error, clock.now()),
    )


def start(executions: Executions, record: SQSRecord) -> None:
    """Starts one case. That it has been started before is success."""
    intake = Intake.model_validate_json(record.body)
    outcome = "started" if executions.start(intake) else "known"
    log_outcome("Case", outcome, tenant=intake.tenant, case_id=intake.case_id, run=intake.run)
