"""The arbiter: one conditional write decides, whoever else decides, expires or escalates meanwhile."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from countersign.approvals import Arbiter, Person
from countersign.decisions import Approval, DecisionBody, DecisionDocument, Proposal
from countersign.errors import (
    AlreadyDecided,
    ApprovalExpired,
    ApprovalMissing,
    InvalidRequest,
    SignedBytesChanged,
    StaleCard,
    StoreConflict,
)
from countersign.ledger import Ledger
from countersign.models import Round, sha256_hex
from countersign.proposals import read_signed
from tests.unit.stores import APPROVAL, DRAFT, NOW, REF, TERMS, Stores, case_file, draft, review

ALICE, BOB = Person("Alice", "api", "u-1"), Person("Bob", "api", "u-2")
LATER = NOW + timedelta(minutes=5)
NEVER = "0" * 64


@pytest.fixture
def approval(stores: Stores) -> Approval:
    """A pending approval of a case with a draft, whose task waits under `token-1`."""
    return ask(stores)


def ask(stores: Stores, text: str | None = DRAFT, token: str = "token-1") -> Approval:
    file = stores.open(case_file(text=text))
    stores.tasks.waiting.add(token)
    return stores.arbiter.request(file, 1, TERMS, token, NOW, None if text else "ModelThrottled")


def body(approval: Approval, verdict: str = "approve", **words: Any) -> DecisionBody:
    return DecisionBody.model_validate({"verdict": verdict, "shown_sha256": approval.shown_sha256, **words})


def row(stores: Stores) -> Approval:
    found = stores.ledger.approval(REF, APPROVAL)
    assert found is not None
    return found


# Asking


def test_a_request_opens_a_row_over_the_hash_of_what_is_shown(stores: Stores, approval: Approval) -> None:
    assert row(stores) == approval
    stored = stores.files.get(approval.proposal_key)
    assert sha256_hex(stored) == approval.shown_sha256
    assert Proposal.model_validate_json(stored).text == DRAFT
    assert approval.expires_at == "2026-03-02T12:00:00.000Z"
    assert stores.status() == "awaiting_approval"
    assert stores.events() == ["case.opened", "approval.requested"]
    assert "token-1" not in repr(approval)


def test_the_same_task_asking_twice_changes_nothing(stores: Stores, approval: Approval) -> None:
    again = stores.arbiter.request(stores.files.read(REF), 1, TERMS, "token-1", LATER, None)
    assert again == row(stores) == approval


def test_a_new_task_takes_the_row_over_with_a_new_deadline(stores: Stores, approval: Approval) -> None:
    stores.arbiter.escalate(REF, APPROVAL, "token-2", LATER)
    again = stores.arbiter.request(stores.files.read(REF), 1, TERMS, "token-3", LATER, None)
    assert again == row(stores)
    assert (again.version, again.task_token, again.escalated) == (3, "token-3", False)
    assert again.expires_at == "2026-03-02T12:05:00.000Z"
    assert again.requested_at == approval.requested_at
    assert stores.events()[-2:] == ["approval.escalated", "approval.asked_again"]


def test_a_request_that_shows_something_else_makes_the_first_card_stale(stores: Stores) -> None:
    first = ask(stores, text=None)
    assert not first.has_draft
    file = stores.files.update(
        REF, lambda f: f.with_round(Round(number=1, draft=draft(DRAFT, f.passages), review=review()))
    )
    paid = file.steps[0].calls[0].model_copy(update={"cost_usd": Decimal("0.01")})
    file = file.model_copy(update={"steps": [file.steps[0].model_copy(update={"calls": [paid]})]})
    second = stores.arbiter.request(file, 1, TERMS, "token-2", LATER, None)
    assert (second.has_draft, second.reason, second.reviewer_score) == (True, None, 0.8)
    assert second.cost_usd == Decimal("0.01")
    assert second == row(stores)
    with pytest.raises(StaleCard):
        stores.arbiter.decide(first, body(first, "edit", text="Ten times."), ALICE, LATER)
    stores.arbiter.decide(second, body(second), ALICE, LATER)
    assert row(stores).signed_sha256 == second.shown_sha256


def test_asking_after_the_decision_answers_the_new_task_at_once(stores: Stores, approval: Approval) -> None:
    stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    stores.tasks.waiting.add("token-2")
    again = stores.arbiter.request(stores.files.read(REF), 1, TERMS, "token-2", LATER, None)
    assert again.verdict == "approve"
    assert stores.tasks.told[-1] == ("token-2", {"approval_id": APPROVAL, "version": 1})
    assert row(stores).version == 1


def test_a_new_task_that_cannot_be_told_of_the_decision_is_asked_for_again(
    stores: Stores, approval: Approval
) -> None:
    stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    stores.tasks.is_down = True
    with pytest.raises(StoreConflict):
        stores.arbiter.escalate(REF, APPROVAL, "token-2", LATER)


def test_an_escalation_keeps_what_is_shown(stores: Stores, approval: Approval) -> None:
    escalated = stores.arbiter.escalate(REF, APPROVAL, "token-2", LATER)
    assert escalated == row(stores)
    assert (escalated.version, escalated.escalated) == (2, True)
    assert escalated.shown_sha256 == approval.shown_sha256
    assert escalated.expires_at == approval.expires_at
    assert stores.arbiter.escalate(REF, APPROVAL, "token-2", LATER).version == 2


def test_there_must_be_a_row_to_escalate_or_expire(stores: Stores) -> None:
    with pytest.raises(ApprovalMissing):
        stores.arbiter.escalate(REF, APPROVAL, "token-2", NOW)
    with pytest.raises(ApprovalMissing):
        stores.arbiter.expire(REF, APPROVAL, NOW)


# Deciding


@pytest.mark.parametrize(
    ("verdict", "words", "status", "signed", "kept"),
    [
        ("approve", {}, "delivering", True, False),
        ("approve", {"reason": "Good."}, "delivering", True, True),
        ("edit", {"text": "Ten times [1]."}, "delivering", True, False),
        ("respond", {"reason": "Shorter."}, "running", False, True),
        ("reject", {"reason": "No."}, "running", False, True),
    ],
)
def test_a_decision_is_recorded_and_told(
    stores: Stores,
    approval: Approval,
    verdict: str,
    words: dict[str, str],
    status: str,
    signed: bool,
    kept: bool,
) -> None:
    decided = stores.arbiter.decide(approval, body(approval, verdict, **words), ALICE, LATER)
    assert decided == row(stores)
    assert (decided.status, decided.verdict) == ("decided", verdict)
    assert (decided.decided_by, decided.channel) == ("Alice", "api")
    assert decided.decided_at == "2026-03-02T09:05:00.000Z"
    assert stores.status() == status
    assert stores.tasks.told == [("token-1", {"approval_id": APPROVAL, "version": 1})]
    assert bool(decided.signed_key) is bool(decided.signed_sha256) is signed
    assert bool(decided.decision_key) is kept
    event = stores.ledger.history(REF)[1][-1]
    assert (event.event, event.actor) == (f"decision.{verdict}", "Alice")
    assert event.detail["subject"] == "u-1"
    if kept:
        document = stores.files.get_model(str(decided.decision_key), DecisionDocument)
        assert document.reason == words["reason"]
    assert all(word not in json.dumps(event.model_dump()) for word in words.values())


def test_approving_takes_three_calls(stores: Stores, approval: Approval) -> None:
    stores.calls.clear()
    stores.arbiter.decide(row(stores), body(approval), ALICE, LATER)
    assert [*stores.calls, *(["SendTaskSuccess"] * len(stores.tasks.told))] == [
        "GetItem",
        "TransactWriteItems",
        "SendTaskSuccess",
    ]


def test_an_edit_signs_its_own_words(stores: Stores, approval: Approval) -> None:
    decided = stores.arbiter.decide(approval, body(approval, "edit", text="Ten times [1]."), ALICE, LATER)
    assert decided.signed_sha256 != approval.shown_sha256
    signed = read_signed(stores.files, str(decided.signed_key), str(decided.signed_sha256))
    assert signed.text == "Ten times [1]."
    assert [citation.marker for citation in signed.citations] == [1]
    assert signed.claims == []
    shown = read_signed(stores.files, approval.proposal_key, approval.shown_sha256)
    assert signed.destination == shown.destination


def test_an_edit_that_changes_nothing_signs_what_was_shown(stores: Stores, approval: Approval) -> None:
    decided = stores.arbiter.decide(approval, body(approval, "edit", text=DRAFT), ALICE, LATER)
    assert (decided.verdict, decided.signed_sha256) == ("edit", approval.shown_sha256)
    assert decided.signed_key == approval.proposal_key


def test_without_a_draft_a_person_writes_the_reply(stores: Stores) -> None:
    approval = ask(stores, text=None)
    with pytest.raises(InvalidRequest):
        stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    decided = stores.arbiter.decide(approval, body(approval, "edit", text="Ten times."), ALICE, LATER)
    assert read_signed(stores.files, str(decided.signed_key), str(decided.signed_sha256)).text == "Ten times."


def test_without_a_draft_a_case_may_be_sent_back(stores: Stores) -> None:
    approval = ask(stores, text=None)
    decided = stores.arbiter.decide(approval, body(approval, "respond", reason="Try again."), ALICE, LATER)
    assert (decided.verdict, stores.status()) == ("respond", "running")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("edit", {}),
        ("edit", {"text": " \n"}),
        ("approve", {"text": "Other words."}),
        ("respond", {}),
        ("respond", {"reason": "  "}),
        ("respond", {"reason": "Shorter.", "text": "Ten."}),
        ("reject", {}),
    ],
)
def test_a_verdict_without_what_it_needs_changes_nothing(
    stores: Stores, approval: Approval, verdict: str, words: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequest):
        stores.arbiter.decide(approval, body(approval, verdict, **words), ALICE, LATER)
    assert row(stores) == approval
    assert stores.tasks.told == []


def test_a_decision_on_another_card_is_stale(stores: Stores, approval: Approval) -> None:
    with pytest.raises(StaleCard):
        stores.arbiter.decide(approval, DecisionBody(verdict="approve", shown_sha256=NEVER), ALICE, LATER)
    assert row(stores) == approval


@pytest.mark.parametrize(
    ("now", "is_late"),
    [
        (datetime.fromisoformat("2026-03-02T11:59:59.999Z"), False),
        (datetime.fromisoformat("2026-03-02T12:00:00Z"), True),
        (NOW + timedelta(days=9), True),
    ],
)
def test_the_deadline_is_kept_to_the_millisecond(
    stores: Stores, approval: Approval, now: datetime, is_late: bool
) -> None:
    if is_late:
        with pytest.raises(ApprovalExpired):
            stores.arbiter.decide(approval, body(approval), ALICE, now)
    else:
        stores.arbiter.decide(approval, body(approval), ALICE, now)
    assert (row(stores).status == "pending") is is_late


def test_the_deadline_that_counts_is_the_row_s(stores: Stores, approval: Approval) -> None:
    read_before = approval.model_copy(update={"expires_at": "2099-01-01T00:00:00.000Z"})
    with pytest.raises(ApprovalExpired):
        stores.arbiter.decide(read_before, body(approval), ALICE, NOW + timedelta(days=1))
    assert row(stores) == approval


# Races


def test_a_second_click_learns_of_the_first(stores: Stores, approval: Approval) -> None:
    stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    with pytest.raises(AlreadyDecided) as caught:
        stores.arbiter.decide(row(stores), body(approval), ALICE, LATER)
    assert (caught.value.decided_by, caught.value.verdict) == ("Alice", "approve")
    assert caught.value.decided_at == "2026-03-02T09:05:00.000Z"
    assert len(stores.tasks.told) == 1


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("approve", {}), ("edit", {"text": "Mine."}), ("reject", {"reason": "No."})],
)
def test_of_two_people_at_once_one_decides(
    stores: Stores, approval: Approval, verdict: str, words: dict[str, str]
) -> None:
    """Both read the row while it was pending."""
    stores.arbiter.decide(approval, body(approval, "respond", reason="Shorter."), ALICE, LATER)
    first = row(stores)
    with pytest.raises(AlreadyDecided) as caught:
        stores.arbiter.decide(approval, body(approval, verdict, **words), BOB, LATER)
    assert caught.value.decided_by == "Alice"
    assert row(stores) == first
    assert stores.files.get_model(str(first.decision_key), DecisionDocument).reason == "Shorter."
    assert len(stores.tasks.told) == 1


def test_an_escalation_while_somebody_decides_costs_them_nothing(stores: Stores, approval: Approval) -> None:
    """The card they saw is still the one that waits; the task that waits now is the one that is told."""
    stores.arbiter.escalate(REF, APPROVAL, "token-2", LATER)
    stores.tasks.waiting = {"token-2"}
    decided = stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    assert (decided.version, decided.escalated) == (2, True)
    assert stores.tasks.told == [("token-2", {"approval_id": APPROVAL, "version": 2})]


def test_an_escalation_that_comes_after_the_decision_is_answered_by_it(
    stores: Stores, approval: Approval
) -> None:
    """The first task had timed out when the person decided, so nobody was told."""
    stores.tasks.waiting = {"token-2"}
    stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    assert stores.tasks.told == []
    assert stores.arbiter.escalate(REF, APPROVAL, "token-2", LATER).verdict == "approve"
    assert [token for token, _ in stores.tasks.told] == ["token-2"]


def test_expiry_and_decision_exclude_each_other(stores: Stores, approval: Approval) -> None:
    assert stores.arbiter.expire(REF, APPROVAL, LATER).status == "expired"
    assert stores.arbiter.expire(REF, APPROVAL, LATER).status == "expired"
    with pytest.raises(ApprovalExpired):
        stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    assert stores.events() == ["case.opened", "approval.requested", "approval.expired"]


def test_a_decision_just_before_stands_against_expiry(stores: Stores, approval: Approval) -> None:
    stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    assert stores.arbiter.expire(REF, APPROVAL, LATER).verdict == "approve"
    assert "approval.expired" not in stores.events()


def test_a_crash_between_writing_and_telling_loses_no_decision(stores: Stores, approval: Approval) -> None:
    stores.tasks.is_down = True
    decided = stores.arbiter.decide(approval, body(approval), ALICE, LATER)
    assert decided == row(stores)
    stores.tasks.is_down = False
    assert stores.arbiter.tell(row(stores))
    assert not stores.arbiter.tell(row(stores))
    assert stores.tasks.told == [("token-1", {"approval_id": APPROVAL, "version": 1})]


class Contended(Ledger):
    """A ledger whose first `conflicts` transactions meet another writer."""

    conflicts = 0

    def commit(self, writes: Any) -> None:
        batch = list(writes)
        if len(batch) > 1 and self.conflicts:
            self.conflicts -= 1
            raise StoreConflict("somebody else was writing the same rows")
        super().commit(batch)


@pytest.mark.parametrize(
    "act",
    [
        lambda arbiter, approval: arbiter.decide(approval, body(approval), ALICE, LATER),
        lambda arbiter, approval: arbiter.escalate(REF, APPROVAL, "token-2", LATER),
        lambda arbiter, approval: arbiter.expire(REF, APPROVAL, LATER),
    ],
)
@pytest.mark.parametrize("conflicts", [1, 3, 4])
def test_writers_at_the_same_rows_are_waited_out(
    stores: Stores, approval: Approval, act: Callable[[Arbiter, Approval], Approval], conflicts: int
) -> None:
    contended = Contended(stores.db, "cases")
    contended.conflicts = conflicts
    arbiter = Arbiter(contended, stores.files, stores.tasks)
    if conflicts < 4:
        assert act(arbiter, approval) == row(stores) != approval
    else:
        with pytest.raises(StoreConflict):
            act(arbiter, approval)
        assert row(stores) == approval


# The bytes


def test_what_is_read_is_what_was_signed(stores: Stores, approval: Approval) -> None:
    stored = stores.files.get(approval.proposal_key)
    stores.s3.put_object(
        Bucket="files", Key=approval.proposal_key, Body=stored.replace(b"ten times", b"one time.")
    )
    with pytest.raises(SignedBytesChanged):
        read_signed(stores.files, approval.proposal_key, approval.shown_sha256)
    with pytest.raises(SignedBytesChanged):
        stores.arbiter.decide(approval, body(approval, "edit", text="Ten."), ALICE, LATER)
    assert row(stores) == approval
