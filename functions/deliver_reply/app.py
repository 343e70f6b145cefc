"""Deliver Reply: makes one attempt to send what was signed and answers the task that waits for it."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from countersign import clock, deployment
from countersign.batches import each_message
from countersign.dead_letters import Reasons
from countersign.delivery import ATTEMPT_S, Courier
from countersign.models import Delivery
from countersign.observability import LambdaContext, log_outcome, observed

# Of a call's time, what the stores and the task's answer need when the sending is over.
STORES_S = 15


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    courier: Courier | None = None,
    reasons: Reasons | None = None,
) -> dict[str, Any]:
    """Takes messages of the delivery queue; returns the ids of those that have to come again."""
    courier, reasons = courier or deployment.courier(), reasons or deployment.reasons()

    def deliver(record: SQSRecord) -> None:
        left_s = context.get_remaining_time_in_millis() / 1000 - STORES_S
        attempt(courier, record, min(ATTEMPT_S, left_s))

    return each_message(event, context, deliver, lambda body, error: reasons.note(body, error, clock.now()))


def attempt(courier: Courier, record: SQSRecord, seconds: float) -> None:
    """Raises what the stores and Step Functions raise: then the message comes again."""
    delivery = Delivery.model_validate_json(record.body)
    repeated = int(record.attributes.approximate_receive_count or 1) > 1
    outcome = courier.deliver(delivery, clock.now(), repeated=repeated, seconds=seconds)
    ids = delivery.model_dump(include={"tenant", "case_id", "approval_id", "attempt"})
    log_outcome("Delivery", outcome.outcome, **ids, status=outcome.status, reason=outcome.reason)
