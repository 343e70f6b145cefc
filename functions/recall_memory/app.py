"""Recall Memory: what this conversation has asked, and been answered, before."""

from contextlib import suppress
from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles
from countersign.errors import CaseFileMissing
from countersign.ledger import Ledger
from countersign.models import CaseFile, CaseRef, Recollection
from countersign.observability import LambdaContext, observed

RECALLED = 3
ANSWER_LENGTH = 2_000


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
    earlier = [c for c in ledger.thread(ref.tenant, event["thread"], RECALLED + 1) if c != ref.case_id]
    if not earlier:
        return {"recalled": 0}
    memory = list(read_memory(files, ref.tenant, earlier[:RECALLED]))
    files.update(ref, lambda file: None if file.memory else file.model_copy(update={"memory": memory}))
    return {"recalled": len(memory)}


def read_memory(files: CaseFiles, tenant: str, case_ids: list[str]) -> list[Recollection]:
    """The last answer of each case; one whose text was erased is passed over."""
    memory = []
    for case_id in case_ids:
        with suppress(CaseFileMissing):
            memory.append(recollect(files.read(CaseRef(tenant=tenant, case_id=case_id))))
    return memory


def recollect(file: CaseFile) -> Recollection:
    draft = next((r.draft for r in reversed(file.rounds) if r.draft), None)
    return Recollection(
        case_id=file.case_id,
        at=file.request.received_at,
        subject=file.request.subject,
        answer=draft.text[:ANSWER_LENGTH] if draft else "",
    )
