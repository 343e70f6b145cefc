"""Embeddings for InvokeModel: hashed words and letter groups, deterministic and normalised.

A stand-in: texts that share words are near each other, texts that only mean the same are not. Titan's and
Cohere's request and answer shapes are spoken.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import log1p, sqrt
from typing import Any

from local.bedrock.errors import ValidationError
from local.bedrock.tokens import count_text
from local.bedrock.words import stems

_TITAN_DIMENSIONS = (256, 512, 1024)
_TITAN_LONGEST = 50_000
_COHERE_DIMENSIONS = 1024
_COHERE_V4_DIMENSIONS = (256, 512, 1024, 1536)
_COHERE_INPUTS = ("search_document", "search_query", "classification", "clustering", "image")
_COHERE_MOST_TEXTS = 96
_GROUP = 4
_GROUP_SHARE = 0.3


def embed(text: str, dimensions: int, *, normalise: bool = True) -> list[float]:
    """The vector of a text; of length 1 if normalised, all zeros for a text without words."""
    values = [0.0] * dimensions
    for feature, weight in _features(text):
        number = _hash(feature)
        values[number % dimensions] += weight if number >> 63 else -weight
    if not normalise:
        return values
    length = sqrt(sum(value * value for value in values))
    return [value / length for value in values] if length else values


def invoke_embedding(model_id: str, body: bytes) -> tuple[dict[str, Any], int]:
    """An embedding model's answer to an InvokeModel body, and its input tokens. Raises ValidationError."""
    try:
        request = json.loads(body)
    except ValueError as problem:
        raise ValidationError(
            "Malformed input request, please reformat your input and try again."
        ) from problem
    if not isinstance(request, dict):
        raise ValidationError("Malformed input request: expected type: JSONObject")
    for name, answer in _FAMILIES.items():
        if name in model_id:
            return answer(model_id, request)
    raise ValidationError(
        f"The offline Bedrock embeds by Titan v2 and Cohere only, not by {model_id}; ask "
        "text models by Converse."
    )


def _titan(_: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    text = request.get("inputText")
    if not isinstance(text, str) or not 1 <= len(text) <= _TITAN_LONGEST:
        raise ValidationError(f"inputText must be a text of 1 to {_TITAN_LONGEST} characters")
    dimensions = request.get("dimensions", _TITAN_DIMENSIONS[-1])
    if dimensions not in _TITAN_DIMENSIONS:
        raise ValidationError(f"dimensions must be one of {_TITAN_DIMENSIONS}")
    unknown = set(request) - {"inputText", "dimensions", "normalize", "embeddingTypes"}
    if unknown:
        raise ValidationError(f"Malformed input request: extraneous key {sorted(unknown)} is not permitted")
    vector = embed(text, dimensions, normalise=request.get("normalize", True))
    by_type: dict[str, Any] = {}
    for kind in request.get("embeddingTypes", ["float"]):
        if kind not in ("float", "binary"):
            raise ValidationError("embeddingTypes must be float or binary")
        by_type[kind] = vector if kind == "float" else [int(value > 0) for value in vector]
    count = count_text(text)
    answer = {"embeddingsByType": by_type, "inputTextTokenCount": count}
    if "float" in by_type:
        answer["embedding"] = vector
    return answer, count


def _cohere(model_id: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    texts = request.get("texts")
    if not isinstance(texts, list) or not 1 <= len(texts) <= _COHERE_MOST_TEXTS:
        raise ValidationError(f"texts must be a list of 1 to {_COHERE_MOST_TEXTS} texts")
    if not all(isinstance(text, str) for text in texts):
        raise ValidationError("texts must hold texts")
    if request.get("input_type") not in _COHERE_INPUTS:
        raise ValidationError(f"input_type must be one of {_COHERE_INPUTS}")
    dimensions = request.get("output_dimension", _COHERE_DIMENSIONS)
    allowed = _COHERE_V4_DIMENSIONS if "embed-v4" in model_id else (_COHERE_DIMENSIONS,)
    if dimensions not in allowed:
        raise ValidationError(f"output_dimension must be one of {allowed}")
    kinds = request.get("embedding_types")
    vectors = [embed(text, dimensions) for text in texts]
    answer: dict[str, Any] = {"id": _text_id(texts), "texts": texts}
    if kinds is None:
        answer |= {"response_type": "embeddings_floats", "embeddings": vectors}
    else:
        embeddings = {kind: [_cohere_typed(vector, kind) for vector in vectors] for kind in kinds}
        answer |= {"response_type": "embeddings_by_type", "embeddings": embeddings}
    return answer, sum(count_text(text) for text in texts)


def _cohere_typed(vector: list[float], kind: str) -> list[float] | list[int]:
    if kind == "float":
        return vector
    if kind == "int8":
        return [max(-128, min(127, round(value * 127))) for value in vector]
    if kind == "uint8":
        return [max(0, min(255, round(value * 127) + 128)) for value in vector]
    raise ValidationError("embedding_types must be float, int8 or uint8")


_FAMILIES: dict[str, Callable[[str, Mapping[str, Any]], tuple[dict[str, Any], int]]] = {
    "amazon.titan-embed-text-v2": _titan,
    "cohere.embed": _cohere,
}


def _features(text: str) -> list[tuple[str, float]]:
    """Words with the logarithm of their count, and a share of that for their groups of letters."""
    found: list[tuple[str, float]] = []
    for stem, count in Counter(stems(text)).items():
        weight = 1 + log1p(count - 1)
        found.append((stem, weight))
        framed = f"<{stem}>"
        groups = [framed[at : at + _GROUP] for at in range(max(1, len(framed) - _GROUP + 1))]
        found += [(f"#{group}", weight * _GROUP_SHARE / sqrt(len(groups))) for group in groups]
    return found


@lru_cache(maxsize=65536)
def _hash(feature: str) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())


def _text_id(texts: list[str]) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()
