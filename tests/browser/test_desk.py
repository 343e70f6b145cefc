"""The operators' desk in the inbox: what failed, redriving some or all, and what else waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver import Keys

if TYPE_CHECKING:
    from tests.browser.conftest import FakeApi, Inbox

Json = dict[str, Any]

CASES = [f"c-{number:032x}" for number in range(1, 6)]
LETTER = "delivery:059f36b4-87a3-44ab-83d2-661975470001"
GONE = "https://help.example.com/replies"


class DeskAnswers:
    """What the desk answers, in front of the small API. `refused` says why an id is not redriven."""

    def __init__(self, others: Callable[..., tuple[int, Json]], since: str) -> None:
        self._others = others
        self.since = since
        self.failures = [self._failure(id, "case", "ConfigurationError", "Write Draft") for id in CASES[:2]]
        self.failures.insert(
            0, self._failure(LETTER, "delivery", "the function ended without an answer; its case is failed")
        )
        self.cursor: str | None = None
        self.refused: dict[str, str] = {}
        self.asked: list[Json] = []
        self.off = [GONE]
        self.limits: Json | None = {
            "day": "2026-11-25",
            "cap_usd": "10.00",
            "used_usd": "7.2500",
            "reserved_usd": "0.2500",
            "spent_usd": "7.0000",
            "max_cases_at_once": 50,
            "leases": [{"case_id": CASES[4], "expires_at": since, "reserved_usd": "0.05"}],
            "parked": {"budget": 2, "slot": 0, "counted_all": True},
        }
        self.is_operator = True

    def _failure(self, id: str, kind: str, reason: str, state: str | None = None) -> Json:
        found = {"id": id, "kind": kind, "case_id": id if kind == "case" else CASES[0], "state": state}
        return {**found, "reason": reason, "at": self.since, "redrivable": True}

    def __call__(self, method: str, path: str, query: dict[str, str], body: Json) -> tuple[int, Json]:
        parts = [method, *path.strip("/").split("/")]
        if parts[1] in {"failures", "destinations", "limits"} and not self.is_operator:
            message = "the desk is for the group operators, and your token does not name it"
            return 403, {"error": {"code": "not_allowed", "message": message}}
        match parts:
            case ["GET", "failures"]:
                return 200, {"failures": self.failures, "cursor": self.cursor}
            case ["POST", "failures", "redrive"]:
                return 200, self._redrive(body)
            case ["GET", "destinations"]:
                history = [{"state": "off", "at": self.since, "by": CASES[3]}]
                shown = [
                    {"id": "d-1", "channel": "callback", "address": address, "state": "off"}
                    for address in self.off
                ]
                return 200, {"destinations": [{**each, "history": history} for each in shown], "cursor": None}
            case ["POST", "destinations", "d-1", "on"]:
                self.off.clear()
                return 200, {}
            case ["GET", "limits"] if self.limits:
                return 200, self.limits
        return self._others(method, path, query, body)

    def _redrive(self, body: Json) -> Json:
        self.asked.append(body)
        ids = body.get("ids") or [failure["id"] for failure in self.failures]
        done = [id for id in ids if id not in self.refused]
        self.failures = [failure for failure in self.failures if failure["id"] not in done]
        goes_on = "more" if body.get("all") and not body.get("cursor") else None
        return {
            "redriven": [
                {"id": id, "case_id": CASES[0], "execution": f"{id}-r2", "did": "started"} for id in done
            ],
            "refused": [{"id": id, "reason": self.refused[id]} for id in ids if id in self.refused],
            "cursor": goes_on,
        }


@pytest.fixture
def desk(api: FakeApi, moment: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> DeskAnswers:
    answers = DeskAnswers(api.answer, moment(minutes=-5))
    monkeypatch.setattr(api, "answer", answers)
    return answers


def go(inbox: Inbox, api: FakeApi) -> None:
    inbox.open(f"token={api.token}&view=desk")
    inbox.see("#desk-title", "Desk")


def test_what_failed_is_listed_with_its_reason(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    assert inbox.one("#tab-desk").get_attribute("aria-current") == "page"
    first, second, _ = inbox.all(".failure")
    assert first.text.splitlines() == [
        "the function ended without an answer; its case is failed",
        "dead letter, delivery",
        "c-00000000",
        "5 min ago",
    ]
    assert second.text.splitlines()[:2] == ["ConfigurationError in Write Draft", "failed case"]
    inbox.see("#desk h2", "Failures (3)")
    assert inbox.one("#desk .primary").get_attribute("disabled")
    assert inbox.all(".row") == []


def test_some_are_selected_and_redriven(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    desk.refused = {CASES[0]: "the case's execution has not ended yet; try again in a moment"}
    go(inbox, api)
    for id in (LETTER, CASES[0]):
        inbox.click(f".failure[data-id='{id}']")
    button = inbox.see("#desk .primary", "Redrive 2")
    assert inbox.script("return document.getElementById('every-failure').indeterminate")
    button.click()
    inbox.see("#desk-report .notice-good", "1 failure redriven")
    assert "delivery:059f36b4 runs again" in inbox.one("#desk-report .notice-good").text
    assert "c-00000000 stays: the case's execution" in inbox.see("#desk-report .notice-bad").text
    assert desk.asked == [{"ids": [LETTER, CASES[0]]}]
    inbox.see("#desk h2", "Failures (2)")
    inbox.until(
        "nothing is selected", lambda: not inbox.script("return document.querySelector('.failure :checked')")
    )


def test_all_that_is_listed_is_selected_at_once(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    inbox.one("#every-failure").click()
    inbox.see("#desk .primary", "Redrive 3").click()
    inbox.see("#desk .empty", "Nothing has failed, and no letter is dead.")
    inbox.see("#desk-report", "3 failures redriven")
    assert inbox.focused().get_attribute("id") == "desk-title"


def test_more_than_is_listed_is_redriven_page_by_page(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    desk.cursor = "next"
    go(inbox, api)
    inbox.see("#desk h2", "Failures (3+)")
    inbox.see("#desk button.link").click()
    inbox.see("#desk-report", "3 failures redriven")
    assert desk.asked == [{"all": True}, {"all": True, "cursor": "more"}]


def test_the_keyboard_suffices(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    assert inbox.focused().get_attribute("id") == "desk-title"
    inbox.press("j", "j", " ", "k", " ")
    inbox.see("#desk .primary", "Redrive 2")
    inbox.press(Keys.SHIFT + Keys.TAB)
    inbox.press(Keys.ENTER)
    inbox.see("#desk-report", "2 failures redriven")
    assert [sorted(body["ids"]) for body in desk.asked] == [sorted([LETTER, CASES[0]])]


def test_who_is_no_operator_is_told_so(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    desk.is_operator = False
    go(inbox, api)
    inbox.see("#desk .notice", "The desk is for operators.")
    assert "your token does not name it." in inbox.one("#desk .notice").text
    assert inbox.all(".failure") == []


def test_a_desk_that_does_not_answer_says_so(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    api.down = True
    inbox.expected.append("ERR_EMPTY_RESPONSE")
    inbox.one("#every-failure").click()
    inbox.see("#desk .primary", "Redrive 3").click()
    inbox.see("#desk .notice", "No answer from the service.")
    api.down = False
    inbox.one("#refresh").click()
    inbox.see("#desk h2", "Failures (3)")


def test_a_switched_off_destination_is_turned_on(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    assert f"off since 5 min ago, after {CASES[3][:10]}" in inbox.see(".off", GONE).text
    inbox.click(".off button")
    inbox.see("#desk-report", f"{GONE} is on again.")
    inbox.see("#desk .empty", "Every destination is on.")


def test_limits_are_shown_where_they_are_known(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    shown = inbox.see("#desk section", "Limits").text
    for words in ("$7.25 of $10.00", "1 of 50 at most", "2 cases for budget"):
        assert words in shown
    desk.limits = None
    inbox.one("#refresh").click()
    inbox.until("no limits", lambda: "Limits" not in inbox.one("#desk").text)
    inbox.see("#desk h2", "Failures (3)")


def test_the_desk_is_left_and_not_polled(
    inbox: Inbox, api: FakeApi, desk: DeskAnswers, make_card: Callable[..., Json]
) -> None:
    api.add(make_card(1))
    go(inbox, api)
    inbox.until("the count of what waits", lambda: inbox.one("#pending-count").text == "1")
    looks = api.asked.count("GET /failures?limit=100")
    inbox.ask_again()
    inbox.until("another look at approvals", lambda: api.asked[-1].startswith("GET /approvals"))
    assert api.asked.count("GET /failures?limit=100") == looks == 1
    inbox.one("#tab-pending").click()
    inbox.see(".row", "(1)")
    inbox.gone("#desk")
    assert inbox.one("#desk").get_attribute("textContent") == ""


def test_what_a_reason_holds_is_text(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    desk.failures[0]["reason"] = "<img src=x onerror=alert(1)>\u202eabc"
    go(inbox, api)
    assert "<img src=x" in inbox.see(".failure", "<img").text
    assert inbox.all(".failure img") == []
    inbox.see(".failure .glyph", "RLO")


def test_signing_out_leaves_nothing_on_the_screen(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    go(inbox, api)
    inbox.one("#sign-out").click()
    inbox.see("#sign-in")
    assert inbox.one("#desk").get_attribute("textContent") == ""


def test_a_narrow_screen_shows_all_of_it(inbox: Inbox, api: FakeApi, desk: DeskAnswers) -> None:
    size = inbox.driver.get_window_size()
    inbox.driver.set_window_size(500, 800)
    try:
        go(inbox, api)
        inbox.see(".failure")
        inbox.see("#tab-pending")
        wide = inbox.script("return document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0
    finally:
        inbox.driver.set_window_size(size["width"], size["height"])
