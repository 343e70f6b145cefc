"""`ssrf_urls.jsonl`: which addresses are connected to, whatever the resolver answers and the receiver says.

The names of a case are answered from its `dns`, one list for each look-up; every connection ends at a
receiver on this machine, after the address that was asked for has been noted. TLS is left out: what it adds
(the name, the certificate) has tests of its own.
"""

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from urllib3.connection import HTTPConnection

from countersign import outbound
from countersign.answers import read_answer
from countersign.clock import now
from countersign.destinations import is_public
from countersign.errors import DestinationDenied, InvalidRequest
from countersign.models import canonical_json
from countersign.outbound import NoAnswer
from countersign.sources import load_source, read_event
from tests.receivers import Receiver, say

OWN_HOST = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"


class Wire:
    """Answers look-ups from a case, and leads every connection to one receiver."""

    def __init__(self, answers: dict[str, list[list[str]]], receiver: Receiver) -> None:
        self._left = {name: list(lists) for name, lists in answers.items()}
        self._receiver = receiver
        self.reached: list[tuple[str, int]] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        connect = socket.socket.connect

        def to_the_receiver(opened: socket.socket, address: Any) -> None:
            self.reached.append((address[0], address[1]))
            if opened.family == socket.AF_INET6:
                raise ConnectionRefusedError
            connect(opened, ("127.0.0.1", self._receiver.port))

        patch.setattr(socket, "getaddrinfo", self._look_up)
        patch.setattr(socket.socket, "connect", to_the_receiver)
        # The same code but for TLS, which the receiver does not speak.
        patch.setattr(outbound, "_PinnedHttps", plain)

    def _look_up(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        lists = self._left.get(host) or self._left.get(f"{host}.")
        if not lists:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = lists.pop(0) if len(lists) > 1 else lists[0]
        return [entry(address, port) for address in found]


class _Plain(outbound._Pinned, HTTPConnection):
    pass


def plain(host: str, port: int, *, opened: socket.socket, timeout: Any = None, **_: Any) -> HTTPConnection:
    connection = _Plain(host, port, timeout=timeout, opened=opened)
    connection.is_verified = True  # or urllib3 warns
    return connection


def entry(address: str, port: int) -> Any:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


@pytest.mark.cases("ssrf_urls")
def test_what_is_connected_to(case: dict[str, Any], judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.get("category") == "self":
        judge(own_address_is_refused(case["url"].replace("SELF_API_HOST", OWN_HOST)), "it was accepted")
        return
    response = case.get("response", {})
    head = f"HTTP/1.1 {response.get('status', 200)} X\r\nContent-Length: 0\r\n"
    head += f"Location: {response['location']}\r\n" if "location" in response else ""
    with Receiver(say(f"{head}\r\n".encode())) as receiver:
        wire = Wire(case.get("dns", {}), receiver)
        wire.install(monkeypatch)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:3128")
        status, denied = None, ""
        try:
            status = outbound.post(outbound.resolve_target(case["url"]), b"{}", {}).status
        except DestinationDenied as error:
            denied = str(error)
        except NoAnswer as error:
            denied = "" if wire.reached else error.reason
    # Whatever is expected: nothing is ever reached but public addresses on the port of https.
    inner = [where for where in wire.reached if where[1] != 443 or not is_public(ip_address(where[0]))]
    assert inner == []
    match case["expect"]:
        case "allow":
            judge(not denied and bool(wire.reached), f"denied: {denied}")
        case "deny":
            judge(bool(denied) and not wire.reached, f"connected to {wire.reached}")
        case "deny_or_pinned":
            first = {address for lists in case["dns"].values() for address in lists[0]}
            judge(bool(denied) or {where[0] for where in wire.reached} <= first, f"reached {wire.reached}")
        case "no_follow":
            judge(len(wire.reached) == 1 and len(receiver.requests) == 1, f"reached {wire.reached}")
            answer = outbound.Answer(status or 0, {}, b"")
            judge(read_answer(answer, now()).outcome == "retry", "a redirect is a failed attempt")
        case other:
            pytest.fail(f"this runner does not know the expectation {other}")


def own_address_is_refused(url: str) -> bool:
    """What intake says to an event whose callback is the address that the event itself was posted to."""
    source = load_source("webhook", Path("layers/sources/sources"))
    data = {"id": "T-1", "subject": "s", "text": "t", "author": "a", "callback_url": url}
    event = {"type": "case.opened", "timestamp": "2026-03-02T09:00:00Z", "data": data}
    headers = {"content-type": "application/json", "webhook-id": "msg_1", "host": OWN_HOST}
    try:
        read_event(source, headers, canonical_json(event), "2026-03-02T09:00:00Z", "https://api.github.com")
    except InvalidRequest:
        return True
    return False
