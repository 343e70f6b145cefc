"""Opening a case: the raw event becomes the case file and the ledger's first lines, once for all runs."""

from contextlib import suppress

from countersign.case_file import CaseFiles, raw_key
from countersign.errors import ConfigurationError, RequestRejected
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseFile, CaseHead, CaseRef, CaseStatus, LedgerEvent, RawEvent, Request
from countersign.sources import Source, read_event


def open_case(
    ref: CaseRef,
    source: Source,
    run: int,
    execution: str,
    at: str,
    files: CaseFiles,
    ledger: Ledger,
    *,
    github_api_url: str,
    allow_loopback: bool = False,
) -> CaseFile:
    """Writes file and ledger where they are missing, and returns the file.

    `run` is the number of this execution of the case, from 1. Raises CaseFileMissing where there is no raw
    event, ConfigurationError where the source has changed since it accepted the event, StoreConflict.
    """
    raw = files.get_model(raw_key(ref), RawEvent)
    request = _read(raw, source, github_api_url, allow_loopback)
    file = CaseFile(tenant=ref.tenant, case_id=ref.case_id, request=request)
    if not files.create(file):
        # What was read first stands, whatever the source's file says by now.
        file = files.read(ref)
    opened = LedgerEvent(
        at=at,
        event="case.opened",
        actor="countersign",
        detail={"source": source.name, "run": run, "execution": execution, "body_sha256": raw.body_sha256},
    )
    _open_ledger(ledger, file, run, opened)
    return file


def _read(raw: RawEvent, source: Source, github_api_url: str, allow_loopback: bool) -> Request:
    try:
        request = read_event(
            source,
            raw.headers,
            raw.body.encode(),
            raw.received_at,
            github_api_url,
            allow_loopback=allow_loopback,
        )
    except RequestRejected as error:
        raise ConfigurationError(f"source {source.name} no longer reads what it accepted: {error}") from None
    if not isinstance(request, Request):
        raise ConfigurationError(f"source {source.name} now ignores what it accepted: {request.reason}")
    return request


def _open_ledger(ledger: Ledger, file: CaseFile, run: int, opened: LedgerEvent) -> None:
    head = CaseHead(
        tenant=file.tenant,
        case_id=file.case_id,
        source=file.request.source,
        subject=file.request.subject,
        status=CaseStatus.RUNNING,
        created_at=file.request.received_at,
        updated_at=opened.at,
        run=run,
    )
    try:
        ledger.commit([ledger.put_head(head), ledger.put_event(file.ref, "opened", opened)])
        return
    except Rejected:
        if run == 1:
            return
    # The ledger of an earlier run. Refused where this run's line is there: the step runs for the second time.
    with suppress(Rejected):
        ledger.commit(
            [
                ledger.set_status(file.ref, CaseStatus.RUNNING, opened.at, run=run),
                ledger.put_event(
                    file.ref, f"redriven#r{run}", opened.model_copy(update={"event": "case.redriven"})
                ),
            ]
        )
