"""Gather Evidence: the researcher looks up one step of the plan in the tenant's knowledge."""

from collections.abc import Callable
from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles, evidence_key
from countersign.errors import CaseFileMissing
from countersign.models import CaseRef, Found, Passage, canonical_json
from countersign.observability import LambdaContext, observed
from countersign_knowledge import deployed

type Retriever = Callable[[str, str], list[Passage]]


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    retriever: Retriever | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, index (of the plan's step, from 0); returns how much was found, and how good."""
    files, retriever = files or deployment.case_files(), retriever or deployed.search
    ref, index = CaseRef(tenant=event["tenant"], case_id=event["case_id"]), int(event["index"])
    file, key = files.read(ref), evidence_key(ref, index)
    if file.plan is None:
        raise CaseFileMissing(f"case {ref.case_id} has no plan to gather evidence for")
    # A draft has been written from what was found: a redriven case looks nothing up twice.
    known = bool(file.passages) and files.has(key)
    if not known:
        query = file.plan.steps[index].query
        found = Found(query=query, passages=retriever(query, ref.tenant))
        # Where an earlier run of this step was cut off after it had stored, what it found stands.
        known = not files.put_once(key, canonical_json(found))
    if known:
        found = files.get_model(key, Found)
    scores = [passage.score for passage in found.passages]
    return {"found": len(scores), "best_score": max(scores, default=0.0)}
