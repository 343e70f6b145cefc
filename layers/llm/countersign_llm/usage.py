"""What a model call used and what it cost.

Bedrock counts cache reads and writes apart from `inputTokens`; LangChain's `usage_metadata` adds them in. A
`ModelCall` keeps them apart, so nothing is counted or charged twice. Prices are those that ship with
`genai-prices`; nothing is looked up over the network.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from genai_prices import Usage, calc_price

from countersign.models import ModelCall


def cost_usd(
    model_id: str,
    *,
    input_tokens: int,
    output_tokens: int,
    cache_read_tokens: int = 0,
    cache_write_tokens: int = 0,
    cache_write_1h_tokens: int = 0,
) -> Decimal | None:
    """US dollars for one call to a model on Bedrock, or None where no price is known.

    `input_tokens` excludes the cached ones; `cache_write_tokens` includes those kept for an hour. `model_id`
    may carry a region's prefix (`us.`, `eu.`, `global.`) or be an ARN that ends in a model's id.
    """
    usage = Usage(
        # The package takes the cached tokens as a part of the input and subtracts them again.
        input_tokens=input_tokens + cache_read_tokens + cache_write_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=cache_write_tokens,
        cache_write_1h_tokens=cache_write_1h_tokens,
    )
    try:
        return calc_price(usage, model_id.rpartition("/")[2], provider_id="aws").total_price
    except (LookupError, ValueError):
        return None


def most_usd(model_id: str, *, input_tokens: int, output_tokens: int) -> Decimal | None:
    """The most that a call of so many tokens can cost: its prompt may be written to the cache, or not."""
    fresh = cost_usd(model_id, input_tokens=input_tokens, output_tokens=output_tokens)
    cached = cost_usd(model_id, input_tokens=0, output_tokens=output_tokens, cache_write_tokens=input_tokens)
    return None if fresh is None or cached is None else max(fresh, cached)


def from_langchain(
    usage: Mapping[str, Any] | None,
    *,
    role: str,
    model_id: str,
    priced_as: str | None = None,
    prompt: str | None = None,
    latency_ms: float,
    ttft_ms: float | None = None,
) -> ModelCall:
    """The call whose answer carried this `usage_metadata`.

    `priced_as` is the model behind `model_id` where that is an inference profile's own ARN.
    """
    usage = usage or {}
    details = usage.get("input_token_details") or {}
    read = int(details.get("cache_read") or 0)
    for_an_hour = int(details.get("ephemeral_1h_input_tokens") or 0)
    written = int(details.get("cache_creation") or 0)
    # Where Bedrock says how long each write is kept, LangChain sets the total to zero.
    written += int(details.get("ephemeral_5m_input_tokens") or 0) + for_an_hour
    fresh = max(0, int(usage.get("input_tokens") or 0) - read - written)
    output = int(usage.get("output_tokens") or 0)
    return ModelCall(
        role=role,
        model_id=model_id,
        prompt=prompt,
        input_tokens=fresh,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        latency_ms=latency_ms,
        ttft_ms=ttft_ms,
        cost_usd=cost_usd(
            priced_as or model_id,
            input_tokens=fresh,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=for_an_hour,
        ),
    )
