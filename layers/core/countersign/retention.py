"""Subjects as old as the texts that the bucket erases by itself: the table does not keep them longer.

    {tenant}#retention    subjects, and until when they are erased

A sweep goes on from there, oldest first, a page at a time; so nothing is left out, whenever sweeps were off.
"""

from datetime import datetime

from countersign.clock import instant
from countersign.ledger import Ledger, Rejected, case_pk
from countersign.models import CaseHead

PAGE = 100
"""Cases of a tenant whose subjects one sweep erases at most."""
BEGINNING = "0"
"""Before every instant."""


def erase_old_subjects(ledger: Ledger, tenant: str, before: datetime) -> int:
    """Erases the subjects of cases that came in before then, of heads and approvals; returns of how many.

    Raises StoreConflict.
    """
    pk = f"{tenant}#retention"
    row = ledger.row(pk, "subjects")
    heads = ledger.oldest(tenant, str(row["until"]) if row else BEGINNING, instant(before), PAGE)
    erased = 0
    for head in heads:
        if head.subject:
            _erase(ledger, head)
            erased += 1
    # Also past a page that had none: of events without a subject, or of cases that were forgotten before.
    if heads and (row is None or heads[-1].created_at != row["until"]):
        ledger.commit([ledger.put_row(pk, "subjects", {"until": heads[-1].created_at})])
    return erased


def _erase(ledger: Ledger, head: CaseHead) -> None:
    # The head last: it is what says that the case is done.
    names = [f"approval#{approval.approval_id}" for approval in ledger.history(head.ref)[2]]
    for sk in (*names, "head"):
        try:
            ledger.commit([ledger.blank_subject(case_pk(head.ref), sk)])
        except Rejected:
            continue  # the row is gone
