"""Token counts and the prompt cache, as the usage of an answer reports them."""

import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_PIECE = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_+")
_LETTERS_PER_TOKEN = 5
_DIGITS_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 1600
_TTL_S = {"5m": 300.0, "1h": 3600.0}
_CACHED_PREFIXES = 512

Usage = dict[str, Any]
"""Converse's TokenUsage."""


def count_text(text: str) -> int:
    """An estimate: a token per five letters of a word, three digits of a number, or sign.

    Letters beyond ASCII (other scripts have no spaces to go by) count one each.
    """
    total = 0
    for piece in _PIECE.findall(text):
        if not piece.isascii():
            total += -(-len(piece.encode()) // 3)
        elif piece[0].isdigit():
            total += -(-len(piece) // _DIGITS_PER_TOKEN)
        else:
            total += -(-len(piece) // _LETTERS_PER_TOKEN)
    return total


def count_request(params: Mapping[str, Any]) -> int:
    """The input tokens of a Converse request."""
    return sum(count for count, _, _ in _pieces(params))


def count_content(content: list[dict[str, Any]]) -> int:
    """The tokens of content blocks."""
    return sum(_count_block(block) for block in content)


class PromptCache:
    """Remembers which prefixes of prompts a model has seen, up to each cache point.

    A prefix lives for its point's `ttl` and is renewed by use. The smallest prefix that the real service
    caches differs by model (1,024 tokens and more); here any length is cached, so that small prompts show it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._expiry: OrderedDict[str, float] = OrderedDict()

    def usage(self, params: Mapping[str, Any], output_tokens: int) -> Usage:
        """The usage of a request. `inputTokens` are those neither read from the cache nor written to it."""
        total, read, written = 0, 0, 0
        details: dict[str, int] = {}
        has_points = False
        digest = hashlib.sha256(str(params.get("modelId")).encode())
        with self._lock:
            for count, text, ttl in _pieces(params):
                total += count
                if ttl is None:
                    digest.update(text.encode())
                    continue
                has_points = True
                if self._seen(digest.hexdigest(), ttl):
                    read, written, details = total, 0, {}
                else:
                    fresh = total - read - written
                    written += fresh
                    if fresh:
                        details[ttl] = details.get(ttl, 0) + fresh
        usage: Usage = {
            "inputTokens": total - read - written,
            "outputTokens": output_tokens,
            "totalTokens": total + output_tokens,
        }
        if has_points:
            usage |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
        if details:
            usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in details.items()]
        return usage

    def _seen(self, prefix: str, ttl: str) -> bool:
        now = self._now()
        seen = self._expiry.pop(prefix, 0.0) > now
        self._expiry[prefix] = now + _TTL_S[ttl]
        if len(self._expiry) > _CACHED_PREFIXES:
            self._expiry.popitem(last=False)
        return seen


def _pieces(params: Mapping[str, Any]) -> Iterator[tuple[int, str, str | None]]:
    """The prompt in the order in which it is cached, as (tokens, text, ttl of a cache point or None)."""
    for tool in params.get("toolConfig", {}).get("tools", ()):
        yield _piece(tool)
    for block in params.get("system", ()):
        yield _piece(block)
    for message in params.get("messages", ()):
        yield _TOKENS_PER_MESSAGE, message["role"], None
        for block in message["content"]:
            yield _piece(block)


def _piece(block: Mapping[str, Any]) -> tuple[int, str, str | None]:
    if "cachePoint" in block:
        return 0, "", block["cachePoint"].get("ttl", "5m")
    return _count_block(block), _text(block), None


def _count_block(block: Mapping[str, Any]) -> int:
    if "image" in block or "video" in block:
        return _TOKENS_PER_IMAGE
    return count_text(block["text"] if "text" in block else _text(block))


def _text(block: Mapping[str, Any]) -> str:
    return json.dumps(block, sort_keys=True, ensure_ascii=False, default=repr)
