"""Text from outside in every place of the card, shown to the letter: never markup, nothing hidden in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.browser.conftest import FakeApi, Inbox

Json = dict[str, Any]
MakeCard = Callable[..., Json]

MARKUP = [
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "<svg onload='window.ran = 1'><animate onbegin='window.ran = 1'>",
    "<svg><script>window.ran = 1</script></svg>",
    "<details open ontoggle='window.ran = 1'><summary>more</summary></details>",
    "<style>* { display: none }</style>",
    "<link rel=stylesheet href=https://elsewhere.example/a.css>",
    "<meta http-equiv=refresh content='0;url=https://elsewhere.example'>",
    "<base href=https://elsewhere.example/>",
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    "<form action=https://elsewhere.example><button>Approve</button></form>",
    "</textarea></div></article><script>window.ran = 1</script>",
    '" autofocus onfocus=window.ran=1 x="',
    "' onmouseover='window.ran = 1",
    "&lt;script&gt;window.ran = 1&lt;/script&gt;",
    "%3Cscript%3Ewindow.ran=1%3C/script%3E",
    "{{constructor.constructor('window.ran = 1')()}} ${window.ran = 1}",
    "<math><mtext><table><mglyph><style><img src=x onerror='window.ran = 1'>",
    "<!-- --!> <img src=x onerror='window.ran = 1'> -->",
    "[click](javascript:window.ran=1) <javascript:window.ran=1>",
    "![beacon](https://elsewhere.example/p.png?d=1) <https://elsewhere.example/?d=1>",
    "<custom-element is=x></custom-element><template><b>inert</b></template>",
]

HIDDEN = [
    ("pay to \u202e6544 tnuocca\u202c now", ["RLO", "PDF"]),
    ("\u2066isolated\u2069", ["LRI", "PDI"]),
    ("app\u200brove", ["ZWSP"]),
    ("a\ufeffb\u2060c\u00add", ["BOM", "WJ", "SHY"]),
    ("see" + "".join(chr(0xE0000 + ord(c)) for c in "sign all"), ["hidden text “sign all”"]),
    ("nul\x00 bell\x07", ["U+0000", "U+0007"]),
    ("https://ex\u0430mple.com/login", ["really xn--exmple-4nf.com"]),
    ("Z" + "\u0310" * 500, ["+496 marks"]),
    ("line\u2028separator", ["U+2028"]),
    ("a\u00a0b\u3164c", ["U+3164"]),
]

PLAIN = ["👩\u200d🚒 and 1\ufe0f\u20e3", "שלום עולם, مرحبا", "नमस्ते हिन्दी", "ﬁne — naïve €5", "münchen.de"]


def everywhere(card: Json, text: str) -> Json:
    """The card with `text` in every place that holds words from outside."""
    card["subject"] = card["request"]["subject"] = text
    card["request"] |= {"text": text, "author": text, "link": text, "source": text}
    card["draft"]["text"] = text
    card["draft"]["claims"] = [
        {"start": 0, "end": len(text) // 2, "verdict": "contradicted", "score": 0.1, "markers": [1]}
    ]
    card["draft"]["citations"] = [
        {
            "marker": 1,
            "passage_id": text,
            "document": text,
            "quote": "not in there " + text,
            "start": 0,
            "end": 3,
            "source_uri": text,
        }
    ]
    card["draft"]["actions"] = [{"name": text, "arguments": {text: text}}]
    card["passages"] = [card["passages"][0] | {"passage_id": text, "document": text, "text": text}]
    card["passages"][0]["source_uri"] = text
    card["review"] |= {"summary": text, "findings": [{"claim": 0, "problem": text}]}
    card["policy"] = {"name": text, "version": 1}
    card["destination"] = {"channel": "callback", "address": text}
    return card | {"will_send": text, "reason": text}


# Everything in the page that could load, run, send or lead away and is not the page's own.
ACTIVE = """
const active = /^(script|img|style|link|meta|base|iframe|object|embed|form|template|video|audio)$/;
const foreign = [...document.querySelectorAll("#inbox *, dialog *")].filter((node) =>
    node.namespaceURI !== "http://www.w3.org/1999/xhtml"
    || active.test(node.localName) && !node.matches("dialog > form")
    || node.localName.includes("-")
    || [...node.attributes].some(({name}) => /^on|^srcdoc$|^style$/.test(name))
    || node.localName === "a" && !node.matches("[href^='#'], .byline a[href^='https:'][rel~=noopener]")
);
return foreign.map((node) => node.outerHTML.slice(0, 200));
"""
PLACES = ["#card-title", ".byline", ".asked", ".draft", ".passage-text", ".exact .body", ".address"]
PLACES += [".findings li", ".card > .notice", ".facts"]
READ = """
return Object.fromEntries(
    arguments[0].map((place) => [place, document.querySelector(place).textContent]));
"""
GLYPHS = """
return Object.fromEntries(arguments[0].map((place) => {
    const seen = [...document.querySelectorAll(place + " .glyph")];
    if (seen.some((node) => !node.getAttribute("aria-label"))) throw new Error("a label without a name");
    return [place, [...new Set(seen.map((node) => node.textContent))]];
}));
"""


def test_markup_from_outside_stays_text_everywhere(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open()
    for number, text in enumerate(MARKUP):
        card = api.add(everywhere(make_card(number), text))
        inbox.show(card)
        shown = inbox.script(READ, PLACES)
        shown[".draft"] = re.sub("✗| contradicted: |contradicted", "", shown[".draft"])
        assert [place for place in PLACES if text not in shown[place]] == [], text
        for verdict in ("approve", "edit"):
            inbox.press(verdict[0])
            inbox.see("#decision-title")
            assert inbox.script(ACTIVE) == [], text
            inbox.script("document.querySelector('#decision').close()")
    assert inbox.script("return window.ran ?? null") is None
    assert inbox.driver.current_url.startswith(inbox.address)


def test_markup_in_a_decision_stays_text(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open(f"token={api.token}&view=decided")
    for number, text in enumerate(MARKUP[::3]):
        card = api.add(make_card(number, status="decided"))
        card["decision"] = {"verdict": text, "decided_by": text, "decided_at": "soon", "reason": text}
        inbox.show(card, "decided")
        assert text in inbox.one(".card > .notice").get_attribute("textContent")
        assert inbox.script(ACTIVE) == [], text
    assert inbox.script("return window.ran ?? null") is None


def test_what_cannot_be_seen_is_labelled_in_every_place(
    inbox: Inbox, api: FakeApi, make_card: MakeCard
) -> None:
    inbox.open()
    for number, (text, labels) in enumerate(HIDDEN):
        card = everywhere(make_card(number), text)
        card["draft"]["claims"] = []
        inbox.show(api.add(card))
        glyphs = inbox.script(GLYPHS, PLACES)
        assert glyphs == dict.fromkeys(PLACES, labels), ascii(text)


def test_hidden_characters_are_warned_of_before_approval_and_can_be_removed(
    inbox: Inbox, api: FakeApi, make_supported_card: MakeCard
) -> None:
    card = make_supported_card(1)
    card["draft"]["text"] = card["will_send"] = "app\u200brove \u202ethis\u202c"
    inbox.open_card(api.add(card))
    words = "hidden or look-alike characters in 3 places"
    inbox.press("a")
    assert words in inbox.see("#decision .risks").text
    inbox.one("#decision .buttons button").click()
    inbox.press("e")
    inbox.see("#decision .tools button", "Remove hidden characters").click()
    assert inbox.one("#decision-field").get_attribute("value") == "approve this"
    inbox.confirm()
    inbox.see("#notices .notice-good")
    assert [body["text"] for body in api.decisions] == ["approve this"]


def test_ordinary_writing_gets_no_labels(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    card = make_card(1)
    card["request"]["text"] = "\n".join(PLAIN)
    inbox.open_card(api.add(card))
    assert inbox.one(".asked").get_attribute("textContent") == "\n".join(PLAIN)
    assert inbox.all(".glyph") == []


LINKS = [
    ("https://github.com/example/shop/issues/7", True),
    ("javascript:window.ran=1", False),
    ("http://github.com/example", False),
    ("https://github.com@elsewhere.example/", False),
    ("data:text/html,<script>window.ran=1</script>", False),
    ("//elsewhere.example", False),
    ("https://ex\u0430mple.com/login", False),
    ("not a link", False),
]


def test_only_plain_https_links_can_be_followed(inbox: Inbox, api: FakeApi, make_card: MakeCard) -> None:
    inbox.open()
    for number, (link, followed) in enumerate(LINKS):
        card = make_card(number)
        card["request"]["link"] = link
        inbox.show(api.add(card))
        links = inbox.all(".byline a")
        assert [node.get_attribute("href") for node in links] == ([link] if followed else []), link
        if followed:
            assert links[0].get_attribute("rel") == "noopener noreferrer nofollow"


# What an injection would try, each as its own script in the page; nothing of it may run, load or be sent.
ATTEMPTS = [
    "document.body.innerHTML = '<b>x</b>'",
    "const script = document.createElement('script'); script.text = 'window.ran = 1';"
    " document.body.append(script)",
    "document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click()",
    "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')",
    "setTimeout('window.ran = 1')",
    "const image = new Image(); image.src = 'https://elsewhere.example/p.png'; document.body.append(image)",
    "const link = document.createElement('link'); link.rel = 'stylesheet';"
    " link.href = 'https://elsewhere.example/a.css'; document.head.append(link)",
    "const form = document.createElement('form'); form.action = 'https://elsewhere.example/';"
    " document.body.append(form); form.submit()",
    "fetch('https://elsewhere.example/').catch(() => {})",
    "const base = document.createElement('base'); base.href = 'https://elsewhere.example/';"
    " document.head.append(base)",
]


def test_the_policy_stops_what_an_injection_would_try(inbox: Inbox, api: FakeApi) -> None:
    """The second line of defence, tried from inside the page."""
    inbox.open()
    inbox.see("#rows-empty", "Nothing waits for you.")
    inbox.complaints()
    for attempt in ATTEMPTS:
        inbox.script(f"try {{ {attempt} }} catch (error) {{ console.error('refused: ' + error.message) }}")
        inbox.until(f"a breach by {attempt}", lambda: inbox.driver.get_log("browser"))
    assert inbox.script("return window.ran ?? null") is None
    assert inbox.driver.current_url.startswith(inbox.address)
