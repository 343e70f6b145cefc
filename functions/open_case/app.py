"""Open Case: reads the raw event into the case file and opens the ledger; a redriven case finds both."""

from typing import Any

from countersign import clock, deployment
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed
from countersign.opening import Opener


@observed
def handler(event: dict[str, Any], context: LambdaContext, opener: Opener | None = None) -> dict[str, Any]:
    """Takes tenant, case_id, source, run, execution; returns the policy's terms and the hashed thread."""
    file, terms = (opener or deployment.opener()).open(
        CaseRef(tenant=event["tenant"], case_id=event["case_id"]),
        event["source"],
        event["run"],
        event["execution"],
        clock.now_text(),
    )
    return {"terms": terms.model_dump(mode="json"), "thread": file.request.thread_key}
