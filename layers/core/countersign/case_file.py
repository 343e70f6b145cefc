"""The case file: everything of a case that has text in it, in S3, encrypted, and nowhere else.

One JSON document per case, replaced with `If-Match`, so that two runs of one step cannot overwrite each
other: the second finds the first one's result and returns it. Beside it lie objects that never change.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, JsonValue

from countersign.clock import now_text
from countersign.errors import CaseFileMissing, ModelUnavailable, StepError, StoreConflict
from countersign.models import CaseFile, CaseRef, Found, ModelCall, StepRecord, canonical_json
from countersign.spending import Attempt, Hold

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRITE_ATTEMPTS = 4
LOST_ATTEMPTS = 5
"""After so many attempts of one round that were cut off, a state is given up on."""


class CaseFiles:
    """The case files bucket. Give it a boto3 S3 client and the bucket's name."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._s3 = client
        self._bucket = bucket

    def create(self, file: CaseFile) -> bool:
        """Stores the first version; False where the case already has a file, which then stays."""
        return self.put_once(file_key(file.ref), canonical_json(file))

    def read(self, ref: CaseRef) -> CaseFile:
        """Raises CaseFileMissing."""
        return self._read(ref)[0]

    def update(self, ref: CaseRef, change: Callable[[CaseFile], CaseFile | None]) -> CaseFile:
        """Reads, changes, writes back; again with the newer file where somebody wrote in between.

        `change` returns None where nothing is left to do. It may run more than once, so what is paid for
        happens before. Raises CaseFileMissing, StoreConflict.
        """
        for _ in range(WRITE_ATTEMPTS):
            file, etag = self._read(ref)
            changed = change(file)
            if changed is None:
                return file
            if self._replace(ref, changed, etag):
                return changed
        raise StoreConflict(f"the file of case {ref.case_id} was written by others {WRITE_ATTEMPTS} times")

    def step(self, ref: CaseRef, state: str, round_number: int, attempt: Attempt | None = None) -> "Step":
        """Opens the file for one paid step: see `Step`. One that calls a model says which attempt it is."""
        file, etag = self._read(ref)
        return Step(self, file, etag, state, round_number, attempt)

    def put_once(self, key: str, body: bytes) -> bool:
        """Stores an object that never changes; False where one is there already. The first body wins.

        Raises StoreConflict where others were storing it each time, so that nobody can say which body won.
        """
        for _ in range(WRITE_ATTEMPTS):
            try:
                self._s3.put_object(
                    Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
                )
            except ClientError as error:
                if _code(error) == "ConditionalRequestConflict":
                    continue  # another write to this key was in flight, and may yet fail
                if _code(error) == "PreconditionFailed":
                    return False
                raise
            return True
        raise StoreConflict(f"{key} was being written by others {WRITE_ATTEMPTS} times")

    def get(self, key: str) -> bytes:
        """Raises CaseFileMissing."""
        return self._get(key)[0]

    def has(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in {"NoSuchKey", "404"}:
                return False
            raise
        return True

    def replace(self, key: str, body: bytes) -> None:
        """Puts another object in the place of one, whatever it is."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")

    def erase(self, prefix: str) -> int:
        """Erases every version of every object under a prefix; returns how many. Raises StoreConflict."""
        return self._erase(prefix, lambda _: True)

    def erase_old_versions(self, key: str) -> int:
        """Erases what an object was before; returns how many versions. Raises StoreConflict."""
        return self._erase(key, lambda version: version["Key"] == key and not version["IsLatest"])

    def _erase(self, prefix: str, chosen: Callable[[Any], bool]) -> int:
        erased = 0
        listing = self._s3.get_paginator("list_object_versions")
        for page in listing.paginate(Bucket=self._bucket, Prefix=prefix):
            found: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            doomed: Any = [
                {name: each[name] for name in ("Key", "VersionId")} for each in filter(chosen, found)
            ]
            if not doomed:
                continue
            answer = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": doomed, "Quiet": True})
            if errors := answer.get("Errors"):
                raise StoreConflict(f"{len(errors)} objects under {prefix} could not be erased")
            erased += len(doomed)
        return erased

    def get_model[M: BaseModel](self, key: str, model: type[M]) -> M:
        """Raises CaseFileMissing."""
        return model.model_validate_json(self.get(key))

    def events(self, tenant: str, after: str | None) -> tuple[list[tuple[str, datetime]], bool]:
        """A tenant's accepted events, at most 1,000, by case id: the id, and when the event was kept.

        `after` is the case id that the listing goes on behind. The second value says whether there are more.
        """
        prefix = events_prefix(tenant)
        start = {"StartAfter": raw_key(CaseRef(tenant=tenant, case_id=after))} if after else {}
        answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **start)  # type: ignore[arg-type]
        found = [
            (entry["Key"].removeprefix(prefix).removesuffix(".json"), entry["LastModified"])
            for entry in answer.get("Contents", [])
        ]
        return found, answer["IsTruncated"]

    def _read(self, ref: CaseRef) -> tuple[CaseFile, str]:
        body, etag = self._get(file_key(ref))
        return CaseFile.model_validate_json(body), etag

    def _get(self, key: str) -> tuple[bytes, str]:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in {"NoSuchKey", "404"}:
                raise CaseFileMissing(f"there is no object {key}") from None
            raise
        return answer["Body"].read(), answer["ETag"]

    def _replace(self, ref: CaseRef, file: CaseFile, etag: str) -> bool:
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=file_key(ref),
                Body=canonical_json(file),
                ContentType="application/json",
                IfMatch=etag,
            )
        except ClientError as error:
            if _code(error) in {"PreconditionFailed", "ConditionalRequestConflict"}:
                return False
            raise
        return True


class Step:
    """One paid step of a case: `done` is the record of an earlier run, or None.

    Look at `done` before paying, pay inside `paying` no more than `left_usd`; `finish` writes the result
    once. Where another run of the same step was faster, its record stands and is returned.
    """

    def __init__(
        self,
        files: CaseFiles,
        file: CaseFile,
        etag: str,
        state: str,
        round_number: int,
        attempt: Attempt | None = None,
    ) -> None:
        self._files = files
        self._etag = etag
        self._state = state
        self._round = round_number
        self._attempt = attempt
        self.file = file
        self.done = file.step(state, round_number)

    def left_usd(self, hold: Hold) -> Decimal:
        """What this attempt may spend of what the case holds.

        Every attempt that fails says so in the file. Where the machine counts more of them than the file,
        one was cut off, perhaps after it had paid: then all that was left counts as spent. Raises
        ModelUnavailable where that has happened too often.
        """
        left = hold.left_usd(self.file)
        attempt = self._attempt
        lost = attempt.retries - self._count(attempt.entered) if attempt else 0
        if lost > 0 and attempt:
            assumed = max(left, Decimal(0))
            records = [self._failed("AttemptLost") for _ in range(lost)]
            records[0] = records[0].model_copy(update={"assumed_usd": assumed})
            self.file = self._files.update(
                self.file.ref,
                lambda file: (
                    None
                    if self._count(attempt.entered, file) >= attempt.retries
                    else file.model_copy(update={"steps": [*file.steps, *records]})
                ),
            )
            left -= assumed
        if sum(s.error == "AttemptLost" for s in self._earlier(self.file)) >= LOST_ATTEMPTS:
            raise ModelUnavailable(f"{self._state} was cut off {LOST_ATTEMPTS} times")
        return left

    def _earlier(self, file: CaseFile) -> list[StepRecord]:
        return [step for step in file.steps if step.state == self._state and step.round == self._round]

    def _count(self, entered: str, file: CaseFile | None = None) -> int:
        return sum(step.entered == entered for step in self._earlier(file or self.file))

    @contextmanager
    def paying(self, salvage: Callable[[CaseFile], CaseFile] | None = None) -> Iterator[None]:
        """Records an attempt in vain where the block raises a StepError, and what was paid for it.

        `salvage` keeps what is of use without the answer. The error goes on: it says what happens next.
        """
        try:
            yield
        except StepError as error:
            # Losing this write to others is better than losing the error.
            with suppress(StoreConflict):
                self._record(error, salvage)
            raise

    def _record(self, error: StepError, salvage: Callable[[CaseFile], CaseFile] | None) -> None:
        needed = getattr(error, "needed_usd", None)
        record = self._failed(type(error).__name__).model_copy(
            update={
                "calls": list(error.calls),
                "assumed_usd": error.assumed_usd,
                "detail": {} if needed is None else {"needed_usd": str(needed)},
            }
        )

        def write(file: CaseFile) -> CaseFile:
            changed = salvage(file) if salvage else file
            return changed.model_copy(update={"steps": [*changed.steps, record]})

        self._files.update(self.file.ref, write)

    def _failed(self, error: str) -> StepRecord:
        return StepRecord(
            state=self._state,
            round=self._round,
            at=now_text(),
            error=error,
            entered=self._attempt.entered if self._attempt else None,
        )

    def finish(
        self,
        change: Callable[[CaseFile], CaseFile],
        detail: dict[str, JsonValue],
        calls: list[ModelCall] | None = None,
    ) -> StepRecord:
        """Stores what the step found, and `detail` (ids, scores and verdicts, no text) for its caller."""
        record = StepRecord(
            state=self._state, round=self._round, at=now_text(), detail=detail, calls=calls or []
        )

        def write(file: CaseFile) -> CaseFile | None:
            if file.step(self._state, self._round) is not None:
                return None
            changed = change(file)
            return changed.model_copy(update={"steps": [*changed.steps, record]})

        first = write(self.file)
        if first is not None and self._files._replace(self.file.ref, first, self._etag):
            return record
        stored = self._files.update(self.file.ref, write)
        return stored.step(self._state, self._round) or record


def read_evidence(files: CaseFiles, ref: CaseRef, steps: int) -> list[Found]:
    """What the first `steps` steps of the plan found; those that never came to an end are passed over."""
    found = []
    for index in range(steps):
        with suppress(CaseFileMissing):
            found.append(files.get_model(evidence_key(ref, index), Found))
    return found


def evidence_key(ref: CaseRef, index: int) -> str:
    return f"{ref.prefix}/evidence/{index}.json"


def raw_key(ref: CaseRef) -> str:
    """Apart from the rest of the case, so that a tenant's accepted events can be listed by themselves."""
    return f"{events_prefix(ref.tenant)}{ref.case_id}.json"


def events_prefix(tenant: str) -> str:
    """Under it lie the tenant's raw events, one for each event that was acknowledged."""
    return f"events/{tenant}/"


def agent_trace_key(ref: CaseRef, round_number: int) -> str:
    return f"{agent_traces_prefix(ref)}{round_number}.json"


def agent_traces_prefix(ref: CaseRef) -> str:
    return f"{ref.prefix}/agent/"


def proposal_key(ref: CaseRef, approval_id: str, sha256: str) -> str:
    return f"{ref.prefix}/proposals/{approval_id}.{sha256}.json"


def decision_key(ref: CaseRef, approval_id: str, sha256: str) -> str:
    """Named by its content, so that two people who decide at once do not overwrite each other's words."""
    return f"{ref.prefix}/decisions/{approval_id}.{sha256}.json"


def signed_key(ref: CaseRef, approval_id: str, sha256: str) -> str:
    return f"{ref.prefix}/signed/{approval_id}.{sha256}.json"


def file_key(ref: CaseRef) -> str:
    return f"{ref.prefix}/case.json"


def _code(error: ClientError) -> Any:
    return error.response.get("Error", {}).get("Code")
