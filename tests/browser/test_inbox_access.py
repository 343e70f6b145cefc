"""The inbox without a mouse, on a phone, and for people who see it otherwise or hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver import Keys

if TYPE_CHECKING:
    from tests.browser.conftest import FakeApi, Inbox

Json = dict[str, Any]
MakeCard = Callable[..., Json]

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture
def phone(inbox: Inbox) -> Iterator[Inbox]:
    """The page on a narrow screen."""
    inbox.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    yield inbox
    inbox.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# The keyboard


def test_keys_alone_lead_from_the_list_to_an_approved_reply(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    first, second = api.add(make_card(1)), api.add(make_card(2))
    inbox.open()
    inbox.see(".row", "(2)")
    inbox.press("j")
    assert inbox.focused().get_attribute("data-id") == first["approval_id"]
    inbox.press("j", "\n")
    inbox.see(f".card[data-id='{second['approval_id']}']")
    assert inbox.focused().get_attribute("id") == "card-title"
    inbox.press("1")
    inbox.see("#passage-1 mark")
    inbox.press("a")
    inbox.see("#decision-title", "Send this reply?")
    assert inbox.focused().get_attribute("id") == "decision-anyway"
    inbox.press(" ", Keys.TAB, Keys.TAB)
    assert inbox.focused().text == "Approve and send"
    inbox.press("\n")
    inbox.see("#notices .notice-good", "Approved. The reply is on its way.")
    assert api.decisions == [{"verdict": "approve", "shown_sha256": second["shown_sha256"]}]


def test_escape_leaves_the_dialog_then_the_card_and_decides_nothing(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.see(".row")
    inbox.press("r")
    inbox.see("#decision-title")
    inbox.press("No.", Keys.ESCAPE)
    inbox.gone("dialog")
    inbox.press(Keys.ESCAPE)
    inbox.see(".empty-card")
    assert inbox.focused().get_attribute("data-id") == card["approval_id"]
    inbox.press("\n")
    inbox.see("#notices button", "Continue").click()
    inbox.see("#decision-title")
    assert inbox.focused().get_attribute("value") == "No."
    assert api.decisions == []


def test_letters_that_are_typed_are_no_commands(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open_card(api.add(make_card(1)))
    inbox.press("s")
    inbox.see("#decision-title", "Send back")
    inbox.press("a rejkes1?")
    assert inbox.one("#decision-title").text == "Send back"
    assert inbox.one("#decision-field").get_attribute("value") == "a rejkes1?"


def test_single_keys_can_be_switched_off_and_stay_off(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    card = api.add(make_card(1))
    inbox.open_card(card)
    inbox.press("?")
    inbox.see("#help-title")
    inbox.one("#keys-on").click()
    inbox.open_card(card)
    inbox.press("a", "?")
    assert inbox.all("dialog[open]") == []
    inbox.one("#help-open").click()
    inbox.one("#keys-on").click()
    inbox.press(Keys.ESCAPE)
    inbox.press("a")
    inbox.see("#decision-title")


def test_tab_reaches_everything_in_reading_order(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open_card(api.add(make_card(1)))
    inbox.see(".row")
    inbox.script("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    inbox.script("document.querySelector('#skip').focus()")
    reached = []
    for _ in range(19):
        inbox.press(Keys.TAB)
        node = inbox.focused()
        reached.append(node.get_attribute("aria-label") or node.text.partition("\n")[0])
    assert reached == [
        "Refresh",
        "Help",
        "Sign out",
        "Pending 1",
        "Decided",
        "Desk",
        "How long is delivery tried? (1)",
        "https://github.com/example/shop/issues/7",
        "Text of the request",
        "Source 1: docs/limits.md",
        "Exact body, 84 characters",
        "Claim 2",
        "[1] docs/limits.md score 0.83",
        "[2] docs/operate.md not cited · score 0.41",
        "History of the case",
        "Approvea",
        "Edite",
        "Send backs",
        "Rejectr",
    ]


def test_the_skip_link_leads_past_the_list(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open_card(api.add(make_card(1)))
    inbox.script("document.querySelector('#skip').focus()")
    inbox.press("\n")
    assert inbox.focused().get_attribute("id") == "main"


# A phone


def test_a_phone_shows_one_thing_at_a_time_and_never_scrolls_sideways(
    phone: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    long_word = "x" * 300
    card = make_card(1, subject=f"A subject with {long_word}")
    card["request"] |= {"text": long_word, "link": f"https://github.com/{long_word}", "author": long_word}
    card["draft"]["text"] += f" {long_word} https://example.com/{long_word}"
    card["will_send"] = card["draft"]["text"]
    card["destination"]["address"] += long_word
    card["passages"][0] |= {"text": card["passages"][0]["text"] + long_word, "document": long_word}
    card["draft"]["actions"] = [{"name": "note", "arguments": {"text": long_word}}]
    api.add(card)
    phone.open()
    phone.see(".row")
    assert not phone.one("main").is_displayed()
    assert sideways(phone) == []
    phone.one(".row").click()
    phone.see("#card-title")
    assert not phone.one(".list").is_displayed()
    phone.script("for (const node of document.querySelectorAll('details')) node.open = true")
    assert sideways(phone) == []
    for verdict in ("approve", "edit", "respond", "reject"):
        phone.one(f"[data-verdict={verdict}]").click()
        phone.see("#decision-title")
        if verdict != "approve":
            phone.press(long_word[:80])
        assert sideways(phone) == [], verdict
        phone.one("#decision .buttons button").click()
    phone.one(".back").click()
    phone.see(".row")


def sideways(inbox: Inbox) -> list[str]:
    """Elements that reach beyond the screen's right edge or scroll sideways."""
    found: list[str] = inbox.script(
        "const wide = document.documentElement.clientWidth;"
        "return [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility()"
        " && !node.closest('.spoken')"
        " && (node.getBoundingClientRect().right > wide + 1 || node.scrollWidth > node.clientWidth + 1"
        "     && !['visible', 'hidden', 'clip'].includes(getComputedStyle(node).overflowX)))"
        ".map((node) => node.outerHTML.slice(0, 120))"
    )
    return found


def test_a_finger_can_hit_the_decisions(phone: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    phone.open_card(api.add(make_card(1)))
    for button in phone.all(".actions button"):
        assert button.rect["height"] >= 44
        assert button.rect["width"] >= 44
        assert button.rect["y"] + button.rect["height"] <= PHONE["height"]


def test_the_back_gesture_closes_an_open_dialog(phone: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    api.add(make_card(1))
    phone.open()
    phone.see(".row").click()
    phone.see("#card-title")
    phone.one("[data-verdict=edit]").click()
    phone.see("#decision-title")
    phone.driver.back()
    phone.see(".row")
    assert phone.all("dialog[open]") == []


# Contrast, names and what is announced

# The colour a text really has against the nearest opaque one behind it; the ratio is WCAG 2.2's.
CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (color) => {
    const [r, g, b] = rgba(color).slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
    for (; node; node = node.parentElement) {
        const color = getComputedStyle(node).backgroundColor;
        if (rgba(color)[3] === 255) return color;
    }
    return "white";
};
const root = document.querySelector("dialog[open]") ?? document.body;
const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
const poor = [];
let seen = 0;
while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    if (node.closest(".spoken, :disabled")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    seen += 1;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5)
        poor.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className} ${texts.currentNode.data}`);
}
return [seen, poor];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_contrasts_with_what_is_behind_it(
    inbox: Inbox, api: FakeApi, make_card: MakeCard, moment: Callable[..., str], scheme: str
) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    inbox.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    card = make_card(
        1, risk="high", escalated=True, expires_at=moment(minutes=3), reason="The model refused."
    )
    card["draft"]["text"] += " [9] app\u200brove"
    card["draft"]["claims"][1]["verdict"] = "contradicted"
    api.add(card)
    decided = api.add(make_card(2))
    api.settle(decided, "reject", "ana", "A duplicate.")
    inbox.open("")
    inbox.see("#sign-in")
    assert inbox.script(CONTRAST)[1] == []
    inbox.open_card(card)
    inbox.see(".row")
    inbox.script("for (const node of document.querySelectorAll('details')) node.open = true")
    inbox.see(".timeline li")
    seen, poor = inbox.script(CONTRAST)
    assert poor == []
    assert seen > 60
    for verdict in ("approve", "edit", "reject"):
        inbox.press(verdict[0])
        inbox.see("#decision-title")
        if verdict == "edit":
            inbox.press(" More.")
            inbox.see(".changes ins")
        assert inbox.script(CONTRAST)[1] == [], verdict
        inbox.press(Keys.ESCAPE)
    inbox.show(decided, "decided")
    assert inbox.script(CONTRAST)[1] == []
    inbox.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_everything_that_can_be_used_has_a_name(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open_card(api.add(make_card(1)))
    inbox.see(".row")
    for verdict in ("", "a", "e", "s", "r", "?"):
        if verdict:
            inbox.press(verdict)
        tree = inbox.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        used = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in tree
            if not node["ignored"] and node.get("role", {}).get("value") in USABLE
        ]
        assert len(used) >= 3
        assert [role for role, name in used if not name] == []
        if verdict:
            inbox.press(Keys.ESCAPE)


USABLE = {"button", "link", "textbox", "checkbox", "dialog", "navigation", "region", "DisclosureTriangle"}


def test_what_happens_is_announced(inbox: Inbox, api: FakeApi, make_supported_card: MakeCard) -> None:
    inbox.open_card(api.add(make_supported_card(1)))
    for place, live in (("#notices", "polite"), ("#announce", "polite")):
        assert inbox.one(place).get_attribute("aria-live") == live
    inbox.press("s")
    inbox.see("#decision-title")
    inbox.press("Shorter.")
    api.answer_with = (503, {})
    inbox.confirm()
    assert inbox.see("#decision .notice-bad").get_attribute("role") == "alert"
    inbox.confirm()
    said = inbox.see("#notices .notice-good")
    assert said.find_element("xpath", "..").get_attribute("id") == "notices"
