"""The inbox over the whole product on this machine: a real case, decided in the browser, delivered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.cli.signing import Event, sign
from local.offline import OfflineApp
from local.server import Server, gateway_app

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.browser.conftest import FakeApi, Inbox

Json = dict[str, Any]

QUESTION = "How long is a delivery tried before it is given up?"
DOCUMENT = """# Delivery

A delivery is tried for 75 hours, with pauses that grow. Then it is given up, and the case is failed.
Nothing is sent twice: every attempt carries the same id.
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineApp]:
    knowledge: Path = tmp_path_factory.mktemp("knowledge")
    (knowledge / "delivery.md").write_text(DOCUMENT)
    with OfflineApp(knowledge=knowledge) as app:
        yield app


@pytest.fixture
def stacked(app: OfflineApp, chromium: Chrome, page_at: Callable[[str], Inbox]) -> Iterator[Inbox]:
    """The page as the stack itself serves it."""
    with Server(gateway_app(lambda: app.stack.gateway)) as server:
        yield page_at(server.url)
        chromium.get("about:blank")


def read(app: OfflineApp, path: str) -> Json:
    answer = app.stack.request("GET", path, headers={"authorization": f"Bearer {app.token}"})
    assert answer.status == 200, answer.body
    document: Json = json.loads(answer.body)
    return document


def asked(app: OfflineApp, number: int) -> Json:
    """A case that waits for approval, opened by a signed webhook."""
    data = {
        "id": f"ticket-{number}",
        "subject": f"Delivery ({number})",
        "text": QUESTION,
        "author": "reader@example.com",
        "callback_url": f"{app.outbox.url}/replies",
    }
    event = {"type": "case.opened", "timestamp": "2026-11-24T09:00:00Z", "data": data}
    body = json.dumps(event).encode()
    headers = sign("standard-webhooks", app.secret("webhook"), Event(body), time.time())
    answer = app.stack.request("POST", "/webhooks/webhook", headers=headers, body=body)
    assert answer.status == 202, answer.body
    case_id = json.loads(answer.body)["case_id"]

    def waiting() -> Json | None:
        rows = read(app, "/approvals?status=pending")["approvals"]
        return next((row for row in rows if row["case_id"] == case_id), None)

    row: Json = app.stack.wait_for(waiting, 60)
    return row


def test_a_real_case_is_read_approved_and_delivered(app: OfflineApp, stacked: Inbox) -> None:
    row = asked(app, 1)
    stacked.open(f"token={app.token}")
    stacked.see(".row", "Delivery (1)").click()
    stacked.see("#card-title", "Delivery (1)")
    assert QUESTION in stacked.one(".asked").text
    stacked.one(".draft .cite").click()
    quote = stacked.see(".passage mark").text
    card = read(app, f"/approvals/{row['approval_id']}")
    assert quote == card["draft"]["citations"][0]["quote"]
    assert "75 hours" in stacked.one(".draft").text
    stacked.press("a")
    stacked.see("#decision-title")
    if stacked.all("#decision-anyway") and stacked.one("#decision-anyway").is_displayed():
        stacked.press(" ")
    assert app.outbox.sent == []
    stacked.confirm()
    stacked.see("#notices .notice-good", "Approved. The reply is on its way.")
    stacked.see(".case-status", "delivered")
    assert [json.loads(sent.body)["data"]["text"] for sent in app.outbox.sent] == [card["draft"]["text"]]
    assert stacked.complaints() == []


def test_the_answers_are_the_ones_the_other_tests_imagine(
    app: OfflineApp, api: FakeApi, make_card: Callable[..., Json]
) -> None:
    """The stand-in for the API has the same fields, so that what is tested with it holds."""
    row = asked(app, 2)
    imagined = api.add(make_card(1))
    card = read(app, f"/approvals/{row['approval_id']}")
    assert shape(card) == shape(api.answer("GET", f"/approvals/{imagined['approval_id']}", {}, {})[1])
    assert row.keys() == api.answer("GET", "/approvals", {}, {})[1]["approvals"][0].keys()
    case = read(app, f"/cases/{row['case_id']}")
    assert api.answer("GET", f"/cases/{imagined['case_id']}", {}, {})[1].keys() <= case.keys()
    line = next(line for line in read(app, "/cases")["cases"] if line["case_id"] == row["case_id"])
    assert api.answer("GET", "/cases", {}, {})[1]["cases"][0].keys() <= line.keys()
    stale = decide(app, row, {"verdict": "approve", "shown_sha256": "0" * 64})
    assert shape(stale) == shape(api.answer(*decision(imagined, "approve", "0" * 64))[1])
    taken = decide(app, row, {"verdict": "reject", "reason": "A test.", "shown_sha256": card["shown_sha256"]})
    assert shape(taken) == shape(api.answer(*decision(imagined, "reject", imagined["shown_sha256"]))[1])
    late = decide(app, row, {"verdict": "approve", "shown_sha256": card["shown_sha256"]})
    assert shape(late) == shape(api.answer(*decision(imagined, "approve", imagined["shown_sha256"]))[1])
    decided = read(app, f"/approvals/{row['approval_id']}")["decision"]
    assert decided.keys() == imagined["decision"].keys()


def shape(value: Any) -> Any:
    """The names of all fields, a list's by its first item; what may be missing (null) has none."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items() if name != "review"}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def decision(card: Json, verdict: str, shown: str) -> tuple[str, str, Json, Json]:
    body = {"verdict": verdict, "reason": "A test.", "shown_sha256": shown}
    return "POST", f"/approvals/{card['approval_id']}/decision", {}, body


def decide(app: OfflineApp, row: Json, body: Json) -> Json:
    headers = {"authorization": f"Bearer {app.token}", "content-type": "application/json"}
    path = f"/approvals/{row['approval_id']}/decision"
    answer = app.stack.request("POST", path, headers=headers, body=json.dumps(body).encode())
    document: Json = json.loads(answer.body)
    return document


def test_the_page_comes_with_the_policy_the_other_tests_use(
    app: OfflineApp, content_security_policy: str
) -> None:
    answer = app.stack.request("GET", "/")
    headers = dict(answer.headers)
    assert headers["content-security-policy"] == content_security_policy
