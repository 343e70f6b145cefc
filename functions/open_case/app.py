"""Open Case: reads the raw event into the case file and opens the ledger; a redriven case finds both."""

from typing import Any

from countersign import clock, deployment
from countersign.case_file import CaseFiles
from countersign.ledger import Ledger
from countersign.models import CaseRef, Risk
from countersign.observability import LambdaContext, observed
from countersign.opening import open_case
from countersign.policies import load_policy
from countersign.settings import settings
from countersign.sources import load_source

# What a case counts as until the planner has said how risky it is.
RISK: Risk = "medium"


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    ledger: Ledger | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, source, run, execution; returns the policy's terms and the hashed thread."""
    here = settings()
    file = open_case(
        CaseRef(tenant=event["tenant"], case_id=event["case_id"]),
        load_source(event["source"], here.sources_dir),
        event["run"],
        event["execution"],
        clock.now_text(),
        files or deployment.case_files(),
        ledger or deployment.ledger(),
        github_api_url=here.github_api_url,
        allow_loopback=here.allow_loopback_callbacks,
    )
    terms = load_policy(here.policies_dir).terms(file.request.source, RISK)
    return {"terms": terms.model_dump(mode="json"), "thread": file.request.thread_key}
