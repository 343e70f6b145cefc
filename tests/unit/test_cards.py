"""What people are shown: the card of an approval, the timeline and the cost of a case."""

import pytest

from countersign.approvals import Person
from countersign.cards import case_answer, evidence_card, timeline
from countersign.decisions import DecisionBody
from countersign.models import CaseStatus, LedgerEvent, StepRecord
from countersign.proposals import read_signed
from tests.unit.stores import DRAFT, NOW, REF, TERMS, Stores, call, case_file


def test_a_timeline_holds_every_state_in_order() -> None:
    events = [
        LedgerEvent(at="2026-03-02T09:00:00.000Z", event="case.opened", actor="countersign"),
        LedgerEvent(
            at="2026-03-02T09:00:00.300Z",
            event="approval.requested",
            actor="countersign",
            detail={"version": 1},
        ),
    ]
    failed = StepRecord(
        state="Write Draft",
        round=1,
        at="2026-03-02T09:00:00.150Z",
        calls=[call("writer", 1, 2)],
        error="ModelThrottled",
    )
    lines = timeline(events, [*case_file().steps, failed])
    assert [line.event for line in lines] == [
        "case.opened",
        "step.plan_work",
        "step.write_draft",
        "step.write_draft",
        "approval.requested",
    ]
    assert lines[1].detail == {
        "steps": 1,
        "risk": "low",
        "input_tokens": 100,
        "output_tokens": 20,
        "model_calls": 1,
        "latency_ms": 12.5,
        "cost_usd": "0.0002",
    }
    assert (lines[2].detail["error"], lines[2].detail["round"]) == ("ModelThrottled", 1)
    assert lines[3].detail["input_tokens"] == 350


def test_a_step_says_when_the_first_token_of_its_streamed_answer_came() -> None:
    silent = call("writer", 1, 2)
    streamed = silent.model_copy(update={"ttft_ms": 4.26})
    later = silent.model_copy(update={"ttft_ms": 9.0})
    step = StepRecord(
        state="Write Draft", round=1, at="2026-03-02T09:00:00.000Z", calls=[silent, streamed, later]
    )
    [line] = timeline([], [step])
    assert (line.detail["ttft_ms"], line.detail["latency_ms"]) == (4.3, 37.5)


def test_a_step_that_asked_no_model_costs_nothing_to_say() -> None:
    step = StepRecord(state="Screen Input", round=0, at="2026-03-02T09:00:00.000Z", detail={"blocked": False})
    [line] = timeline([], [step])
    assert (line.event, line.detail) == ("step.screen_input", {"blocked": False})


def test_a_case_is_shown_with_its_draft_review_and_cost(stores: Stores) -> None:
    stores.open()
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    answer = case_answer(head, events, stores.files.read(REF))
    assert answer.draft is not None
    assert answer.draft.text == DRAFT
    assert answer.review is not None
    assert answer.usage.model_dump() == {"input_tokens": 450, "output_tokens": 60, "model_calls": 2}
    assert answer.cost_usd == "0.0004"
    assert (answer.approval_id, answer.outcome) == (None, None)


def test_an_erased_case_keeps_its_ledger(stores: Stores) -> None:
    stores.open()
    head, events, _ = stores.ledger.history(REF)
    assert head is not None
    answer = case_answer(head, events, None)
    assert (answer.draft, answer.review, answer.cost_usd) == (None, None, None)
    assert [line.event for line in answer.timeline] == ["case.opened"]


def test_a_card_shows_what_will_be_sent_and_then_what_was_decided(stores: Stores) -> None:
    approval = stores.arbiter.request(stores.open(), 1, TERMS, "token-1", NOW, None)
    proposal = read_signed(stores.files, approval.proposal_key, approval.shown_sha256)
    file = stores.files.read(REF)
    card = evidence_card(approval, proposal, file, None, off_since="2026-03-02T08:00:00.000Z")
    assert (card.will_send, card.too_long_by) == (DRAFT, 0)
    assert (card.request.text, card.request.link) == (file.request.text, file.request.link)
    assert card.passages == file.passages
    assert card.review == file.rounds[0].review
    assert card.destination.model_dump() == {
        "channel": "callback",
        "address": "https://example.com/replies",
        "off_since": "2026-03-02T08:00:00.000Z",
    }
    assert (card.decision, card.reviewer_score, card.risk) == (None, 0.8, "low")
    assert "token-1" not in card.model_dump_json()
    body = DecisionBody(verdict="reject", reason="No.", shown_sha256=approval.shown_sha256)
    decided = stores.arbiter.decide(approval, body, Person("Alice", "api"), NOW)
    card = evidence_card(decided, proposal, file, None)
    assert card.decision is not None
    assert (card.decision.verdict, card.decision.decided_by) == ("reject", "Alice")
    assert (card.decision.reason, card.decision.signed_sha256) == (None, None)


def test_what_has_no_known_price_is_no_zero() -> None:
    file = case_file()
    unknown = file.steps[0].calls[0].model_copy(update={"cost_usd": None})
    step = file.steps[0].model_copy(update={"calls": [unknown]})
    assert file.model_copy(update={"steps": [step]}).cost_usd() is None
    assert file.model_copy(update={"steps": []}).cost_usd() == 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(CaseStatus.FAILED, "StoreConflict"), (CaseStatus.QUEUED, None), (CaseStatus.RUNNING, None)],
)
def test_a_redriven_case_has_no_outcome_before_it_has_ended_again(
    stores: Stores, status: CaseStatus, outcome: str | None
) -> None:
    stores.open()
    at = "2026-03-02T10:00:00.000Z"
    stores.ledger.commit([stores.ledger.set_status(REF, status, at, outcome="StoreConflict")])
    head = stores.ledger.head(REF)
    assert head is not None
    assert case_answer(head, [], None).outcome == outcome
