"""`outbound_responses.jsonl`: what becomes of a reply whose receiver does what a line says.

A case is opened, approved and delivered offline by the real state machine and the real delivery; time jumps
from one attempt to the next. The receiver is a socket on this machine. Where it keeps an attempt waiting, the
attempt's deadline is cut to a fraction of a second, so that ten of them fit into a test; that it was given no
more than 30 seconds is asserted.
"""

import gzip
import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from countersign import outbound
from countersign.destinations import Url
from countersign.outbound import MAX_BYTES, Answer, NoAnswer, PinnedTarget
from countersign.signatures import verify
from local.cli.signing import read_event, sign
from tests.certificates import Secured
from tests.receivers import Receiver, Script, drip, flood, reset, say, stall
from tests.unit.senders import SAMPLES
from tests.workflow.conftest import Desk, apps, desk, listener, parameters  # noqa: F401  (fixtures)

Json = dict[str, Any]
SHORT_S = 0.3
ATTEMPT_S = 30
SPACES = count(1)
BOMB = gzip.compress(b"\0" * 20_000_000)
EVENTS = {"GitHub": ("github_issue_opened", "github"), "Slack": ("slack_direct_message", "slack")}


@dataclass
class Sent:
    """An attempt's request, when it began on the case's clock, and how long it really took."""

    at: float
    headers: Mapping[str, str]
    body: bytes
    took_s: float = 0.0
    read: int = 0


@dataclass
class ScriptedNetwork:
    """Leads every POST of a delivery to what the next response of a line says; looking is left as it is."""

    responses: list[Json]
    desk: Desk
    secured: Secured
    began: float
    sent: list[Sent] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)

    def post(
        self,
        target: PinnedTarget,
        body: bytes,
        headers: Mapping[str, str],
        *,
        deadline_s: float = ATTEMPT_S,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        assert 0 < deadline_s <= ATTEMPT_S
        response, now = self._next(), self.desk.stack.clock.now()
        sent = Sent(now, headers, body)
        self.sent.append(sent)
        if response.get("delay_s", 0) > ATTEMPT_S or "drip_headers_s" in response:
            deadline_s = SHORT_S
        started = time.monotonic()
        try:
            answer = self._exchange(target, response, body, headers, deadline_s, max_bytes)
            sent.read = len(answer.body)
            return answer
        finally:
            sent.took_s = time.monotonic() - started

    def _next(self) -> Json:
        first = self.responses[0]
        if "for_s" in first:
            if self.desk.stack.clock.now() - self.began < first["for_s"]:
                return first
            self.responses.pop(0)
        elif len(self.responses) > 1 and not first.get("repeat"):
            return self.responses.pop(0)
        return self.responses[0]

    def _exchange(
        self,
        target: PinnedTarget,
        response: Json,
        body: bytes,
        headers: Mapping[str, str],
        deadline_s: float,
        max_bytes: int,
    ) -> Answer:
        if response.get("error") == "connection_refused":
            with socket.create_server(("127.0.0.1", 0)) as closed:
                port = closed.getsockname()[1]
            there = replace(target, url=replace(target.url, port=port))
            return POST(there, body, headers, deadline_s=deadline_s, max_bytes=max_bytes)
        if 200 <= response.get("status", 0) < 300 and "webhook-id" not in headers:
            # What GitHub and Slack do by themselves is the stand-in's; its answer may still get lost.
            answer = POST(target, body, headers, deadline_s=ATTEMPT_S, max_bytes=max_bytes)
            if response.get("delay_s", 0) > ATTEMPT_S:
                raise NoAnswer("timed_out")
            return answer
        tls = response.get("error") == "tls_expired"
        with Receiver(script(response, self.desk.stack.clock.now()), tls=self._tls(tls)) as receiver:
            there = receiver.target(target.url.path)
            if tls:
                there = PinnedTarget(Url("https", "hooks.example.com", receiver.port, "/"), ("127.0.0.1",))
            try:
                return POST(there, body, headers, deadline_s=deadline_s, max_bytes=max_bytes)
            finally:
                self.asked += receiver.requests

    def _tls(self, wanted: bool) -> Any:
        return self.secured.context if wanted else None


POST = outbound.post


def script(response: Json, now: float) -> Script:
    """What the receiver does on a connection. Raises KeyError for what this runner does not know."""
    if "error" in response:
        return {"reset_after_body": reset, "tls_expired": say(b"")}[response["error"]]
    if "raw" in response:
        return say(response["raw"].encode())
    if "drip_headers_s" in response:
        return drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a")
    if response.get("delay_s", 0) > ATTEMPT_S:
        return stall
    if "bytes" in response:
        return flood
    headers = {name: fill(value, now) for name, value in response.get("headers", {}).items()}
    body = response.get("body", "").encode()
    if response.get("gzip_bomb"):
        headers["content-encoding"], body = "gzip", BOMB
    interim = b""
    if "then" in response:
        interim = f"HTTP/1.1 {response['status']} Interim\r\n\r\n".encode()
    lines = [f"HTTP/1.1 {response.get('then', response['status'])} Status", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return say(interim + "\r\n".join([*lines, "", ""]).encode() + body)


def fill(value: str, now: float) -> str:
    """`{now+60}` as Unix seconds, `{now+60:httpdate}` as HTTP writes dates."""

    def moment(match: re.Match[str]) -> str:
        at = now + int(match[1])
        return formatdate(at, usegmt=True) if match[2] else f"{at:.0f}"

    return re.sub(r"\{now\+(\d+)(:httpdate)?\}", moment, value)


@pytest.fixture
def network(
    case: Json,
    desk: Desk,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> ScriptedNetwork:
    expired = Secured(tmp_path, "hooks.example.com", days=-1)
    network = ScriptedNetwork(list(case["responses"]), desk, expired, desk.stack.clock.now())
    monkeypatch.setattr(outbound, "post", network.post)
    return network


@pytest.mark.cases("outbound_responses")
def test_what_becomes_of_a_reply(
    case: Json,
    judge: Any,
    desk: Desk,  # noqa: F811
    network: ScriptedNetwork,
) -> None:
    turn_destinations_on(desk)
    before = len(desk.app.outbox.comments)
    case_id = open_case(desk, case["title"])
    assert desk.decide(case_id, "edit", text="We try ten times.").status == 200
    network.began = desk.stack.clock.now()
    ended = desk.until_status(case_id, "delivered", "failed", days=7)
    expect, sent = dict(case["expect"]), network.sent
    gaps = [later.at - earlier.at for earlier, later in pairwise(sent)]
    checks = {
        "outcome": lambda want: ended["status"] == {"dead_lettered": "failed"}.get(want, want),
        "attempts": lambda want: len(sent) == want,
        "min_gap_s": lambda want: bool(gaps) and min(gaps) >= want - 1,
        "max_gap_s": lambda want: max(gaps, default=0) <= want,
        "max_total_s": lambda want: desk.stack.clock.now() - network.began <= want,
        "max_attempt_s": lambda want: max(each.took_s for each in sent) <= want,
        "max_bytes_read": lambda want: max(each.read for each in sent) <= want,
        "no_tight_loop": lambda _: min(gaps) >= 1 and sum(gaps) > 3_600,
        "location_requested": lambda want: any(b"/other" in each for each in network.asked) == want,
        "tls_verified": lambda _: network.asked == [],
        "cookie_not_stored": lambda _: not any(b"\r\ncookie:" in each.lower() for each in network.asked),
        "same_webhook_id": lambda _: same_id_and_fresh_signatures(desk, sent),
        "comments_created": lambda want: len(desk.app.outbox.comments) - before == want,
    }
    for name, want in expect.items():
        assert name in checks, f"this runner does not know the expectation {name}"
        judge(checks[name](want), f"{name} is not {want}: {ended['status']}, waits {gaps}")
    if ended["status"] == "failed":
        # Never dropped: it says why, and the signed reply can be sent again.
        gone = network.responses[0].get("status") == HTTPStatus.GONE
        wanted = "DestinationOff" if gone else "DeliveryFailed"
        judge(ended["outcome"] == wanted, f"it failed with {ended['outcome']}")


def turn_destinations_on(desk: Desk) -> None:  # noqa: F811
    """What another case's receiver switched off."""
    for each in desk.get("/destinations")["destinations"]:
        desk.stack.request("POST", f"/destinations/{each['id']}/on", token=desk.token)


def open_case(desk: Desk, title: str) -> str:  # noqa: F811
    for channel, (event, source) in EVENTS.items():
        if title.startswith(channel):
            return open_sample(desk, event, source)
    case_id = desk.send("How often is a failed delivery tried?")
    desk.waiting(case_id)
    return case_id


def open_sample(desk: Desk, name: str, source: str) -> str:  # noqa: F811
    sample = read_event((SAMPLES / f"{name}.json").read_bytes())
    # One sample for several cases: another body and id each, since the same one is the same event.
    number = next(SPACES)
    body = re.sub(rb'(?<="event_id":")[^"]*', b"Ev%d" % number, sample.body)
    event = replace(sample, body=body + b" " * number)
    headers = sign(source, desk.app.secret(source), event, desk.stack.clock.now(), kind=event.kind)
    answer = desk.stack.request("POST", f"/webhooks/{source}", headers=headers, body=event.body)
    assert answer.status == 202, answer.body
    case_id: str = answer.json()["case_id"]
    desk.waiting(case_id)
    return case_id


def same_id_and_fresh_signatures(desk: Desk, sent: list[Sent]) -> bool:  # noqa: F811
    for each in sent:
        verify("standard-webhooks", each.headers, each.body, [desk.app.secret("webhook")], each.at)
    return (
        len({(each.headers["webhook-id"], each.body) for each in sent}) == 1
        and len({each.headers["webhook-timestamp"] for each in sent}) == len(sent)
        and len({each.headers["webhook-signature"] for each in sent}) == len(sent)
        and all(json.loads(each.body)["type"] == "case.replied" for each in sent)
    )
