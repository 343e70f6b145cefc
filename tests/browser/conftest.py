"""The inbox's real files behind a small API on loopback, and a Chromium to look at them with."""

import hashlib
import http.server
import json
import mimetypes
import shutil
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WEB = Path(__file__).parents[2] / "layers/web/web"
TOKEN = "a-token-for-tests"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
WAIT_SECONDS = 10
DECIDED = ("verdict", "decided_by", "decided_at")
AFTER = {"approve": "delivering", "edit": "delivering", "respond": "running", "reject": "rejected"}

Json = dict[str, Any]


def at(**delta: float) -> str:
    """Now plus a `timedelta`, as the API writes times."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat(timespec="seconds").replace("+00:00", "Z")


def evidence_card(number: int, **changes: Any) -> Json:
    """One pending evidence card, complete; `changes` replace its top-level fields."""
    sentence, unsure = "Delivery is tried for 75 hours.", "After that a person is told."
    passage = "Schedule. Delivery is tried for 75 hours, with growing pauses. Nothing is sent twice."
    quote = "Delivery is tried for 75 hours"
    text = f"{sentence} [1] {unsure}"
    start = passage.index(quote)
    card: Json = {
        "approval_id": f"c-{number:032d}-a1",
        "version": 1,
        "case_id": f"c-{number:032d}",
        "status": "pending",
        "subject": f"How long is delivery tried? ({number})",
        "requested_at": at(minutes=-5),
        "expires_at": at(hours=20, minutes=number),
        "escalated": False,
        "risk": "low",
        "reason": None,
        "request": {
            "subject": f"How long is delivery tried? ({number})",
            "text": "Our endpoint was down over the weekend.\nWill the replies still arrive?",
            "author": "octo-reader",
            "link": "https://github.com/example/shop/issues/7",
            "received_at": at(minutes=-6),
            "source": "github",
        },
        "draft": {
            "text": text,
            "claims": [
                {"start": 0, "end": len(sentence), "verdict": "supported", "score": 0.97, "markers": [1]},
                {
                    "start": text.index(unsure),
                    "end": len(text),
                    "verdict": "unsupported",
                    "score": 0.12,
                    "markers": [],
                },
            ],
            "citations": [
                {
                    "marker": 1,
                    "passage_id": "limits-3",
                    "document": "docs/limits.md",
                    "quote": quote,
                    "start": start,
                    "end": start + len(quote),
                    "source_uri": "s3://knowledge/docs/limits.md",
                }
            ],
            "actions": [],
        },
        "passages": [
            {
                "marker": 1,
                "passage_id": "limits-3",
                "document": "docs/limits.md",
                "text": passage,
                "source_uri": "s3://knowledge/docs/limits.md",
                "score": 0.83,
            },
            {
                "marker": 2,
                "passage_id": "operate-1",
                "document": "docs/operate.md",
                "text": "Alarms watch every dead-letter queue.",
                "source_uri": "s3://knowledge/docs/operate.md",
                "score": 0.41,
            },
        ],
        "review": {
            "verdict": "accept",
            "score": 0.82,
            "support": 0.5,
            "unsupported": 1,
            "summary": "Answers the question; the last sentence rests on nothing.",
            "findings": [{"claim": 1, "problem": "No passage says who is told."}],
        },
        "usage": {"input_tokens": 4210, "output_tokens": 388, "model_calls": 3},
        "cost_usd": "0.0012",
        "policy": {"name": "default", "version": 1},
        "destination": {
            "channel": "github_issue",
            "address": "https://api.github.com/repos/example/shop/issues/7/comments",
            "off_since": None,
        },
        "too_long_by": 0,
        "will_send": text + "\n\n[1] docs/limits.md",
        "shown_sha256": hashlib.sha256(f"{number}".encode()).hexdigest(),
        "decision": None,
    }
    return card | changes


def well_supported(number: int, **changes: Any) -> Json:
    """A card with nothing to warn of."""
    card = evidence_card(number)
    card["draft"]["text"] = card["draft"]["text"].split("After")[0].strip()
    del card["draft"]["claims"][1]
    return card | {"too_long_by": 0, "will_send": card["draft"]["text"]} | changes


class FakeApi:
    """The calls the inbox makes, over cards held in memory; `decisions` keeps every body that was posted.

    `answer_with` puts a status and body in front of the next decision; `token` is what it lets in; while
    `down` it hangs up without an answer. `asked` are the method and path of every call.
    """

    def __init__(self) -> None:
        self.cards: dict[str, Json] = {}
        self.decisions: list[Json] = []
        self.answer_with: tuple[int, Json] | None = None
        self.token = TOKEN
        self.down = False
        self.case_status: dict[str, str] = {}
        self.asked: list[str] = []

    def add(self, card: Json) -> Json:
        self.cards[card["approval_id"]] = card
        return card

    def settle(
        self, card: Json, verdict: str, by: str, reason: str | None = None, text: str | None = None
    ) -> None:
        """Decide a card as somebody else would; `text` is what they wrote in place of the draft."""
        card["status"] = "decided"
        card["decision"] = {"verdict": verdict, "decided_by": by, "decided_at": at(), "reason": reason}
        card["decision"]["signed_sha256"] = card["shown_sha256"] if verdict == "approve" else None
        card["decision"]["signed_text"] = card["will_send"] if verdict == "approve" else text

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> tuple[int, Json]:
        match [method, *path.strip("/").split("/")]:
            case ["GET", "approvals"]:
                status = query.get("status", "pending")
                rows = [self._row(card) for card in self.cards.values() if card["status"] == status]
                return 200, {"approvals": rows}
            case ["GET", "approvals", approval_id] if approval_id in self.cards:
                card = self.cards[approval_id]
                return 200, card | self._row(card)
            case ["POST", "approvals", approval_id, "decision"] if approval_id in self.cards:
                return self._decide(self.cards[approval_id], body)
            case ["GET", "cases"]:
                return 200, {"cases": [self._case(c) for c in self.cards.values()], "cursor": None}
            case ["GET", "cases", case_id]:
                timeline = [{"at": at(), "event": "case.opened", "actor": "countersign", "detail": {}}]
                status = self.case_status.get(case_id, "awaiting_approval")
                return 200, {"case_id": case_id, "status": status, "timeline": timeline}
        return 404, {"error": {"code": "not_found", "message": "there is no such approval"}}

    def _row(self, card: Json) -> Json:
        names = ("approval_id", "case_id", "subject", "status", "requested_at", "expires_at", "risk")
        decision = card["decision"] or {}
        return {
            **{name: card[name] for name in (*names, "escalated")},
            **{name: decision.get(name) for name in DECIDED},
            "reviewer_score": (card["review"] or {}).get("score"),
        }

    def _case(self, card: Json) -> Json:
        source = card["request"]["source"]
        return {"case_id": card["case_id"], "source": source, "status": "awaiting_approval"}

    def _decide(self, card: Json, body: Json) -> tuple[int, Json]:
        self.decisions.append(body)
        if self.answer_with:
            answer, self.answer_with = self.answer_with, None
            return answer
        if card["status"] == "expired":
            return 410, {"error": {"code": "approval_expired", "message": "The deadline has passed."}}
        if card["decision"]:
            error = {"error": {"code": "already_decided", "message": "Somebody was faster."}}
            return 409, error | {name: card["decision"][name] for name in DECIDED}
        if body["shown_sha256"] != card["shown_sha256"]:
            return 409, {"error": {"code": "stale_card", "message": "Another draft is current."}}
        self.settle(card, body["verdict"], "an-approver", body.get("reason"))
        self.case_status[card["case_id"]] = AFTER[body["verdict"]]
        names = ("approval_id", "case_id", "version", "status")
        outcome = {
            name: value for name, value in card["decision"].items() if name not in {"reason", "signed_text"}
        }
        return 200, {name: card[name] for name in names} | outcome


class Handler(http.server.BaseHTTPRequestHandler):
    """Static files at `/` and `/static/`, the API everywhere else."""

    protocol_version = "HTTP/1.1"
    api: FakeApi

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        name = "index.html" if url.path == "/" else url.path.removeprefix("/static/")
        file = WEB / name
        if url.path == "/" or url.path.startswith("/static/"):
            if file.parent != WEB or not file.is_file():
                self._send(404, b"", "text/plain")
            else:
                self._send(200, file.read_bytes(), mimetypes.guess_type(name)[0] or "text/plain")
        else:
            self._api({})

    def do_POST(self) -> None:
        self._api(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _api(self, body: Json) -> None:
        self.api.asked.append(f"{self.command} {self.path}")
        if self.api.down:
            self.close_connection = True
            return
        if self.headers["authorization"] != f"Bearer {self.api.token}":
            status, answer = 401, {"message": "Unauthorized"}
        else:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            status, answer = self.api.answer(self.command, urllib.parse.unquote(url.path), query, body)
        self._send(status, json.dumps(answer).encode(), "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-security-policy", CONTENT_SECURITY_POLICY)
        self.send_header("x-content-type-options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


class Inbox:
    """The page as a person meets it: what it shows, where the focus is, what keys do."""

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver = driver
        self.address = address
        self.expected = ["the server responded with a status of"]

    def open(self, fragment: str = f"token={TOKEN}") -> None:
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/#{fragment}")

    def open_card(self, card: Json) -> None:
        self.open(f"token={TOKEN}&approval={card['approval_id']}")
        self.see("#card-title")

    def show(self, card: Json, view: str = "pending") -> None:
        """Go to another card without loading the page again."""
        self.script("location.hash = arguments[0]", f"view={view}&approval={card['approval_id']}")
        self.see(f"#card:not([aria-busy]) .card[data-id='{card['approval_id']}']")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        wait = WebDriverWait(self.driver, WAIT_SECONDS, poll_frequency=0.03)
        return wait.until(lambda _: condition(), what)

    def see(self, selector: str, text: str = "") -> WebElement:
        """Wait for a visible element that contains `text`."""

        def found() -> WebElement | None:
            # One script call, so that a list redrawn in between cannot pull an element from under us.
            return self.script(
                "return [...document.querySelectorAll(arguments[0])]"
                ".find(node => node.checkVisibility() && node.innerText.includes(arguments[1])) ?? null",
                selector,
                text,
            )

        element: WebElement = self.until(f"{selector} with {text!r}", found)
        return element

    def click(self, selector: str) -> None:
        """Click what may lie under the bar at the bottom until it is scrolled to."""
        node = self.one(selector)
        self.script("arguments[0].scrollIntoView({block: 'center'})", node)
        node.click()

    def ask_again(self) -> None:
        """Have the page ask for news now, as it does when the network comes back."""
        self.script("window.dispatchEvent(new Event('online'))")

    def gone(self, selector: str) -> None:
        script = "return ![...document.querySelectorAll(arguments[0])].some(node => node.checkVisibility())"
        self.until(f"no {selector}", lambda: self.script(script, selector))

    def press(self, *keys: str) -> None:
        """Type to whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def confirm(self) -> None:
        """Send the open decision from the keyboard."""
        self.press(Keys.CONTROL + Keys.ENTER)

    def complaints(self) -> list[str]:
        """Script errors and breaches of the policy since last asked, but for what is `expected`."""
        lines = [entry["message"] for entry in self.driver.get_log("browser")]
        return [line for line in lines if not any(words in line for words in self.expected)]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium here: install the packages chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-gpu",
        "--disable-quic",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(executable_path=driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def inbox(api: FakeApi, chromium: Chrome) -> Iterator[Inbox]:
    """The page over `api`; fails the test if the console complained of anything but refused calls."""
    handler = type("HandlerOfOneTest", (Handler,), {"api": api})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    inbox = Inbox(chromium, f"http://127.0.0.1:{server.server_port}")
    yield inbox
    chromium.get("about:blank")
    server.shutdown()
    server.server_close()
    thread.join()
    assert inbox.complaints() == []


@pytest.fixture
def page_at(chromium: Chrome) -> Callable[[str], Inbox]:
    """The page as another server serves it, by its address."""
    return lambda address: Inbox(chromium, address)


@pytest.fixture
def content_security_policy() -> str:
    return CONTENT_SECURITY_POLICY


@pytest.fixture
def make_card() -> Callable[..., Json]:
    return evidence_card


@pytest.fixture
def make_supported_card() -> Callable[..., Json]:
    return well_supported


@pytest.fixture
def moment() -> Callable[..., str]:
    return at
