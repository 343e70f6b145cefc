"""The calls about knowledge: what is stored under which name, and what is found."""

import base64
from typing import Any

import pytest

from tests.unit.api_calls import Api, load
from tests.unit.stores import Stores

ACME = {"sub": "00u1", "name": "Alex Doe", "tenant": "acme"}


@pytest.fixture
def api(stores: Stores) -> Api:
    return Api(stores)


def test_a_document_is_stored_in_its_tenant_s_folder(api: Api) -> None:
    answer = api.call("add_document", claims=ACME)
    assert answer.status == 202
    assert answer.json() == {"documents": ["docs/limits.md"], "job_id": "XYZ1234567", "status": "started"}
    text = b"# Limits\n\nDelivery is tried ten times within 75 hours.\n"
    assert api.documents.stored == {"acme/docs/limits.md": (text, None)}


def test_several_documents_make_one_job(api: Api) -> None:
    assert api.call("add_documents").json()["documents"] == ["docs/limits.md", "prices.csv"]
    assert api.documents.stored["default/prices.csv"] == (b"plan,euro\nbasic,9\n", "text/csv")


def test_while_a_job_runs_the_next_one_follows_by_itself(api: Api) -> None:
    api.documents.is_busy = True
    answer = api.call("add_document")
    assert answer.status == 202
    assert (answer.json()["job_id"], answer.json()["status"]) == (None, "waiting")
    assert "default/docs/limits.md" in api.documents.stored


GOOD = {"name": "a.md", "text": "A."}


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a.md"},
        {"text": "A."},
        {**GOOD, "content_base64": "QQ=="},
        {"name": "a.md", "text": ""},
        {"name": "a.md", "content_base64": ""},
        {"name": "a.md", "content_base64": "QQ"},
        {"name": "a.md", "content_base64": "Q!Q="},
        {"name": "a.md", "content_base64": "é"},
        {**GOOD, "content_type": "text"},
        {**GOOD, "content_type": "text/plain\r\nx: y"},
        {**GOOD, "tenant": "acme"},
        {**GOOD, "name": "x" * 513 + ".md"},
        {**GOOD, "name": "../acme/a.md"},
        {**GOOD, "name": "a.exe"},
        {"documents": []},
        {"documents": [GOOD] * 51},
        {"documents": [GOOD, GOOD]},
        {"documents": [GOOD, {"name": "b.md"}]},
        {"documents": GOOD},
        {"documents": [GOOD], "name": "a.md"},
    ],
)
def test_a_bad_document_stores_nothing(api: Api, body: dict[str, Any]) -> None:
    answer = api.call("add_document", body=body)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert api.documents.stored == {}


def test_bytes_are_stored_as_they_came(api: Api) -> None:
    content = bytes(range(256))
    body = {"name": "a.pdf", "content_base64": base64.b64encode(content).decode()}
    assert api.call("add_document", body=body).status == 202
    assert api.documents.stored == {"default/a.pdf": (content, None)}


def test_a_job_is_followed(api: Api) -> None:
    assert api.call("show_job").json() == {
        "job_id": "XYZ1234567",
        "status": "STARTING",
        "started_at": "2026-03-02T09:00:00.000Z",
        "updated_at": "2026-03-02T09:00:00.000Z",
    }


def test_what_is_found_is_the_tenant_s(api: Api) -> None:
    answer = api.call("search", claims=ACME)
    assert answer.json() == {
        "results": [
            {
                "document": "docs/delivery.md",
                "chunk_id": "p-1",
                "text": "Delivery is tried ten times within 75 hours.",
                "score": 0.9,
                "source_uri": "s3://knowledge/default/docs/delivery.md",
            }
        ]
    }
    assert api.knowledge.asked == [("How often is delivery tried?", "acme", 3)]


@pytest.mark.parametrize(
    "body",
    [
        {"query": ""},
        {"query": "x" * 1_001},
        {"query": 1},
        {"query": "x", "limit": 0},
        {"query": "x", "limit": 21},
        {"query": "x", "mode": "graph"},
        {"query": "x", "tenant": "acme"},
    ],
)
def test_a_bad_search_finds_nothing(api: Api, body: dict[str, Any]) -> None:
    assert api.call("search", body=body).status == 422
    assert api.knowledge.asked == []


def test_a_search_has_a_limit_of_its_own(api: Api) -> None:
    api.call("search", body={"query": "delivery"})
    assert api.knowledge.asked == [("delivery", "default", 5)]
    api.knowledge.is_down = True
    assert api.call("search").status == 503


def test_the_sample_of_bytes_is_base64() -> None:
    assert "content_base64" in load("add_documents")["body"]
