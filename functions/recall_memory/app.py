"""Recall Memory: what this conversation has asked before, and the answer that somebody signed.

A draft that nobody signed, or that a person changed, is no memory: only what was sent is.
"""

from typing import Any

from countersign import clock, deployment
from countersign.case_file import CaseFiles
from countersign.ledger import Ledger
from countersign.memory import recall
from countersign.models import CaseRef
from countersign.observability import LambdaContext, observed


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    ledger: Ledger | None = None,
    files: CaseFiles | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, thread (its hash is the key); returns how many cases were recalled."""
    ledger, files = ledger or deployment.ledger(), files or deployment.case_files()
    ref = CaseRef(tenant=event["tenant"], case_id=event["case_id"])
    return {"recalled": recall(ledger, files, ref, event["thread"], clock.now())}
