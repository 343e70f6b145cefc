"""The HTTP API as a whole: who asks, what is answered to nonsense, headers, and what stays unsaid."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from countersign.case_file import raw_key
from countersign.clock import instant
from countersign.errors import KnowledgeUnavailable, SignedBytesChanged, StoreConflict
from countersign.models import CaseRef, CaseStatus, RawEvent, canonical_json
from local.faults import client_error
from tests.unit.api_calls import OPENAPI, Api, load
from tests.unit.stores import NOW, REF, TERMS, Stores, case_file

ROOT = Path(__file__).parents[2]
PERSON = {"sub": "00u1a2b3c4", "name": "Alex Doe", "email": "alex@example.com", "tenant": "default"}
ALL = sorted(path.stem for path in (ROOT / "events/serve_api").glob("*.json"))
WITH_BODY = [name for name in ALL if "body" in load(name)]


@pytest.fixture
def api(stores: Stores) -> Api:
    stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    return Api(stores)


def breaking(api: Api, error: Exception) -> Api:
    def fail(*_: Any) -> Any:
        raise error

    api.ports = type(api.ports)(
        settings=api.ports.settings, arbiter=fail, documents=fail, search=fail, now=api.ports.now
    )
    return api


def test_the_document_is_up_to_date() -> None:
    command = [sys.executable, "scripts/write-openapi", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_document_is_openapi() -> None:
    validate(OPENAPI)


@pytest.mark.parametrize("name", ALL)
def test_every_sample_event_is_answered(api: Api, name: str) -> None:
    """And each by the words of the document, which `Api.call` checks."""
    shown = {"shown_sha256": api.call("show_approval").json()["shown_sha256"]}
    body = json.loads(load(name).get("body", "{}"))
    answer = api.call(name, body=body | shown) if "shown_sha256" in body else api.call(name)
    assert answer.status in {200, 202}


@pytest.mark.parametrize("name", ALL)
def test_every_answer_is_guarded(api: Api, name: str) -> None:
    headers = api.call(name, body={"verdict": "none"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"].startswith("max-age=")
    is_page = name.startswith("page")
    assert headers["cache-control"] == ("no-cache" if is_page else "no-store")
    assert ("script-src 'self'" in headers["content-security-policy"]) is is_page
    assert "'unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("claims", "tenant"),
    [
        ({**PERSON, "tenant": "acme"}, "acme"),
        ({**PERSON, "tenant": ""}, "default"),
        ({"sub": "u"}, "default"),
    ],
)
def test_the_token_names_the_tenant(api: Api, claims: dict[str, str], tenant: str) -> None:
    api.call("search", claims=claims)
    assert api.knowledge.asked[0][1] == tenant


@pytest.mark.parametrize("tenant", ["a#cases", "a/b", "..", "[a b]", "x" * 65, "a b", "-a", "é"])
def test_a_tenant_that_would_be_more_than_a_name_is_refused(api: Api, tenant: str) -> None:
    for name in ("list_cases", "show_case", "show_approval", "approve", "search", "add_document"):
        answer = api.call(name, claims={**PERSON, "tenant": tenant})
        assert (answer.status, answer.code) == (403, "not_allowed")


@pytest.mark.parametrize("name", ["show_case", "show_approval", "approve"])
def test_what_is_another_tenant_s_is_not_there(api: Api, name: str) -> None:
    shown = api.call("show_approval").json()["shown_sha256"]
    there = api.call(
        name, body={"verdict": "approve", "shown_sha256": shown}, claims={**PERSON, "tenant": "acme"}
    )
    assert (there.status, there.code) == (404, "not_found")
    assert api.call("list_cases", claims={**PERSON, "tenant": "acme"}).json() == {"cases": [], "cursor": None}
    assert api.stores.status() == "awaiting_approval"


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        (PERSON, "Alex Doe"),
        ({"sub": "00u1", "email": "alex@example.com"}, "alex@example.com"),
        ({"sub": "00u1"}, "00u1"),
        ({"sub": "00u1", "name": " "}, "00u1"),
        ({"sub": "00u1", "name": "A\u202elex\n\tDoe"}, "A lex Doe"),
        ({"sub": "00u1", "name": "A" * 999}, "A" * 200),
    ],
)
def test_the_token_names_the_person(api: Api, claims: dict[str, str], name: str) -> None:
    shown = api.call("show_approval").json()["shown_sha256"]
    body = {"verdict": "approve", "shown_sha256": shown}
    assert api.call("approve", body=body, claims=claims).json()["decided_by"] == name
    assert api.stores.ledger.history(REF)[1][-1].detail["subject"] == claims["sub"]


@pytest.mark.parametrize("claims", [{}, {"tenant": "default"}, {"name": "\u202e "}])
def test_nobody_decides_nothing(api: Api, claims: dict[str, str]) -> None:
    answer = api.call("approve", claims=claims)
    assert (answer.status, answer.code) == (403, "not_allowed")


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        ("{", {}, 400),
        ("", {}, 400),
        ("[]", {}, 400),
        ('{"verdict": "approve", "verdict": "reject"}', {}, 400),
        ('{"query": NaN}', {}, 400),
        ("[" * 99 + "]" * 99, {}, 400),
        ("{}", {"content-type": "text/plain"}, 415),
        ("{}", {"content-encoding": "gzip"}, 415),
        (json.dumps({"text": "x" * 1_048_576}), {}, 413),
        ("{}", {}, 422),
        ('{"more": 1}', {}, 422),
    ],
)
def test_a_bad_body_is_the_caller_s_fault(
    api: Api, name: str, raw: str, headers: dict[str, str], status: int
) -> None:
    assert api.call(name, raw=raw, headers=headers).status == status
    assert api.stores.status() == "awaiting_approval"
    assert api.documents.stored == {}


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("list_cases", {"status": "waiting"}),
        ("list_cases", {"limit": "0"}),
        ("list_cases", {"limit": "101"}),
        ("list_cases", {"limit": "-1"}),
        ("list_cases", {"limit": "ten"}),
        ("list_cases", {"limit": "٣"}),
        ("list_cases", {"limit": "9" * 99}),
        ("list_cases", {"limit": ""}),
        ("list_cases", {"status": ""}),
        ("list_cases", {"state": "parked"}),
        ("list_cases", {"cursor": "zzz"}),
        ("list_cases", {"cursor": "x" * 9_999}),
        ("list_approvals", {"status": "pending,decided"}),
        ("list_approvals", {"limit": "1.5"}),
        ("list_approvals", {"cursor": "e30="}),
    ],
)
def test_a_bad_query_is_the_caller_s_fault(api: Api, name: str, query: dict[str, str]) -> None:
    answer = api.call(name, query=query)
    assert (answer.status, answer.code) == (422, "invalid_request")


def test_an_event_that_waits_for_its_machine_is_a_queued_case(api: Api) -> None:
    ref = CaseRef(tenant=REF.tenant, case_id=f"c-{'0' * 32}")
    raw = RawEvent(source="webhook", received_at=instant(NOW), headers={}, body="{}")
    api.stores.files.put_once(raw_key(ref), canonical_json(raw))
    found = api.call("show_case", path=f"/cases/{ref.case_id}").json()
    assert (found["status"], found["source"], found["created_at"]) == ("queued", "webhook", instant(NOW))
    assert (found["timeline"], found["draft"], found["approval_id"]) == ([], None, None)


@pytest.mark.parametrize(
    "case_id",
    ["nobody", "x#y", "thread#x", "a b", "é", "x" * 99, "..", f"{REF.case_id}%0a", f"{REF.case_id}\n", "-"],
)
def test_an_id_from_outside_finds_its_case_or_nothing(api: Api, case_id: str) -> None:
    api.stores.calls.clear()
    assert api.call("show_case", path=f"/cases/{case_id}").status == 404
    assert api.call("show_approval", path=f"/approvals/{case_id}-a1").status == 404
    assert api.stores.calls == (["Query", "GetObject", "GetItem"] if case_id == "nobody" else [])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("DELETE", "/cases"), ("POST", "/cases"), ("GET", "/cases/a/b")]
)
def test_there_is_no_such_call(api: Api, method: str, path: str) -> None:
    event = load("show_case")
    event["requestContext"]["http"]["method"] = method
    answer = api.call(event, path=path)
    assert (answer.status, answer.code) == (404, "not_found")


READS = [
    "list_cases",
    "show_case",
    "list_approvals",
    "show_approval",
    "show_job",
    "search",
    "page",
    "page_file",
]


def test_reading_changes_nothing(api: Api) -> None:
    before = api.stores.db.scan(TableName="cases")["Items"]
    api.stores.calls.clear()
    for name in READS:
        assert api.call(name).status == 200
    assert set(api.stores.calls) == {"GetItem", "GetObject", "Query"}
    assert api.stores.db.scan(TableName="cases")["Items"] == before


SECRET = "the text of Mrs Quagga's mail"


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("page")])
@pytest.mark.parametrize("error", [RuntimeError(SECRET), SignedBytesChanged("x is not what was signed")])
def test_our_own_fault_is_said_and_not_quoted(
    api: Api, caplog: pytest.LogCaptureFixture, name: str, error: Exception
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = breaking(api, error).call(name)
    assert (answer.status, answer.code) == (500, "internal")
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert type(error).__name__ in logged
    assert SECRET not in answer.body + logged


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("approve", StoreConflict("others wrote")),
        ("search", KnowledgeUnavailable("Retrieve failed")),
        ("approve", client_error("Query", "ThrottlingException")),
    ],
)
def test_what_may_work_in_a_moment_is_asked_for_again(api: Api, name: str, error: Exception) -> None:
    answer = breaking(api, error).call(name)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")


def test_no_text_of_a_case_is_logged(
    api: Api, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ALL:
        api.call(name)
    printed = capsys.readouterr()
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    for text in ("ten times", "How often", "Say within", "not for us"):
        assert text not in logged + printed.out + printed.err


def test_an_erased_case_keeps_its_history_and_no_card(api: Api) -> None:
    for key in api.stores.s3.list_objects_v2(Bucket="files")["Contents"]:
        api.stores.s3.delete_object(Bucket="files", Key=key["Key"])
    case = api.call("show_case").json()
    assert case["draft"] is None
    assert [line["event"] for line in case["timeline"]] == ["case.opened", "approval.requested"]
    assert api.call("show_approval").status == 404


def test_cases_are_listed_by_status_and_page(api: Api) -> None:
    for number in range(3):
        file = api.stores.open(case_file(case_id=f"c-{number:032x}"))
        parked = api.stores.ledger.set_status(file.ref, CaseStatus.PARKED, f"2026-03-02T1{number}:00:00.000Z")
        api.stores.ledger.commit([parked])
    assert len(api.call("list_cases", query={}).json()["cases"]) == 4
    assert len(api.call("list_cases").json()["cases"]) == 1
    first = api.call("list_cases", query={"status": "parked", "limit": "2"}).json()
    assert [case["case_id"][-1] for case in first["cases"]] == ["2", "1"]
    query = {"status": "parked", "limit": "2", "cursor": first["cursor"]}
    second = api.call("list_cases", query=query).json()
    assert [case["case_id"][-1] for case in second["cases"]] == ["0"]
    assert second["cursor"] is None


def test_a_case_moves_state_by_state(api: Api) -> None:
    case = api.call("show_case").json()
    assert [line["event"] for line in case["timeline"]] == [
        "case.opened",
        "approval.requested",
        "step.plan_work",
        "step.write_draft",
    ]
    assert (case["status"], case["cost_usd"]) == ("awaiting_approval", "0.0004")
    assert case["usage"] == {"input_tokens": 450, "output_tokens": 60, "model_calls": 2}
