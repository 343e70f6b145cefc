"""Passages of one tenant, in one order, under stable names."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from countersign.errors import KnowledgeUnavailable
from countersign.models import Passage
from countersign_knowledge.retrieval import merge, passage_of, retrieve

URI = "s3://knowledge/acme/docs/limits.md"


class FakeKnowledge:
    """Answers Retrieve with what it holds, whatever the filter says."""

    def __init__(self, *results: dict[str, Any], error: Exception | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._results = results
        self._error = error

    def retrieve(self, **kwargs: Any) -> dict[str, Any]:
        self.requests.append(kwargs)
        if self._error:
            raise self._error
        return {"retrievalResults": list(self._results)}


def result(text: str, *, tenant: str | None = "acme", score: Any = 0.5, **metadata: Any) -> dict[str, Any]:
    fields = {"x-amz-bedrock-kb-source-uri": URI, **metadata}
    if tenant is not None:
        fields["tenant"] = tenant
    return {
        "content": {"type": "TEXT", "text": text},
        "location": {"type": "S3", "s3Location": {"uri": URI}},
        "metadata": fields,
        "score": score,
    }


def passage(passage_id: str, score: float, text: str = "") -> Passage:
    return Passage(
        marker=1,
        passage_id=passage_id,
        document="d.md",
        text=text or f"text of {passage_id}",
        source_uri="s3://k/acme/d.md",
        score=score,
    )


def test_the_request_asks_for_this_tenant_alone() -> None:
    client = FakeKnowledge()
    assert retrieve(client, "KB1", "  how\nlong ", "acme", 7) == []
    assert client.requests == [
        {
            "knowledgeBaseId": "KB1",
            "retrievalQuery": {"text": "how long"},
            "retrievalConfiguration": {
                "vectorSearchConfiguration": {
                    "numberOfResults": 7,
                    "filter": {"equals": {"key": "tenant", "value": "acme"}},
                }
            },
        }
    ]


def test_results_of_others_are_dropped_even_if_the_index_returns_them() -> None:
    client = FakeKnowledge(
        result("ours", score=0.2),
        result("theirs", tenant="other", score=0.9),
        result("nobody's", tenant=None, score=0.9),
        result("  \n", score=0.9),
    )
    assert [found.text for found in retrieve(client, "KB1", "q", "acme")] == ["ours"]


def test_results_are_ordered_numbered_and_named() -> None:
    client = FakeKnowledge(
        result("second", score=0.4),
        result("first", score=0.8, **{"x-amz-bedrock-kb-chunk-id": "chunk-1"}),
    )
    first, second = retrieve(client, "KB1", "q", "acme")
    assert (first.marker, first.passage_id, first.text) == (1, "chunk-1", "first")
    assert (second.marker, second.document, second.source_uri) == (2, "docs/limits.md", URI)
    assert len(second.passage_id) == 32
    assert retrieve(client, "KB1", "q", "acme")[1].passage_id == second.passage_id


def test_a_query_is_bounded_and_an_empty_one_asks_nothing() -> None:
    client = FakeKnowledge()
    retrieve(client, "KB1", "x" * 5000, "acme")
    assert len(client.requests[0]["retrievalQuery"]["text"]) == 1000
    assert retrieve(client, "KB1", " \n", "acme") == []
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.25, 0.25), (1.7, 1.0), (-3, 0.0), (float("nan"), 0.0), (float("inf"), 1.0), (None, 0.0)],
)
def test_scores_lie_between_zero_and_one(score: Any, expected: float) -> None:
    found = passage_of(result("t", score=score), "acme")
    assert found is not None
    assert found.score == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/acme/docs/limits.md", "docs/limits.md"),
        ("s3://bucket/documents/acme/a/acme/b.md", "a/acme/b.md"),
        ("s3://bucket/elsewhere/limits.md", "elsewhere/limits.md"),
        ("https://example.org/guide", "guide"),
        ("limits.md", "limits.md"),
    ],
)
def test_a_document_is_named_by_its_path_below_the_tenant(uri: str, expected: str) -> None:
    found = passage_of(result("t", **{"x-amz-bedrock-kb-source-uri": uri}), "acme")
    assert found is not None
    assert found.document == expected


def test_where_metadata_names_no_source_the_location_does() -> None:
    raw = result("t")
    del raw["metadata"]["x-amz-bedrock-kb-source-uri"]
    raw["location"] = {"type": "WEB", "webLocation": {"url": "https://example.org/guide"}}
    found = passage_of(raw, "acme")
    assert found is not None
    assert found.source_uri == "https://example.org/guide"


def test_a_row_of_a_table_is_read_as_text() -> None:
    raw = result("")
    raw["content"] = {"type": "ROW", "row": [{"columnName": "plan", "columnValue": "pro"}]}
    found = passage_of(raw, "acme")
    assert found is not None
    assert found.text == "plan: pro"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "Retrieve"), "ThrottlingException"),
        (EndpointConnectionError(endpoint_url="https://x"), "EndpointConnectionError"),
    ],
)
def test_errors_have_our_name(error: Exception, message: str) -> None:
    with pytest.raises(KnowledgeUnavailable, match=message):
        retrieve(FakeKnowledge(error=error), "KB1", "q", "acme")


def test_our_own_mistakes_are_not_retried() -> None:
    with pytest.raises(ParamValidationError):
        retrieve(FakeKnowledge(error=ParamValidationError(report="x")), "KB1", "q", "acme")


@pytest.mark.parametrize(
    ("found", "limit", "expected"),
    [
        ([], 5, []),
        ([[passage("a", 0.2), passage("b", 0.9)], [passage("c", 0.5)]], 5, ["b", "c", "a"]),
        # The same passage from two searches is kept once, with its best score.
        ([[passage("a", 0.3), passage("b", 0.4)], [passage("a", 0.8)]], 5, ["a", "b"]),
        # So is the same text under two names.
        ([[passage("a", 0.3, "same  words")], [passage("b", 0.8, "same\nwords")]], 5, ["b"]),
        # A search with low scores keeps its best passage.
        ([[passage("a", 0.9), passage("b", 0.8), passage("c", 0.7)], [passage("d", 0.1)]], 2, ["a", "d"]),
        ([[passage("a", 0.9)], [passage("b", 0.8)], [passage("c", 0.7)]], 2, ["a", "b"]),
    ],
)
def test_searches_merge_into_one_numbered_list(
    found: list[list[Passage]], limit: int, expected: list[str]
) -> None:
    merged = merge(found, limit)
    assert [p.passage_id for p in merged] == expected
    assert [p.marker for p in merged] == list(range(1, len(expected) + 1))
