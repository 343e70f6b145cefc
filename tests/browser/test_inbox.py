"""The approvals inbox over a small API: what a person sees, what is sent, what is said when it goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import FakeApi, Inbox

Json = dict[str, Any]
MakeCard = Callable[..., Json]


# Signing in


def test_a_token_in_the_address_signs_in_and_leaves_the_address(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = api.add(make_card(1))
    inbox.open(f"token={api.token}&approval={card['approval_id']}")
    inbox.see("#card-title", card["subject"])
    assert api.token not in inbox.driver.current_url
    assert inbox.driver.current_url.endswith(f"#approval={card['approval_id']}")
    inbox.driver.back()
    assert api.token not in inbox.driver.current_url


def test_a_typed_token_signs_in_and_sign_out_forgets_it(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    api.add(make_card(1))
    inbox.open(f"token={api.token}")
    inbox.see(".row").click()
    inbox.see("#card-title")
    inbox.one("#sign-out").click()
    inbox.see("#sign-in")
    assert inbox.focused().get_attribute("id") == "sign-in-token"
    assert inbox.script("return sessionStorage.length") == 0
    assert inbox.one("#card").get_attribute("textContent") == ""
    inbox.press(api.token, "\n")
    inbox.see(".row")


def test_a_wrong_token_is_refused_in_one_sentence(inbox: Inbox, api: FakeApi) -> None:
    inbox.open("token=wrong")
    inbox.see("#sign-in-reason", "That token is not accepted any more. Please sign in again.")
    assert inbox.script("return sessionStorage.length") == 0


def test_the_token_is_kept_in_this_tab_alone(inbox: Inbox, api: FakeApi) -> None:
    inbox.open()
    inbox.see("#rows-empty", "Nothing waits for you.")
    stored = inbox.script("return [JSON.stringify(localStorage), document.cookie]")
    assert api.token not in "".join(stored)


# The list


def test_the_list_shows_what_waits_by_deadline_and_counts_it(
    inbox: Inbox, api: FakeApi, make_card: MakeCard, moment: Callable[..., str]
) -> None:
    api.add(make_card(1))
    late = api.add(make_card(2, expires_at=moment(minutes=12), risk="high", escalated=True))
    inbox.open()
    inbox.see(".row", "(1)")
    first, second = inbox.all(".row")
    assert first.get_attribute("data-id") == late["approval_id"]
    assert first.text.splitlines()[1:] == [
        "github · 5 min ago",
        "high risk",
        "review 82 %",
        "escalated",
        "due in 11 min",
    ]
    assert "due in 20 h" in second.text
    assert inbox.one("#pending-count").text == "2"
    assert inbox.driver.title == "(2) Approvals · Countersign"


def test_a_new_approval_appears_and_is_announced(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open()
    inbox.see("#rows-empty", "Nothing waits for you.")
    api.add(make_card(1))
    inbox.ask_again()
    inbox.see(".row", "(1)")
    assert inbox.one("#announce").get_attribute("textContent") == "1 new approval"


def test_decided_and_expired_approvals_have_their_own_list(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    decided, expired = api.add(make_card(1)), api.add(make_card(2, status="expired"))
    api.settle(decided, "reject", "ana", "Not ours.")
    inbox.open(f"token={api.token}&view=decided")
    assert inbox.see(f".row[data-id='{decided['approval_id']}']", "rejected").text.endswith("by ana")
    inbox.see(f".row[data-id='{expired['approval_id']}']", "expired")
    inbox.show(decided, "decided")
    banner = inbox.see(".card > .notice", "Not ours.")
    inbox.until("who decided", lambda: "rejected by ana" in banner.text.replace("\n", " "))
    assert inbox.all(".actions") == []
    inbox.show(expired, "decided")
    inbox.see(".card > .notice", "The deadline has passed; nothing was sent.")
    assert inbox.all(".actions") == []


def test_a_reply_that_a_person_wrote_is_shown_as_it_was_signed(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    edited, approved = api.add(make_card(1)), api.add(make_card(2))
    api.settle(edited, "edit", "ana", text="For three days, and then a person is told.")
    api.settle(approved, "approve", "ana")
    inbox.open(f"token={api.token}&view=decided")
    inbox.show(edited, "decided")
    inbox.see(".card .exact .body", "For three days, and then a person is told.")
    inbox.see(".card .hint", "A person wrote this in place of the draft.")
    inbox.show(approved, "decided")
    inbox.see(".card h3:has(+ .destination)", "Signed to be sent")


# The evidence card


def test_the_card_shows_everything_a_decision_rests_on(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    shown = inbox.one("#card").text
    for words in (
        "octo-reader",
        "Our endpoint was down over the weekend.",
        "Claims: 1 supported, 1 unsupported, 0 contradicted.",
        "Comment on a GitHub issue",
        "https://api.github.com/repos/example/shop/issues/7/comments",
        "reviewer accepts",
        "support 50 %",
        "No passage says who is told.",
        "$0.0012",
        "4,210 in, 388 out",
        "default v1",
        "low risk",
        "due in 20 h",
    ):
        assert words in shown, words
    inbox.click(".exact summary")
    assert inbox.see(".body").text == card["will_send"]


def test_a_citation_opens_its_passage_at_the_quote_and_leads_back(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    inbox.open_card(api.add(make_card(1)))
    citation = inbox.one(".draft .cite")
    citation.click()
    mark = inbox.see("#passage-1 mark")
    assert mark.text == "Delivery is tried for 75 hours"
    assert inbox.focused().find_element("xpath", "..").get_attribute("id") == "passage-1"
    inbox.see(".passage-back").click()
    assert inbox.focused() == citation


def test_each_citation_opens_its_own_quote_of_a_passage(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = make_card(1)
    text = card["passages"][0]["text"]
    quotes = ["Nothing is sent twice.", "Delivery is tried for 75 hours"]
    first = card["draft"]["citations"][0]
    card["draft"]["text"] = "Nothing twice. [1] For 75 hours. [1]"
    card["draft"]["claims"] = []
    card["draft"]["citations"] = [
        first | {"quote": quote, "start": text.index(quote), "end": text.index(quote) + len(quote)}
        for quote in quotes
    ]
    inbox.open_card(api.add(card))
    for citation, quote in zip(inbox.all(".draft .cite"), quotes, strict=True):
        citation.click()
        inbox.see(".quote-shown", quote)
        assert len(inbox.all(".quote-shown")) == 1
    assert len(inbox.all("mark")) == 2


def test_unsupported_claims_and_lost_sources_are_marked(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = make_card(1)
    card["draft"]["text"] += " See [9]."
    inbox.open_card(api.add(card))
    claim = inbox.one(".claim-unsupported")
    words = claim.get_attribute("textContent")
    assert words == "? unsupported: After that a person is told.unsupported"
    assert [node.text for node in inbox.all(".cite-lost")] == ["[9]\nno such source"]
    inbox.one(".findings button").click()
    assert inbox.focused() == claim


def test_a_quote_that_is_not_in_its_passage_is_said_to_be_missing(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = make_card(1)
    card["draft"]["citations"][0]["quote"] = "Delivery is tried for a year"
    inbox.open_card(api.add(card))
    inbox.one(".draft .cite").click()
    inbox.see("#passage-1 .notice-bad", "Delivery is tried for a year")
    assert inbox.all("#passage-1 mark") == []


def test_offsets_count_code_points_not_utf16_units(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    card = make_card(1)
    text, quote = "🧾🧾 Paid. [1]", "🧾 due"
    card["draft"]["text"] = text
    card["draft"]["claims"] = [{"start": 3, "end": 8, "verdict": "supported", "score": 1, "markers": [1]}]
    card["passages"][0]["text"] = f"🧾🧾 {quote} today"
    card["draft"]["citations"][0] |= {"quote": quote, "start": 3, "end": 8}
    inbox.open_card(api.add(card))
    assert inbox.one(".claim-supported").get_attribute("textContent") == "✓ supported: Paid."
    inbox.one(".draft .cite").click()
    assert inbox.see("mark").text == quote


def test_a_case_without_a_draft_asks_a_person_to_write_it(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    reason = "The model answered nonsense twice."
    nothing: Json = {"text": "", "claims": [], "citations": [], "actions": []}
    card = api.add(make_card(1, draft=nothing, review=None, will_send="", reason=reason))
    inbox.open_card(card)
    inbox.see(".notice-warn", reason)
    assert not inbox.one("[data-verdict=approve]").is_enabled()
    inbox.press("e")
    inbox.see("#decision-title", "Write the reply")
    inbox.press("Yes, they arrive.")
    inbox.confirm()
    inbox.see(".notice-good")
    assert api.decisions == [
        {"verdict": "edit", "text": "Yes, they arrive.", "shown_sha256": card["shown_sha256"]}
    ]


# Decisions

WORDS = "Say who is told."
DECISIONS = [
    ("approve", {}, "Approved. The reply is on its way."),
    ("edit", {"text": "Delivery is tried for 75 hours. [1]" + WORDS}, "Approved with your text."),
    ("respond", {"reason": WORDS}, "Sent back. A new draft will come for approval."),
    ("reject", {"reason": WORDS}, "Rejected. Nothing is sent."),
]


@pytest.mark.parametrize(("verdict", "fields", "sentence"), DECISIONS)
def test_each_verdict_sends_its_body_and_the_hash_of_what_was_shown(
    inbox: Inbox,
    api: FakeApi,
    make_supported_card: MakeCard,
    verdict: str,
    fields: Json,
    sentence: str,
) -> None:
    card = api.add(make_supported_card(1))
    inbox.open_card(card)
    inbox.one(f"[data-verdict={verdict}]").click()
    inbox.see("#decision-title")
    assert api.decisions == []
    if fields:
        assert not inbox.one("#decision .buttons button:last-child").is_enabled()
        inbox.press(WORDS)
    inbox.one("#decision .buttons button:last-child").click()
    inbox.see("#notices .notice-good", sentence)
    inbox.see(".card > .notice", "an-approver")
    assert api.decisions == [{"verdict": verdict, **fields, "shown_sha256": card["shown_sha256"]}]
    inbox.gone(".actions")


def test_approving_asks_once_more_where_something_stands_out(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = make_card(1, risk="high", too_long_by=3)
    card["destination"]["off_since"] = "2026-03-02T09:00:00.000Z"
    card["draft"]["actions"] = [{"name": "close_issue", "arguments": {"number": 7}}]
    inbox.open_card(api.add(card))
    inbox.one("[data-verdict=approve]").click()
    risks = [item.text for item in inbox.all("#decision .risks li")]
    assert risks.pop(0).startswith("The destination is switched off since ")
    assert risks == [
        "The evidence does not support 1 claim.",
        "The reply is 3 characters longer than its channel takes: edit it.",
        "The request was judged high risk.",
        "Approving also allows 1 proposed action.",
    ]
    assert inbox.one("#decision .body").text == card["will_send"]
    inbox.confirm()
    assert api.decisions == []
    inbox.one("#decision-anyway").click()
    inbox.confirm()
    inbox.see("#notices .notice-good")
    assert [body["verdict"] for body in api.decisions] == ["approve"]


def test_an_edit_is_compared_with_the_draft_as_it_is_typed(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    inbox.open_card(api.add(make_card(1)))
    inbox.press("e")
    inbox.see(".changes", "Nothing is changed yet.")
    inbox.see(".sources", "Sources sent along: [1] docs/limits.md.")
    inbox.script(
        "const field = document.querySelector('#decision-field');"
        "field.value = 'Delivery is tried for 80 hours.\\nAfter that a person is told.';"
        "field.dispatchEvent(new Event('input'))"
    )
    inbox.see(".changes ins")
    assert [node.text for node in inbox.all(".changes del, .changes ins")] == ["75", "80", " [1] ", "↵"]
    inbox.see(".sources", "No source is cited.")
    inbox.see("#decision .tools button", "Start again from the draft").click()
    inbox.gone(".changes ins")
    inbox.see(".sources", "[1] docs/limits.md")


def test_an_edit_also_says_that_it_allows_the_proposed_actions(
    inbox: Inbox, api: FakeApi, make_supported_card: MakeCard
) -> None:
    card = make_supported_card(1)
    card["draft"]["actions"] = [{"name": "close_issue", "arguments": {"number": 7}}]
    inbox.open_card(api.add(card))
    inbox.press("e")
    inbox.see("#decision .risks", "Approving also allows 1 proposed action.")
    inbox.press(" More.")
    inbox.confirm()
    assert api.decisions == []
    inbox.one("#decision-anyway").click()
    inbox.confirm()
    inbox.see("#notices .notice-good")


def test_after_a_decision_the_next_approval_is_one_press_away(
    inbox: Inbox, api: FakeApi, make_supported_card: MakeCard
) -> None:
    first, second = api.add(make_supported_card(1)), api.add(make_supported_card(2))
    inbox.open_card(first)
    inbox.see(f".row[data-id='{second['approval_id']}']")
    inbox.press("a", "\n")
    inbox.see("#notices button", "Next approval")
    assert inbox.focused().text == "Next approval"
    inbox.press("\n")
    inbox.see("#card-title", second["subject"])


def test_a_decided_card_follows_its_case_until_it_is_delivered(
    inbox: Inbox, api: FakeApi, make_supported_card: MakeCard
) -> None:
    card = api.add(make_supported_card(1))
    inbox.open_card(card)
    inbox.press("a", "\n")
    inbox.see(".case-status", "delivering")
    api.case_status[card["case_id"]] = "delivered"
    inbox.see(".case-status", "delivered")


# Answers that are not 200


def test_somebody_else_was_faster(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.press("r")
    inbox.see("#decision-title")
    inbox.press("A duplicate.")
    api.settle(card, "approve", "ana")
    inbox.confirm()
    sentence = inbox.see("#notices .notice-bad").text
    assert sentence.startswith("Already approved by ana on ")
    assert sentence.endswith("; your decision was not taken. What you typed is kept.")
    inbox.see(".card > .notice", "ana")
    assert inbox.one(".unsent textarea").get_attribute("value") == "A duplicate."
    inbox.one(".unsent button").click()
    inbox.gone(".unsent textarea")


def test_a_stale_card_is_loaded_anew_and_the_typed_text_stays(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.press("e")
    inbox.see("#decision-title")
    inbox.press(" Mine.")
    mine = inbox.one("#decision-field").get_attribute("value")
    draft = card["draft"] | {"text": "Another draft.", "claims": []}
    api.add(card | {"draft": draft, "shown_sha256": "f" * 64})
    inbox.confirm()
    inbox.see("#notices .notice-bad", "This card changed after it was shown to you, so nothing was decided.")
    inbox.see(".draft", "Another draft.")
    inbox.press("e")
    inbox.see("#decision-title")
    assert inbox.one("#decision-field").get_attribute("value") == mine
    inbox.confirm()
    inbox.see("#notices .notice-good")
    assert [body["shown_sha256"] for body in api.decisions] == [card["shown_sha256"], "f" * 64]


def test_the_deadline_passed_while_the_card_was_open(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.press("s")
    inbox.see("#decision-title")
    inbox.press("Shorter.")
    card["status"] = "expired"
    inbox.confirm()
    inbox.see("#notices .notice-bad", "The deadline has passed, so nothing was decided and nothing is sent.")
    assert inbox.see(".unsent textarea").get_attribute("value") == "Shorter."


REFUSALS = [
    (422, {"error": {"message": "text is too long"}}, "That was not accepted: text is too long."),
    (403, {"error": {"message": ""}}, "You are not allowed to decide this."),
    (403, {"error": {"message": "your group may not sign"}}, "decide this: your group may not sign."),
    (413, {"message": "Request Too Long"}, "That is too long to be taken."),
    (429, {"message": "Too Many Requests"}, "Too many requests just now."),
    (503, {"message": "Service Unavailable"}, "The service had a problem (503). Please try again."),
]


def test_a_refused_decision_is_explained_where_it_was_made(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    inbox.open_card(api.add(make_card(1)))
    inbox.press("s")
    inbox.see("#decision-title")
    inbox.press("Shorter.")
    for status, body, sentence in REFUSALS:
        api.answer_with = (status, body)
        inbox.confirm()
        inbox.see("#decision .notice-bad", sentence)
        assert inbox.one("#decision-field").get_attribute("value") == "Shorter."
    inbox.confirm()
    inbox.see("#notices .notice-good")


def test_without_an_answer_the_decision_can_be_tried_again(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    inbox.expected.append("net::ERR_")
    inbox.open_card(api.add(make_card(1)))
    inbox.press("s")
    inbox.see("#decision-title")
    inbox.press("Shorter.")
    api.down = True
    inbox.confirm()
    inbox.see("#decision .notice-bad", "No answer came. Trying again is safe")
    inbox.ask_again()
    inbox.see("#fresh", "No connection, trying again")
    api.down = False
    inbox.confirm()
    inbox.see("#notices .notice-good")
    inbox.see("#fresh", "Up to date")
    assert [body["reason"] for body in api.decisions] == ["Shorter."]


def test_a_sign_in_that_ends_midway_loses_nothing(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.press("s")
    inbox.see("#decision-title")
    inbox.press("Shorter.")
    api.token = "another"
    inbox.confirm()
    inbox.see("#sign-in-reason", "Please sign in again. What you typed is kept.")
    assert inbox.all("dialog[open]") == []
    assert card["subject"] not in inbox.one("body").get_attribute("textContent")
    inbox.press("another", "\n")
    inbox.see("#notices button", "Continue").click()
    inbox.see("#decision-title", "Send back")
    assert inbox.one("#decision-field").get_attribute("value") == "Shorter."
    inbox.confirm()
    inbox.see("#notices .notice-good")


def test_an_approval_that_does_not_exist_is_said_to_be_missing(inbox: Inbox, api: FakeApi) -> None:
    inbox.open(f"token={api.token}&approval=c-0-a1")
    inbox.see("#notices .notice-bad", "There is no such approval.")


def test_a_card_decided_elsewhere_is_pointed_out(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.see(".row")
    api.settle(card, "reject", "ana", "A duplicate.")
    inbox.ask_again()
    inbox.see("#notices .notice-warn", "This approval is no longer pending.")
    inbox.see("#notices button", "Show it as it is now").click()
    inbox.see(".card > .notice", "A duplicate.")


def test_nothing_but_reading_happens_until_a_decision(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    first, second = api.add(make_card(1)), api.add(make_card(2))
    inbox.open_card(first)
    inbox.one(".draft .cite").click()
    inbox.click(".history summary")
    inbox.see(".timeline", "case opened")
    inbox.press("a")
    inbox.see("#decision-title")
    inbox.one("#decision .buttons button").click()
    inbox.show(second)
    inbox.script("location.hash = 'view=decided'")
    inbox.see("#rows-empty", "Nothing was decided yet.")
    assert {call.split()[0] for call in api.asked} == {"GET"}
    assert all(api.token not in call for call in api.asked)
