"""Outbound requests against a real, and mostly hostile, receiver on this machine."""

import gzip
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign import outbound
from countersign.destinations import Url
from countersign.outbound import NoAnswer, PinnedTarget, get, post
from tests.certificates import Secured
from tests.receivers import PATIENT_S, Receiver, Script, drip, flood, reset, say, stall

SHORT_S = 0.5


def test_the_request_arrives_as_it_was_meant() -> None:
    with Receiver(
        say(b"HTTP/1.1 202 Accepted\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok")
    ) as receiver:
        answer = post(receiver.target("/hook?a=%20b"), "{ä}".encode(), {"webhook-id": "c-1-a1"})
    assert (answer.status, answer.body, answer.complete) == (202, b"ok", True)
    assert answer.headers["x-a"] == "1, 2"
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    assert body == "{ä}".encode()
    assert head.startswith(b"POST /hook?a=%20b HTTP/1.1\r\n")
    headers = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert headers[b"host"] == f"127.0.0.1:{receiver.port}".encode()
    assert headers[b"webhook-id"] == b"c-1-a1"
    assert headers[b"accept-encoding"] == b"identity"
    assert headers[b"user-agent"] == b"countersign"
    assert b"cookie" not in headers


def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login us password s3cret\ndefault login us password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Receiver(say(b"HTTP/1.1 204 No Content\r\n\r\n")) as receiver:
        assert post(receiver.target(), b"{}", {}).status == 204
    assert b"authorization" not in receiver.requests[0].lower()


def test_a_receiver_that_takes_the_body_too_slowly_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        target = PinnedTarget(Url("http", "127.0.0.1", deaf.getsockname()[1], "/"), ("127.0.0.1",))
        with pytest.raises(NoAnswer, match="timed_out"):
            post(target, b"x" * 50_000_000, {}, deadline_s=SHORT_S)


def test_a_get_has_no_body() -> None:
    with Receiver(say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")) as receiver:
        assert get(receiver.target(), {"Accept": "application/json"}).body == b"[]"
    assert receiver.requests[0].startswith(b"GET /hook HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_its_body_is_not_inflated(status: int) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    with Receiver(stall) as elsewhere:
        where = f"http://127.0.0.1:{elsewhere.port}/"
        head = f"HTTP/1.1 {status} X\r\nLocation: {where}\r\nContent-Encoding: gzip\r\n"
        head += f"Content-Length: {len(bomb)}\r\nSet-Cookie: a=b\r\n\r\n"
        with Receiver(say(head.encode() + bomb)) as receiver:
            answer = post(receiver.target(), b"{}", {})
            assert (answer.status, answer.body) == (status, bomb)
            post(receiver.target(), b"{}", {})
    assert elsewhere.requests == []
    assert b"cookie" not in receiver.requests[1].lower()


def test_a_long_body_is_read_to_the_cap() -> None:
    with Receiver(flood) as receiver:
        answer = post(receiver.target(), b"{}", {}, max_bytes=100_000)
    assert (answer.status, len(answer.body), answer.complete) == (200, 100_000, False)


@pytest.mark.parametrize(
    "early",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_interim_answers_are_passed_over(early: bytes) -> None:
    with Receiver(say(early, b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")) as receiver:
        answer = post(receiver.target(), b"{}", {})
    assert (answer.status, answer.body) == (201, b"ok")


def test_odd_headers_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX: a\r\n\tfolded\r\nno colon here\r\nSet-Cookie: a=b\r\n\r\n"
    with Receiver(say(raw)) as receiver:
        assert post(receiver.target("/secret-path"), b"{}", {}).status == 200
    assert "secret-path" not in caplog.text


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (stall, "timed_out"),
        (drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"), "timed_out"),
        (drip(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n"), "timed_out"),
        (drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "timed_out"),
        (reset, "broken"),
        (say(b""), "broken"),
        (say(b"hello\r\n\r\n"), "broken"),
        (say(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n" * 1_000), "broken"),
    ],
)
def test_what_is_no_answer(script: Script, reason: str) -> None:
    deadline_s = SHORT_S if reason == "timed_out" else PATIENT_S
    with Receiver(script) as receiver, pytest.raises(NoAnswer) as caught:
        post(receiver.target(), b"{}", {}, deadline_s=deadline_s)
    assert caught.value.reason == reason
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("head", "then"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_a_body_that_drips_is_cut_off_and_the_status_stands(head: bytes, then: bytes) -> None:
    with Receiver(drip(head, then)) as receiver:
        answer = post(receiver.target(), b"{}", {}, deadline_s=SHORT_S)
    assert (answer.status, answer.complete) == (200, False)
    assert set(answer.body) <= {ord("x")}


@pytest.mark.parametrize(
    "chunk", [b"5\r\nok", b"-5\r\nok", b"zz\r\nok", b"f" * 17 + b"\r\nok", b"1" * 70_000, b""]
)
def test_a_body_in_broken_chunks_takes_no_status_back(chunk: bytes) -> None:
    with Receiver(say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)) as receiver:
        answer = post(receiver.target(), b"{}", {})
    assert (answer.status, answer.complete) == (200, False)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        target = PinnedTarget(Url("http", "127.0.0.1", closed.getsockname()[1], "/"), ("127.0.0.1",))
    with pytest.raises(NoAnswer, match="unreachable"):
        post(target, b"{}", {})


def test_the_next_address_is_tried_where_one_refuses() -> None:
    with Receiver(say(b"HTTP/1.1 204 No Content\r\n\r\n")) as receiver:
        target = PinnedTarget(receiver.target().url, ("127.0.0.9", "127.0.0.1"))
        assert post(target, b"{}", {}).status == 204


# TLS


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Lets requests made here trust one more certificate, as no setting of the product can."""

    def trust(path: Path) -> None:
        send = outbound._PinnedAdapter.send
        monkeypatch.setattr(
            outbound._PinnedAdapter,
            "send",
            lambda self, request, **options: send(self, request, verify=str(path), **options),
        )

    return trust


OK = say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_tls_is_spoken_with_the_name_over_the_pinned_address(
    tmp_path: Path, trusted: Callable[[Path], None]
) -> None:
    secured = Secured(tmp_path, "hooks.example.com")
    trusted(secured.certificate)
    with Receiver(OK, tls=secured.context) as receiver:
        answer = post(receiver.target(host="hooks.example.com", scheme="https"), b"{}", {})
    assert answer.status == 200
    assert secured.names == ["hooks.example.com"]
    assert f"host: hooks.example.com:{receiver.port}".encode() in receiver.requests[0].lower()


@pytest.mark.parametrize(
    ("name", "days", "trust"),
    [("hooks.example.com", 1, False), ("other.example.com", 1, True), ("hooks.example.com", -1, True)],
    ids=["unknown issuer", "another name", "expired"],
)
def test_a_certificate_that_does_not_hold_gets_nothing(
    tmp_path: Path,
    trusted: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    days: int,
    trust: bool,
) -> None:
    secured = Secured(tmp_path, name, days=days)
    if trust:
        trusted(secured.certificate)
    else:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secured.certificate))
    with Receiver(OK, tls=secured.context) as receiver, pytest.raises(NoAnswer, match="tls"):
        post(receiver.target(host="hooks.example.com", scheme="https"), b"{}", {})
    assert receiver.requests == []


def test_a_receiver_that_never_shakes_hands_is_left() -> None:
    with (
        Receiver(stall, tls=None) as receiver,
        pytest.raises(NoAnswer) as caught,
    ):
        post(receiver.target(host="hooks.example.com", scheme="https"), b"{}", {}, deadline_s=SHORT_S)
    assert caught.value.reason == "timed_out"
