"""What a step may still spend, asked before each call of a model.

A call's cost has a bound that is known before it is made. No tokenizer makes more tokens of a text than it
has bytes, in the form that takes more of them; the provider adds some for the tool; and the answer is cut off
at its maximum. That is several times what an ordinary call costs, and what is not spent is given back.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from pydantic import BaseModel

from countersign.errors import BudgetExhausted
from countersign.models import ModelCall
from countersign_llm.usage import most_usd

TOOL_TOKENS = 1_000
"""More than a provider adds around a forced tool and its messages: Anthropic documents at most 804."""


@dataclass(frozen=True)
class Allowance:
    """`left_usd` of what the case holds; None asks nothing, for calls outside of a case."""

    left_usd: Decimal | None = None

    def check(self, worst_usd: Decimal | None, whole_usd: Decimal | None, calls: Sequence[ModelCall]) -> None:
        """Before a call that costs `worst_usd` at most, after `calls` of the same step.

        `whole_usd` is what this call and those before it can cost at most: with that much the step does not
        stop here again. Without a known price nothing can be said, and nothing stops. Raises BudgetExhausted.
        """
        if self.left_usd is None or worst_usd is None:
            return
        spent = sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0))
        if spent + worst_usd > self.left_usd:
            raise BudgetExhausted(
                f"a call may cost {worst_usd} USD, and {self.left_usd - spent} are left",
                needed_usd=whole_usd,
                calls=calls,
            )


def worst_usd(
    model_id: str, texts: Iterable[str], schema: type[BaseModel] | None, max_tokens: int
) -> Decimal | None:
    """The most that one call with these texts can cost; None where the model has no known price."""
    tokens = sum(map(most_tokens, texts)) + (_schema_tokens(schema) if schema else 0) + TOOL_TOKENS
    return most_usd(model_id, input_tokens=tokens, output_tokens=max_tokens)


def most_tokens(text: str) -> int:
    """Bytes of UTF-8, of the text or of its compatibility form, which some tokenizers read instead."""
    written = len(text.encode("utf-8", "replace"))
    if text.isascii():
        return written
    return max(written, len(unicodedata.normalize("NFKC", text).encode("utf-8", "replace")))


@lru_cache(maxsize=16)
def _schema_tokens(schema: type[BaseModel]) -> int:
    """Twice the schema: on the wire its definitions stand where they are referred to."""
    return 2 * len(json.dumps(schema.model_json_schema()))
