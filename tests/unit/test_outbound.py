"""Which addresses are connected to: looked up once, every address checked, nothing ambiguous let through."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from countersign import outbound
from countersign.errors import ConfigurationError, DestinationDenied, DestinationUnresolved
from countersign.outbound import NoAnswer, PinnedTarget, resolve_target

PUBLIC = "93.184.216.34"
PUBLIC_V6 = "2606:4700:4700::1111"
type Resolver = Callable[..., list[str]]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Sets the answers of one name, one list for each look-up; returns the names that were looked up."""

    def answer(*answers: list[str]) -> list[str]:
        left, asked = list(answers), []

        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            asked.append(host)
            found = left.pop(0)
            if not found:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return [entry(address, port) for address in found]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return answer


def entry(address: str, port: int) -> Any:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://hooks.example.com/a?b=c", "hooks.example.com", "/a?b=c"),
        ("HTTPS://Hooks.Example.COM:443/a", "hooks.example.com", "/a"),
        ("https://hooks.example.com", "hooks.example.com", "/"),
        ("https://hooks.example.com?x", "hooks.example.com", "/?x"),
        ("https://hooks.example.com./a", "hooks.example.com", "/a"),
        ("https://hooks.example.com/#@127.0.0.1/", "hooks.example.com", "/"),
        ("https://hooks.example.com/a@127.0.0.1", "hooks.example.com", "/a@127.0.0.1"),
        ("https://127.0.0.1.example.com/", "127.0.0.1.example.com", "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/"),
    ],
)
def test_a_public_https_address_is_pinned(resolver: Resolver, url: str, host: str, path: str) -> None:
    asked = resolver([PUBLIC, PUBLIC_V6, PUBLIC])
    target = resolve_target(url)
    assert target.addresses == (PUBLIC, PUBLIC_V6)
    assert (target.url.host, target.url.port, target.url.path) == (host, 443, path)
    assert asked == [host]


@pytest.mark.parametrize(
    "url",
    [
        # form
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "https:/hooks.example.com/",
        "https:///hooks",
        "//hooks.example.com/",
        "",
        " https://hooks.example.com/",
        "https://hooks.example.com/\n",
        "https://hooks.example.com/a b",
        "https://hooks.exam\tple.com/",
        "https://hooks.example.com\r\nHost: evil.example/",
        "https://hooks..example.com/",
        f"https://hooks.example.com/{'a' * 2_100}",
        # what hides the host
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com%00.evil.example/",
        "https://%31%32%37.0.0.1/",
        "https://hooks.example.com,evil.example/",
        "https://ho\u00adoks.example.com/",
        # ports
        "https://hooks.example.com:80/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:65979/",
        "https://hooks.example.com:0443a/",
        # names inside a network
        "https://localhost/",
        "https://a.localhost/",
        "https://printer/",
        "https://metadata.google.internal/",
        "https://instance-data.ec2.internal/",
        "https://sandbox.localdomain/",
        "https://router.lan/",
        "https://api.svc.cluster.local/",
        "https://1.0.0.127.in-addr.arpa/",
        # addresses
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://１２７.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[::1/",
        "https://[::]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:0:7f00:1]/",
        "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
        "https://[64:ff9b:1::a00:1]/",
        "https://[2001:0:7f00:1::]/",
        "https://[100::1]/",
        "https://[ff02::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:4700:4700::1111%25lo]/",
        "https://[v1.127.0.0.1]/",
        "https://127.0.0.1./",
        "https://127。0。0。1/",
        "https://①②⑦.0.0.1/",
        "https://0xA9FEA9FE/",
        "https://0xa9.0376.43518/",
        "https://169.254.169.0376/",
        "https://00000177.0.0.1/",
        "https://127.0.0.1.:443/",
        "https://4294967296/",
        "https://localhost./",
        "https://loc\u200balhost.example.com/",
        "https://ip6-loopback/",
        # what Lambda keeps for itself
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "https://169.254.100.1:9001/2018-06-01/runtime/invocation/next",
        "https://169.254.79.129/",
        "https://169.254.170.2/v2/credentials",
        "https://169.254.169.253/",
        "https://[fd00:ec2::23]/",
    ],
)
def test_anything_else_is_denied_without_asking_anybody(resolver: Resolver, url: str) -> None:
    asked = resolver([PUBLIC])
    with pytest.raises(DestinationDenied):
        resolve_target(url)
    assert asked == []


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        [PUBLIC, "10.0.0.5"],
        ["169.254.169.254", PUBLIC],
        [PUBLIC, "::1"],
        [PUBLIC_V6, "fe80::1%eth0"],
        [f"{PUBLIC_V6}%eth0"],
        ["2001:db8::1"],
        ["198.51.100.7", PUBLIC],
        ["2002:a9fe:a9fe::1"],
        ["::"],
        ["0.0.0.0"],
        ["::ffff:10.0.0.5"],
        ["64:ff9b::7f00:1"],
        ["168.63.129.16"],
        ["192.88.99.1"],
    ],
)
def test_a_name_with_one_address_that_is_not_public_is_denied(resolver: Resolver, found: list[str]) -> None:
    resolver(found)
    with pytest.raises(DestinationDenied) as caught:
        resolve_target("https://hooks.example.com/")
    assert not isinstance(caught.value, DestinationUnresolved)


def test_a_name_without_an_address_is_denied_for_now(resolver: Resolver) -> None:
    resolver([])
    with pytest.raises(DestinationUnresolved):
        resolve_target("https://hooks.example.com/")


def test_a_look_up_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    released, asked = threading.Event(), threading.Event()

    def hangs(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.set()
        released.wait()
        return [entry(PUBLIC, port)]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        with pytest.raises(DestinationUnresolved, match="in time"):
            resolve_target("https://hooks.example.com/", deadline_s=0.01)
        assert asked.is_set()
    finally:
        released.set()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/hook", "http://[::1]:8000/", "http://127.8.8.8/"])
def test_loopback_is_reached_only_where_it_is_allowed(url: str) -> None:
    with pytest.raises(DestinationDenied):
        resolve_target(url)
    target = resolve_target(url, allow_loopback=True)
    assert target.addresses == (str(target.url.address),)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://localhost:8000/", [PUBLIC]),
        ("http://hooks.example.com:8000/", ["127.0.0.1"]),
        ("http://a.localhost:8000/", ["127.0.0.1"]),
        ("https://localhost/", ["127.0.0.1"]),
        ("http://10.0.0.5/", []),
        ("http://0.0.0.0:8000/", []),
    ],
)
def test_allowing_loopback_allows_nothing_else(resolver: Resolver, url: str, found: list[str]) -> None:
    resolver(found)
    with pytest.raises(DestinationDenied):
        resolve_target(url, allow_loopback=True)


class Wire:
    """Takes the place of `connect`: refuses, and remembers where it was asked to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached: list[Any] = []

        def connect(opened: socket.socket, address: Any) -> None:
            self.reached.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(socket.socket, "connect", connect)


def test_it_connects_to_what_was_checked_whatever_the_name_says_later(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, wire = resolver([PUBLIC, PUBLIC_V6], ["127.0.0.1"]), Wire(monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:3128")
    target = resolve_target("https://hooks.example.com/")
    with pytest.raises(NoAnswer, match="unreachable"):
        outbound.post(target, b"{}", {})
    assert wire.reached == [(PUBLIC, 443), (PUBLIC_V6, 443)]
    assert asked == ["hooks.example.com"]


def test_no_time_left_is_no_answer(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver([PUBLIC])
    wire = Wire(monkeypatch)
    with pytest.raises(NoAnswer, match="timed_out"):
        outbound.get(resolve_target("https://hooks.example.com/"), {}, deadline_s=0)
    assert wire.reached == []


def test_a_secret_that_is_no_header_is_not_quoted(resolver: Resolver) -> None:
    resolver([PUBLIC])
    target = resolve_target("https://hooks.example.com/")
    with pytest.raises(ConfigurationError) as caught:
        outbound.post(target, b"{}", {"Authorization": "Bearer s3cret\r\nX: y"})
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_another_path_keeps_the_addresses(resolver: Resolver) -> None:
    asked = resolver([PUBLIC])
    target: PinnedTarget = resolve_target("https://hooks.example.com/a").at("/b?page=2")
    assert str(target.url) == "https://hooks.example.com/b?page=2"
    assert (target.addresses, asked) == ((PUBLIC,), ["hooks.example.com"])
