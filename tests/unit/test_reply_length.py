"""How long a reply may be is known before anybody signs it: what is signed is what is sent."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from countersign.approvals import Person
from countersign.decisions import Approval, ApprovalStatus, DecisionBody
from countersign.errors import InvalidRequest
from countersign.models import CaseFile, Channel, Citation
from countersign.proposals import read_signed
from countersign.replies import LONGEST, marker, reply_words
from functions.record_decision.app import handler as record_decision
from local.outbox import LONGEST_COMMENT
from tests.unit.stores import APPROVAL, NOW, REF, TERMS, Context, Stores, case_file

EVENTS = Path(__file__).parents[2] / "events"
PERSON = Person("Alice", "api")
ADDRESSES: dict[Channel, str] = {
    "callback": "https://example.com/replies",
    "github_issue": "https://api.github.com/repos/acme/shop/issues/7/comments",
    "github_discussion": "D_kwDOA",
    "slack_thread": "C024BE91L/1772442300.000100",
}
CHANNELS = pytest.mark.parametrize("channel", ADDRESSES)


def written(channel: Channel, text: str, citations: list[Citation] | None = None) -> CaseFile:
    """A case with such a draft, whose reply goes out there."""
    file = case_file()
    round_ = file.rounds[0]
    assert round_.draft is not None
    draft = round_.draft.model_copy(update={"text": text, "citations": citations or [], "claims": []})
    destination = file.request.destination.model_copy(
        update={"channel": channel, "address": ADDRESSES[channel]}
    )
    request = file.request.model_copy(update={"destination": destination})
    return file.model_copy(update={"request": request}).with_round(round_.model_copy(update={"draft": draft}))


def request(stores: Stores, file: CaseFile) -> Approval:
    return stores.arbiter.request(stores.open(file), 1, TERMS, "token", NOW, None)


def decide(stores: Stores, approval: Approval, verdict: Any, text: str | None = None) -> Approval:
    body = DecisionBody(verdict=verdict, text=text, shown_sha256=approval.shown_sha256)
    return stores.arbiter.decide(approval, body, PERSON, NOW + timedelta(minutes=1))


def fitting(channel: Channel, character: str = "ä") -> str:
    """The longest text that the channel takes with what is added to it."""
    added = 0 if channel in {"callback", "slack_thread"} else len("\n\n" + marker(APPROVAL))
    return character * (LONGEST[channel] - added)


@CHANNELS
def test_the_longest_reply_is_approved_and_one_more_character_is_not(
    stores: Stores, channel: Channel
) -> None:
    approval = request(stores, written(channel, fitting(channel) + "ä"))
    assert approval.too_long_by == 1
    with pytest.raises(InvalidRequest, match="1 characters longer"):
        decide(stores, approval, "approve")
    assert stores.status() == "awaiting_approval"
    if channel != "callback":  # an edited text may not be longer in itself
        with pytest.raises(InvalidRequest, match="1 characters longer"):
            decide(stores, approval, "edit", fitting(channel) + "o")
    assert decide(stores, approval, "edit", fitting(channel)).verdict == "edit"


@CHANNELS
def test_a_reply_of_just_that_length_is_approved(stores: Stores, channel: Channel) -> None:
    approval = request(stores, written(channel, fitting(channel)))
    assert approval.too_long_by == 0
    signed = decide(stores, approval, "approve")
    assert signed.signed_key is not None
    proposal = read_signed(stores.files, signed.signed_key, str(signed.signed_sha256))
    assert len(reply_words(proposal)) == LONGEST[channel]


def test_what_github_adds_counts(stores: Stores) -> None:
    cited = case_file().rounds[0].draft
    assert cited is not None
    text = fitting("github_issue")
    added = len("\n\nSources:\n[1] docs/delivery.md\n[2] docs/limits.md")
    approval = request(stores, written("github_issue", text, cited.citations))
    assert approval.too_long_by == added
    # Without their markers in the text, an edit takes the sources out.
    assert decide(stores, approval, "edit", text[1:]).verdict == "edit"


def test_slack_s_escapes_count(stores: Stores) -> None:
    approval = request(stores, written("slack_thread", "&" * 10_000))
    assert approval.too_long_by == len("&amp;") * 10_000 - LONGEST["slack_thread"]


def test_the_outbox_refuses_what_github_refuses() -> None:
    assert LONGEST["github_issue"] == LONGEST_COMMENT


def test_where_the_policy_needs_nobody_a_reply_that_is_too_long_still_goes_to_a_person(
    stores: Stores,
) -> None:
    stores.open(written("slack_thread", "a" * (LONGEST["slack_thread"] + 1)))
    event = json.loads((EVENTS / "record_decision" / "no_person_needed.json").read_text())
    for _ in range(2):
        assert record_decision(event, Context(), stores.arbiter, stores.holds)["verdict"] == "again"
    row = stores.ledger.approval(REF, APPROVAL)
    assert row is not None
    assert (row.status, row.decided_by) == (ApprovalStatus.PENDING, None)
