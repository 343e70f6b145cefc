"""Slots and money, on the deployed machine: what is parked, what starts again, and what is never called."""

import datetime as dt
from decimal import Decimal

import pytest

from countersign.claims import LEASE_S, Asked, Claims, Usage
from countersign.clock import instant
from countersign.models import CaseRef
from countersign.spending import Hold, Limits, usd
from local.bedrock.script import Throttle
from local.faults import Crash
from tests.workflow.conftest import Desk

ASKED = "How often is delivery of a signed reply tried, and within how many hours?"
CAP = Decimal("0.20")
NARROW = pytest.mark.parametrize("parameters", [{"DailyBudgetUsd": str(CAP), "MaxCasesAtOnce": "1"}])
OTHER = CaseRef(tenant="default", case_id="c-other")
THROTTLED_CALLS = 7
"""One, and the six that the machine's retry policy adds."""


def now(desk: Desk) -> dt.datetime:
    return dt.datetime.fromtimestamp(desk.stack.clock.now(), dt.UTC)


def claims(desk: Desk) -> Claims:
    return Claims(desk.stack.client("dynamodb"), desk.stack.resource("ClaimsTable"))


def usage(desk: Desk) -> Usage:
    return claims(desk).usage("default", f"{now(desk):%Y-%m-%d}")


def another_case_holds(desk: Desk, amount: Decimal, slots: int = 1) -> Hold:
    at = now(desk)
    asked = Asked(OTHER, f"r1#{at}", amount, Decimal(0), instant(at))
    return claims(desk).take(asked, Limits(CAP, amount, slots), at)


def prompts(desk: Desk) -> int:
    """How often a model was called."""
    return sum(request.operation in ("Converse", "ConverseStream") for request in desk.app.bedrock.requests)


@NARROW
def test_without_money_a_case_is_parked_and_starts_the_next_day(desk: Desk) -> None:
    left = CAP - usd(usage(desk).used)
    another_case_holds(desk, left - Decimal("0.01"), slots=9)
    sent = now(desk)
    case_id = desk.send(ASKED)
    case = desk.until_status(case_id, "parked")
    assert case["waiting_for"] == "budget"
    assert prompts(desk) == 0
    limits = desk.get("/limits")
    assert (limits["parked"]["budget"], limits["parked"]["slot"]) == (1, 0)
    case = desk.until_status(case_id, "awaiting_approval", days=1)
    assert case["waiting_for"] is None
    assert now(desk).date() == sent.date() + dt.timedelta(days=1)
    assert desk.events(case_id).count("case.parked") == 1
    assert claims(desk).settle(
        OTHER, claims(desk).held_by(OTHER, now(desk)) or pytest.fail("lost"), Decimal(0)
    )


@NARROW
def test_without_a_slot_a_case_is_parked_and_starts_when_one_is_free(desk: Desk) -> None:
    hold = another_case_holds(desk, Decimal("0.01"))
    case_id = desk.send(ASKED)
    assert desk.until_status(case_id, "parked")["waiting_for"] == "slot"
    assert [lease["case_id"] for lease in desk.get("/limits")["leases"]] == [OTHER.case_id]
    claims(desk).settle(OTHER, hold, Decimal(0))
    desk.until_status(case_id, "awaiting_approval")
    assert not usage(desk).holders, "whoever thinks holds no slot"


@NARROW
def test_the_slot_of_a_case_that_crashed_comes_free_by_itself(desk: Desk) -> None:
    def broken(moment: str, function: str, service: str, operation: str, params: object) -> Exception | None:
        return RuntimeError("a bug") if function == "plan_work" else None

    def never_told(moment: str, function: str, service: str, operation: str, params: object) -> Crash | None:
        return Crash() if function == "fail_case" else None

    mend = desk.stack.faults.add(broken)
    desk.stack.faults.add(never_told)
    crashed = desk.send(ASKED)
    desk.until(lambda: desk.execution(crashed)["status"] == "FAILED", days=0.1)
    mend()
    assert set(usage(desk).holders) == {crashed}
    until = usage(desk).holders[crashed]
    case_id = desk.send(ASKED)
    assert desk.until_status(case_id, "parked")["waiting_for"] == "slot"
    desk.until_status(case_id, "awaiting_approval", days=2 * LEASE_S / 86_400)
    assert desk.stack.clock.now() >= until


@NARROW
def test_a_case_that_is_sent_back_needs_slot_and_money_again(desk: Desk) -> None:
    case_id = desk.send(ASKED)
    first = desk.until_status(case_id, "awaiting_approval", days=1)
    spent = usd(usage(desk).used)
    hold = another_case_holds(desk, Decimal("0.01"))
    called = prompts(desk)
    assert desk.decide(case_id, "respond", reason="Shorter.").status == 200
    assert desk.until_status(case_id, "parked")["waiting_for"] == "slot"
    assert prompts(desk) == called
    claims(desk).settle(OTHER, hold, Decimal(0))
    case = desk.until_status(case_id, "awaiting_approval")
    assert case["approval_id"] != first["approval_id"]
    assert prompts(desk) == called + 2, "what was planned is not planned again"
    assert usd(usage(desk).used) > spent
    assert case_id not in usage(desk).held


@pytest.mark.parametrize("parameters", [{"DailyBudgetUsd": "0.01"}])
def test_a_model_whose_call_could_pass_the_cap_is_never_called(desk: Desk) -> None:
    case_id = desk.send(ASKED)
    card = desk.waiting(case_id)
    assert card["reason"] == "BudgetTooSmall"
    assert prompts(desk) == 0
    assert usage(desk).used == 0
    assert desk.decide(case_id, "edit", text="We try ten times.").status == 200
    desk.until_status(case_id, "delivered")


@pytest.mark.parametrize("parameters", [{"CaseReserveUsd": "0.001"}])
def test_a_case_takes_as_much_as_its_next_call_may_cost(desk: Desk) -> None:
    case_id = desk.send(ASKED)
    desk.waiting(case_id)
    case = desk.case(case_id)
    assert prompts(desk) == case["usage"]["model_calls"] == 3
    stopped = [line["event"] for line in case["timeline"] if line["detail"].get("error") == "BudgetExhausted"]
    assert stopped == ["step.plan_work", "step.write_draft", "step.review_draft"]
    day = usage(desk)
    assert not day.held
    assert usd(day.used) - Decimal(case["cost_usd"]) < Decimal("0.00001"), "what was not spent is given back"


def test_an_approved_case_takes_forty_calls_and_twenty_transitions(desk: Desk) -> None:
    desk.waiting(desk.send(ASKED))  # the first of a day makes the day's rows
    desk.stack.meter.reset()
    case_id = desk.send(ASKED)
    desk.waiting(case_id)
    desk.decide(case_id, "approve")
    desk.until_status(case_id, "delivered")
    arn = desk.execution(case_id)["executionArn"]
    counts = desk.stack.meter.snapshot()
    assert counts.transitions[arn] <= 20
    made = [number for (_, _, caller), number in counts.calls.items() if caller in FUNCTIONS_OF_A_CASE]
    assert sum(made) <= 30, "and ten of the webhook, the start, the card and the decision"


FUNCTIONS_OF_A_CASE = {
    "open_case",
    "screen_input",
    "reserve_budget",
    "recall_memory",
    "plan_work",
    "gather_evidence",
    "write_draft",
    "review_draft",
    "request_approval",
    "record_decision",
    "deliver_reply",
    "close_case",
}


@pytest.mark.parametrize("operation", ["ApplyGuardrail", "Converse", "Retrieve", "ConverseStream"])
def test_throttling_reaches_the_machine_and_nobody_else_tries_again(desk: Desk, operation: str) -> None:
    desk.app.bedrock.script(Throttle(), operation=operation, times=None)
    case_id = desk.send(ASKED)
    assert desk.waiting(case_id)["reason"] in ("ModelThrottled", "KnowledgeUnavailable")
    called = [request.operation for request in desk.app.bedrock.requests].count(operation)
    searches = 1 if operation != "Retrieve" else max(1, called // THROTTLED_CALLS)
    assert called == THROTTLED_CALLS * searches
    assert case_id not in usage(desk).held


@pytest.mark.parametrize("parameters", [{"Engine": "bedrock-agent"}])
def test_throttling_of_an_agent_reaches_the_machine(desk: Desk) -> None:
    desk.app.bedrock.script(Throttle(), operation="InvokeAgent", times=None)
    case_id = desk.send(ASKED)
    assert desk.waiting(case_id)["reason"] == "ModelThrottled"
    assert [r.operation for r in desk.app.bedrock.requests].count("InvokeAgent") == THROTTLED_CALLS
