"""Opening a case: the raw event becomes the case file and the ledger's first lines, once for all runs."""

from pathlib import Path

from countersign.case_file import CaseFiles, raw_key
from countersign.decisions import Terms
from countersign.endings import FINAL
from countersign.errors import CaseFileMissing, ConfigurationError, RequestRejected
from countersign.items import Item
from countersign.ledger import Ledger, Rejected
from countersign.models import CaseFile, CaseHead, CaseRef, CaseStatus, LedgerEvent, RawEvent, Request, Risk
from countersign.policies import load_policy
from countersign.sources import Challenged, Ignored, load_source, read_event

# What a case counts as until the planner has said how risky it is.
RISK: Risk = "medium"


class Opener:
    """Opens cases from raw events.

    `sources` and `policies` are the folders of their files; `github_api_url` and `allow_loopback` are what
    `read_event` takes.
    """

    def __init__(
        self,
        files: CaseFiles,
        ledger: Ledger,
        *,
        sources: Path,
        policies: Path,
        github_api_url: str,
        allow_loopback: bool = False,
    ) -> None:
        self._files = files
        self._ledger = ledger
        self._sources = sources
        self._policies = policies
        self._github_api_url = github_api_url
        self._allow_loopback = allow_loopback

    def open(self, ref: CaseRef, source: str, run: int, execution: str, at: str) -> tuple[CaseFile, Terms]:
        """Writes file and ledger where they are missing; returns the file, and the terms without a draft.

        `run` is the number of this execution of the case, from 1. Raises CaseFileMissing where there is no
        raw event, ConfigurationError where source or policy cannot be read or the source has changed since it
        accepted the event, StoreConflict.
        """
        raw = self._files.get_model(raw_key(ref), RawEvent)
        if raw.forgotten is not None:
            raise CaseFileMissing(f"the text of case {ref.case_id} was erased on request")
        file = CaseFile(tenant=ref.tenant, case_id=ref.case_id, request=self._read(raw, source))
        if not self._files.create(file):
            # What was read first stands, whatever the source's file says by now.
            file = self._files.read(ref)
        opened = LedgerEvent(
            at=at,
            event="case.opened",
            actor="countersign",
            detail={"source": source, "run": run, "execution": execution, "body_sha256": raw.body_sha256},
        )
        self._open_ledger(file, run, opened)
        return file, load_policy(self._policies).terms(file.request.source, RISK)

    def _read(self, raw: RawEvent, source: str) -> Request:
        try:
            request = read_event(
                load_source(source, self._sources),
                raw.headers,
                raw.body.encode(),
                raw.received_at,
                self._github_api_url,
                reply_url=raw.reply_url,
                allow_loopback=self._allow_loopback,
            )
        except RequestRejected as error:
            raise ConfigurationError(f"source {source} no longer reads what it accepted: {error}") from None
        if isinstance(request, Ignored):
            raise ConfigurationError(f"source {source} now ignores what it accepted: {request.reason}")
        if isinstance(request, Challenged):
            raise ConfigurationError(f"source {source} now only echoes what it accepted")
        return request

    def _open_ledger(self, file: CaseFile, run: int, opened: LedgerEvent) -> None:
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
            self._ledger.commit(
                [self._ledger.put_head(head), self._ledger.put_event(file.ref, "opened", opened)]
            )
            return
        except Rejected:
            if run == 1:
                return
        seen = self._ledger.head(file.ref)
        if seen is None or seen.run > run or seen.status in FINAL - {CaseStatus.FAILED}:
            return  # a later run goes on with it, or it has come to a good end before, which stands
        going_on = self._ledger.set_status(
            file.ref,
            CaseStatus.RUNNING,
            opened.at,
            run=run,
            seen=seen.updated_at,
            subject=None if seen.subject else file.request.subject,
        )
        # Where the desk asked for this run, the line of who did is there.
        asked = seen.status is CaseStatus.QUEUED
        redriven = opened.model_copy(update={"event": "case.redriven"})
        lines = [] if asked else [self._ledger.put_event(file.ref, f"redriven#r{run}", redriven)]
        if not seen.subject and self._try(
            [going_on, self._ledger.put_event(file.ref, "opened", opened), *lines]
        ):
            return  # no earlier run had come so far as to open it
        # Refused where this run has been here already, or the case has moved.
        self._try([going_on, *lines])

    def _try(self, writes: list[Item]) -> bool:
        try:
            self._ledger.commit(writes)
        except Rejected:
            return False
        return True
