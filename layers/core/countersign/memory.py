"""What a conversation remembers: the answers of its earlier cases, as somebody signed them.

A case that recalls another leaves a note at it, before it reads a word: so whoever forgets that one finds
every file its answer went into.

    {tenant}#recalled#{case_id of the one recalled}    {case_id of the one that recalls}, and when
"""

from contextlib import suppress
from datetime import datetime

from countersign.case_file import CaseFiles, agent_traces_prefix, file_key
from countersign.clock import instant
from countersign.errors import CaseFileMissing, SignedBytesChanged
from countersign.ledger import Ledger
from countersign.models import CaseFile, CaseRef, Recollection
from countersign.proposals import read_signed

RECALLED = 3
"""Earlier cases that one recalls at most."""
ANSWER_LENGTH = 2_000
"""Characters of an answer."""


def recall(ledger: Ledger, files: CaseFiles, ref: CaseRef, thread: str, now: datetime) -> int:
    """Writes what the conversation has asked and been answered into a case's file; returns how many cases.

    `thread` is `Request.thread_key`. Raises CaseFileMissing for the case itself, StoreConflict.
    """
    earlier = [c for c in ledger.thread(ref.tenant, thread, RECALLED + 1) if c != ref.case_id][:RECALLED]
    if not earlier:
        return 0
    at = instant(now)
    ledger.commit([ledger.put_row(_notes_pk(ref.tenant, c), ref.case_id, {"at": at}) for c in earlier])
    memory = []
    for case_id in earlier:
        # A case whose text was erased is passed over, and so is one whose text was tampered with.
        with suppress(CaseFileMissing, SignedBytesChanged):
            memory += _recollect(ledger, files, CaseRef(tenant=ref.tenant, case_id=case_id))
    files.update(ref, lambda file: None if file.memory else file.model_copy(update={"memory": memory}))
    return len(memory)


def recalled_by(ledger: Ledger, ref: CaseRef) -> dict[str, str]:
    """The cases that recalled this one, by id, each with the instant when it last did."""
    return {row["sk"]: row["at"] for row in ledger.rows(_notes_pk(ref.tenant, ref.case_id))}


def unremember(files: CaseFiles, ref: CaseRef, forgotten: str) -> None:
    """Takes the answer of a forgotten case out of a case's file and of every older version of it.

    The traces of an agent quote what it was given, so they go altogether. Raises StoreConflict.
    """

    def change(file: CaseFile) -> CaseFile | None:
        kept = [each for each in file.memory if each.case_id != forgotten]
        return None if len(kept) == len(file.memory) else file.model_copy(update={"memory": kept})

    with suppress(CaseFileMissing):
        files.update(ref, change)
    files.erase_old_versions(file_key(ref))
    files.erase(agent_traces_prefix(ref))


def _recollect(ledger: Ledger, files: CaseFiles, ref: CaseRef) -> list[Recollection]:
    """The answer of a case in the words that were signed; empty where none was, or where it is forgotten."""
    head, _, approvals = ledger.history(ref)
    signed = next((a for a in reversed(approvals) if a.signed_key and a.signed_sha256), None)
    if signed is None or head is None or head.forgotten_at:
        return []
    request = files.read(ref).request
    text = read_signed(files, str(signed.signed_key), str(signed.signed_sha256)).text
    return [
        Recollection(
            case_id=ref.case_id, at=request.received_at, subject=request.subject, answer=text[:ANSWER_LENGTH]
        )
    ]


def _notes_pk(tenant: str, case_id: str) -> str:
    return f"{tenant}#recalled#{case_id}"
