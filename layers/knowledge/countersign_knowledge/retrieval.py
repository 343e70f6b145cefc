"""Passages from a Bedrock knowledge base, of one tenant and no other.

The tenant is asked for in the request and checked again on every result, so that an index that ignores the
filter, or a document whose metadata nobody wrote, gives nothing instead of somebody else's text.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from countersign.errors import KnowledgeUnavailable
from countersign.models import Passage

PASSAGES = 5
"""How many are found at most where nobody says."""
_LONGEST_QUERY = 1_000
_CHUNK_ID = "x-amz-bedrock-kb-chunk-id"
_SOURCE_URI = "x-amz-bedrock-kb-source-uri"


class RetrieveClient(Protocol):
    """The one call of boto3's `bedrock-agent-runtime` client that is made here."""

    def retrieve(self, **kwargs: Any) -> Any: ...


def retrieve(
    client: RetrieveClient, knowledge_base_id: str, query: str, tenant: str, limit: int = PASSAGES
) -> list[Passage]:
    """At most `limit` passages for `query`, best first, with markers from 1.

    Raises KnowledgeUnavailable whatever the knowledge base's error is: all of them are worth another try.
    """
    query = " ".join(query.split())[:_LONGEST_QUERY]
    if not query:
        return []
    try:
        answer = client.retrieve(
            knowledgeBaseId=knowledge_base_id,
            retrievalQuery={"text": query},
            retrievalConfiguration=search_configuration(tenant, limit),
        )
    except ParamValidationError:
        raise  # our own mistake, which no retry mends
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise KnowledgeUnavailable(f"Retrieve answered {code}") from error
    except BotoCoreError as error:
        raise KnowledgeUnavailable(f"Retrieve failed: {type(error).__name__}") from error
    found = (passage_of(result, tenant) for result in answer.get("retrievalResults", ()))
    return merge([[passage for passage in found if passage is not None]], limit)


def search_configuration(tenant: str, limit: int) -> dict[str, Any]:
    """The `retrievalConfiguration` of Retrieve and of an agent's knowledge base: this tenant alone."""
    return {
        "vectorSearchConfiguration": {
            "numberOfResults": limit,
            "filter": {"equals": {"key": "tenant", "value": tenant}},
        }
    }


def passage_of(result: Mapping[str, Any], tenant: str) -> Passage | None:
    """A retrieval result or an agent's retrieved reference as a passage with marker 1.

    None if it is another tenant's, nobody's, or empty.
    """
    metadata = result.get("metadata") or {}
    text = _text(result.get("content") or {})
    if metadata.get("tenant") != tenant or not text.strip():
        return None
    uri = str(metadata.get(_SOURCE_URI) or _location(result.get("location") or {}))
    identity = metadata.get(_CHUNK_ID) or hashlib.sha256(f"{uri}\0{text}".encode()).hexdigest()[:32]
    return Passage(
        marker=1,
        passage_id=str(identity),
        document=_document(uri, tenant),
        text=text,
        source_uri=uri,
        score=_score(result.get("score")),
    )


def merge(found: Sequence[Sequence[Passage]], limit: int = 10) -> list[Passage]:
    """The passages of several searches as one list: markers 1..n, no duplicates, best score first.

    At most `limit`; the best of each search is kept before the second best of any, so that one search with
    high scores does not crowd out the others.
    """
    best: dict[str, Passage] = {}
    rank: dict[str, int] = {}
    seen_text: dict[str, str] = {}
    for passages in found:
        for place, passage in enumerate(sorted(passages, key=lambda p: -p.score)):
            # The same words in two places are one piece of evidence.
            key = seen_text.setdefault(" ".join(passage.text.split()), passage.passage_id)
            if passage.passage_id in best:
                key = passage.passage_id
            rank[key] = min(place, rank.get(key, place))
            if key not in best or passage.score > best[key].score:
                best[key] = passage
    firsts = [key for key in best if rank[key] == 0]
    others = [key for key in best if rank[key] > 0]
    kept = [*_by_score(firsts, best), *_by_score(others, best)][:limit]
    return numbered(best[key] for key in _by_score(kept, best))


def numbered(passages: Iterable[Passage]) -> list[Passage]:
    """The same passages with markers 1..n in their order."""
    return [passage.model_copy(update={"marker": marker}) for marker, passage in enumerate(passages, 1)]


def _by_score(keys: Iterable[str], passages: Mapping[str, Passage]) -> list[str]:
    return sorted(keys, key=lambda key: -passages[key].score)


def _text(content: Mapping[str, Any]) -> str:
    if content.get("row"):
        cells = ((cell.get("columnName", ""), cell.get("columnValue", "")) for cell in content["row"])
        return "; ".join(f"{name}: {value}" for name, value in cells)
    return str(content.get("text") or "")


def _location(location: Mapping[str, Any]) -> str:
    for place in location.values():
        if isinstance(place, Mapping):
            return str(place.get("uri") or place.get("url") or place.get("id") or "")
    return ""


def _document(uri: str, tenant: str) -> str:
    """`docs/limits.md` for `s3://bucket/tenant/docs/limits.md`: the path below the tenant's folder."""
    _, scheme, rest = uri.partition("://")
    path = rest.partition("/")[2] if scheme else uri
    parts = path.split("/")
    below = parts[parts.index(tenant) + 1 :] if tenant in parts else []
    return "/".join(below) or path or uri


def _score(value: Any) -> float:
    """Stores disagree about the scale of their scores; ours lie between 0 and 1."""
    if not isinstance(value, int | float) or math.isnan(value):
        return 0.0
    return min(1.0, max(0.0, float(value)))
