"""The bound of a call's cost: never below what it can cost, and asked before each call."""

from decimal import Decimal

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, EventStreamError, ReadTimeoutError
from langchain_core.language_models import BaseChatModel
from pydantic import ConfigDict

from countersign.errors import BudgetExhausted, ModelThrottled, ModelUnavailable, StepError
from countersign_llm import roles
from countersign_llm.allowance import TOOL_TOKENS, Allowance, most_tokens, worst_usd
from countersign_llm.model import may_be_billed, named_errors
from countersign_llm.roles import UNBOUNDED
from countersign_llm.schemas import WorkPlan
from countersign_llm.usage import cost_usd
from tests.unit.test_roles import MODEL_ID, PLAN, REQUEST, ScriptedChat, answer

NOVA = "amazon.nova-pro-v1:0"


class BoundedChat(ScriptedChat):
    """A scripted model whose answers are cut off at some length."""

    model_config = ConfigDict(protected_namespaces=())

    max_tokens: int = 4_096
    model_id: str = MODEL_ID


def asked(model: BaseChatModel, left: Decimal | None) -> int:
    return len(roles.plan(model, REQUEST, [], allowance=Allowance(left))[1])


def needed(answers: list[object], left: Decimal) -> tuple[Decimal, int, BoundedChat]:
    """What a planner that stopped for money says it needs, and for how many calls it had paid."""
    model = BoundedChat(answers=answers)
    with pytest.raises(BudgetExhausted) as stopped:
        asked(model, left)
    assert stopped.value.needed_usd is not None
    return stopped.value.needed_usd, len(stopped.value.calls), model


@pytest.mark.parametrize(
    ("text", "at_least"),
    [("", 0), ("plain", 5), ("日本語", 9), ("🙂", 4), ("\ufdfa", 33), ("e\u0301", 3), ("\ud800", 1)],
)
def test_a_text_has_no_more_tokens_than_bytes_in_its_longer_form(text: str, at_least: int) -> None:
    assert most_tokens(text) >= at_least


def test_the_bound_covers_the_tool_the_answer_and_a_written_cache() -> None:
    worst = worst_usd(MODEL_ID, ["x" * 1_000], WorkPlan, 4_096)
    assert worst is not None
    fresh = cost_usd(MODEL_ID, input_tokens=1_000 + TOOL_TOKENS, output_tokens=4_096)
    cached = cost_usd(MODEL_ID, input_tokens=0, cache_write_tokens=1_000 + TOOL_TOKENS, output_tokens=4_096)
    assert fresh is not None
    assert cached is not None
    assert worst > cached > fresh
    assert worst_usd("acme.unknown-v1:0", ["x"], WorkPlan, 10) is None


def test_a_call_that_does_not_fit_is_not_made() -> None:
    worst, paid, model = needed([answer(PLAN, tool="WorkPlan")], Decimal("0.001"))
    assert (paid, model.asked) == (0, [])
    fits = BoundedChat(answers=[answer(PLAN, tool="WorkPlan")])
    assert asked(fits, worst) == 1


def test_asking_again_is_asked_for_too_and_with_what_it_says_it_needs_it_ends() -> None:
    nonsense, good = answer({"steps": []}, tool="WorkPlan"), answer(PLAN, tool="WorkPlan")
    first, _, _ = needed([good], Decimal(0))
    whole, paid, model = needed([nonsense, good], first)
    assert (paid, len(model.asked)) == (1, 1)
    assert whole > 2 * first
    fits = BoundedChat(answers=[nonsense, good])
    assert asked(fits, whole) == 2


def test_without_a_known_price_or_outside_of_a_case_nothing_stops() -> None:
    for model_id, left in (("acme.unknown-v1:0", Decimal(0)), (MODEL_ID, None)):
        model = BoundedChat(answers=[answer(PLAN, tool="WorkPlan")], model_id=model_id)
        assert asked(model, left) == 1
    assert UNBOUNDED.left_usd is None


def client_error(kind: type[ClientError], code: str) -> ClientError:
    return kind({"Error": {"Code": code, "Message": ""}}, "Converse")


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (client_error(ClientError, "ThrottlingException"), False),
        (client_error(ClientError, "ServiceUnavailableException"), False),
        (client_error(EventStreamError, "modelStreamErrorException"), True),
        (ReadTimeoutError(endpoint_url="https://bedrock"), True),
        (EndpointConnectionError(endpoint_url="https://bedrock"), False),
    ],
)
def test_a_call_nobody_heard_the_end_of_may_be_on_the_bill(error: Exception, billed: bool) -> None:
    with pytest.raises(StepError) as named, named_errors():
        raise error
    assert isinstance(named.value, ModelThrottled | ModelUnavailable)
    assert may_be_billed(named.value) is billed


def test_what_may_be_on_the_bill_is_assumed_at_its_worst() -> None:
    model = BoundedChat(answers=[ReadTimeoutError(endpoint_url="https://bedrock")])
    with pytest.raises(ModelUnavailable) as failed:
        asked(model, Decimal(1))
    worst, _, _ = needed([answer(PLAN, tool="WorkPlan")], Decimal(0))
    assert failed.value.assumed_usd == worst


def test_an_ordinary_case_fits_into_one_part_of_the_default_model() -> None:
    """Three calls over five passages; each leaves room for the worst of the next."""
    worst = [worst_usd(NOVA, ["x" * size], WorkPlan, 4_096) for size in (3_000, 13_000, 15_000)]
    spent = cost_usd(NOVA, input_tokens=2 * 4_000, output_tokens=2 * 500)
    assert spent is not None
    assert all(each is not None and each + spent < Decimal("0.05") for each in worst)
