"""Tokens are counted once and priced by the published prices."""

from decimal import Decimal
from typing import Any

import pytest

from countersign_llm.usage import cost_usd, from_langchain

SONNET = "anthropic.claude-sonnet-4-20250514-v1:0"
"""3 dollars per million tokens in, 15 out, 0.30 read from the cache, 3.75 written to it."""


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        (SONNET, "0.0045"),
        (f"us.{SONNET}", "0.0045"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{SONNET}", "0.0045"),
        ("apac.amazon.nova-lite-v1:0", "0.000084"),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "0.0015"),
        # Anthropic's regional endpoints cost a tenth more than the global one.
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "0.00165"),
        ("nobody.has-this-model-v1:0", None),
        ("", None),
    ],
)
def test_the_price_of_a_call(model_id: str, expected: str | None) -> None:
    cost = cost_usd(model_id, input_tokens=1000, output_tokens=100)
    assert cost == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("details", "counted", "expected"),
    [
        ({}, (1000, 0, 0), "0.0030"),
        ({"cache_read": 900, "cache_creation": 0}, (100, 900, 0), "0.00057"),
        ({"cache_read": 0, "cache_creation": 800}, (200, 0, 800), "0.0036"),
        ({"cache_read": 600, "cache_creation": 300}, (100, 600, 300), "0.001605"),
        ({"cache_creation": 0, "ephemeral_5m_input_tokens": 800}, (200, 0, 800), "0.0036"),
    ],
)
def test_cached_tokens_are_counted_apart_and_charged_once(
    details: dict[str, int], counted: tuple[int, int, int], expected: str
) -> None:
    usage: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 0, "input_token_details": details}
    call = from_langchain(usage, role="writer", model_id=SONNET, latency_ms=12.5)
    assert (call.input_tokens, call.cache_read_tokens, call.cache_write_tokens) == counted
    assert call.cost_usd == Decimal(expected)


def test_what_is_kept_for_an_hour_has_its_own_price() -> None:
    details = {"cache_creation": 0, "ephemeral_1h_input_tokens": 1000}
    usage = {"input_tokens": 1000, "output_tokens": 0, "input_token_details": details}
    model = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
    call = from_langchain(usage, role="writer", model_id=model, latency_ms=1)
    assert call.cache_write_tokens == 1000
    assert call.cost_usd == Decimal("0.006")


def test_an_answer_without_usage_counts_nothing() -> None:
    call = from_langchain(None, role="planner", model_id=SONNET, prompt="plan_work@1", latency_ms=3)
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (0, 0, Decimal(0))
    assert (call.prompt, call.ttft_ms) == ("plan_work@1", None)


def test_a_profile_of_ones_own_is_priced_as_the_model_behind_it() -> None:
    profile = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
    usage = {"input_tokens": 1000, "output_tokens": 100}
    assert from_langchain(usage, role="writer", model_id=profile, latency_ms=1).cost_usd is None
    call = from_langchain(usage, role="writer", model_id=profile, priced_as=SONNET, latency_ms=1)
    assert (call.model_id, call.cost_usd) == (profile, Decimal("0.0045"))
