"""Recall Memory: what this conversation has asked before, and the answer that somebody signed.

A draft that nobody signed, or that a person changed, is no memory: only what was sent is.
"""

from contextlib import suppress
from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles
from countersign.errors import CaseFileMissing, SignedBytesChanged
from countersign.ledger import Ledger
from countersign.models import CaseRef, Recollection
from countersign.observability import LambdaContext, observed
from countersign.proposals import read_signed

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
    memory = []
    for case_id in earlier[:RECALLED]:
        # A case whose text was erased is passed over, and so is one whose text was tampered with.
        with suppress(CaseFileMissing, SignedBytesChanged):
            memory += recollect(ledger, files, CaseRef(tenant=ref.tenant, case_id=case_id))
    files.update(ref, lambda file: None if file.memory else file.model_copy(update={"memory": memory}))
    return {"recalled": len(memory)}


def recollect(ledger: Ledger, files: CaseFiles, ref: CaseRef) -> list[Recollection]:
    """The answer of a case in the words that were signed; empty where none was."""
    _, _, approvals = ledger.history(ref)
    signed = next((a for a in reversed(approvals) if a.signed_key and a.signed_sha256), None)
    if signed is None:
        return []
    request = files.read(ref).request
    text = read_signed(files, str(signed.signed_key), str(signed.signed_sha256)).text
    return [
        Recollection(
            case_id=ref.case_id, at=request.received_at, subject=request.subject, answer=text[:ANSWER_LENGTH]
        )
    ]
