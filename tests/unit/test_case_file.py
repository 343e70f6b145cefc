"""The case file: nobody overwrites anybody, and what was paid for is kept once."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.case_file import CaseFiles
from countersign.errors import CaseFileMissing, ModelRefused, StoreConflict
from countersign.models import CaseFile, CaseRef
from tests.unit.stores import CASE, REF, Stores, call, case_file


def renamed(file: CaseFile, subject: str) -> CaseFile:
    return file.model_copy(update={"request": file.request.model_copy(update={"subject": subject})})


def test_the_first_file_of_a_case_stays(stores: Stores) -> None:
    assert stores.files.create(case_file())
    assert not stores.files.create(renamed(case_file(), "Other"))
    assert stores.files.read(REF) == case_file()


def test_a_missing_file_has_a_name(stores: Stores) -> None:
    with pytest.raises(CaseFileMissing):
        stores.files.read(REF)
    with pytest.raises(CaseFileMissing):
        stores.files.update(REF, lambda file: file)
    with pytest.raises(CaseFileMissing):
        stores.files.read(CaseRef(tenant="other", case_id=CASE))


def test_a_change_sees_what_was_written_in_between(stores: Stores) -> None:
    stores.files.create(case_file())
    seen: list[str] = []

    def change(file: CaseFile) -> CaseFile:
        if not seen:
            stores.files.update(REF, lambda other: renamed(other, "Theirs"))
        seen.append(file.request.subject)
        return renamed(file, file.request.subject + " and ours")

    stores.files.update(REF, change)
    assert seen == ["Delivery", "Theirs"]
    assert stores.files.read(REF).request.subject == "Theirs and ours"


def test_a_file_that_never_rests_is_a_conflict(stores: Stores) -> None:
    stores.files.create(case_file())
    count = iter(range(100))

    def change(file: CaseFile) -> CaseFile:
        stores.files.update(REF, lambda other: renamed(other, f"Theirs {next(count)}"))
        return renamed(file, "Ours")

    with pytest.raises(StoreConflict):
        stores.files.update(REF, change)
    assert stores.files.read(REF).request.subject.startswith("Theirs")


def test_a_change_with_nothing_to_do_writes_nothing(stores: Stores) -> None:
    stores.files.create(case_file())
    stores.calls.clear()
    assert stores.files.update(REF, lambda _: None) == case_file()
    assert stores.calls == ["GetObject"]


def test_a_step_is_paid_for_once(stores: Stores) -> None:
    stores.files.create(case_file())
    first = stores.files.step(REF, "Review Draft", 1)
    second = stores.files.step(REF, "Review Draft", 1)
    assert first.done is second.done is None
    mine = first.finish(lambda file: renamed(file, "First"), {"score": 0.8}, [call("reviewer", 10, 2)])
    theirs = second.finish(lambda file: renamed(file, "Second"), {"score": 0.1}, [call("reviewer", 10, 2)])
    assert theirs == mine
    file = stores.files.read(REF)
    assert file.request.subject == "First"
    assert [step.state for step in file.steps].count("Review Draft") == 1
    assert stores.files.step(REF, "Review Draft", 1).done == mine
    assert stores.files.step(REF, "Review Draft", 2).done is None


def test_what_failed_after_it_was_paid_for_is_counted_and_not_done(stores: Stores) -> None:
    stores.files.create(case_file())
    step = stores.files.step(REF, "Review Draft", 1)
    with (
        pytest.raises(ModelRefused),
        step.paying(lambda file: renamed(file, "Saved")),
    ):
        raise ModelRefused("no", calls=[call("reviewer", 10, 2)])
    file = stores.files.read(REF)
    assert file.request.subject == "Saved"
    assert (file.steps[-1].error, len(file.calls())) == ("ModelRefused", 3)
    assert stores.files.step(REF, "Review Draft", 1).done is None


class Contended:
    """An S3 in which another write to the same key is in flight some times."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.puts = 0

    def put_object(self, **arguments: Any) -> None:
        assert arguments["IfNoneMatch"] == "*"
        self.puts += 1
        if self.codes:
            raise ClientError({"Error": {"Code": self.codes.pop(0), "Message": ""}}, "PutObject")


CONFLICT = "ConditionalRequestConflict"


@pytest.mark.parametrize(
    ("codes", "stored"),
    [((), True), ((CONFLICT,), True), ((CONFLICT, "PreconditionFailed"), False)],
)
def test_a_write_in_flight_is_waited_for(codes: tuple[str, ...], stored: bool) -> None:
    s3 = Contended(*codes)
    assert CaseFiles(s3, "files").put_once("key", b"body") is stored  # type: ignore[arg-type]
    assert s3.puts == len(codes) + stored


def test_nobody_says_that_an_object_is_there_who_does_not_know(stores: Stores) -> None:
    with pytest.raises(StoreConflict):
        CaseFiles(Contended(*[CONFLICT] * 9), "files").put_once("key", b"")  # type: ignore[arg-type]
    with pytest.raises(ClientError):
        CaseFiles(Contended("AccessDenied"), "files").put_once("key", b"")  # type: ignore[arg-type]
    assert stores.files.put_once("key", b"first")
    assert not stores.files.put_once("key", b"second")
    assert stores.files.get("key") == b"first"
