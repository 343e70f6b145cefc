"""Requests to addresses that came from outside: looked up once, checked, and connected to as checked.

`resolve_target` decides, `post` and `get` connect to the address it found, never to a name, so a name that
answers differently the second time changes nothing. TLS and the Host header keep the name. Nothing of the
environment (proxies, netrc, certificates) is used, no redirect is followed, no cookie kept, nothing inflated.
"""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal, Protocol

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from countersign.destinations import Url, check_policy, is_public, parse_url
from countersign.errors import ConfigurationError, DestinationDenied, DestinationUnresolved

LOOK_UP_S = 10
"""Seconds that a name may take to be looked up, so that time is left to send."""
CONNECT_S = 5
"""Seconds that one address has to take a connection before the next is tried."""
MAX_BYTES = 65_536
"""Bytes of an answer's body that are read if nothing else is said."""
USER_AGENT = "Countersign"
_READ_STEP = 16_384

# It warns of a malformed answer with the address and the headers, which belong in no log.
logging.getLogger("urllib3").setLevel(logging.ERROR)


@dataclass(frozen=True)
class PinnedTarget:
    """A URL and the network addresses its host had when they were checked, in the resolver's order."""

    url: Url
    addresses: tuple[str, ...]

    def at(self, path: str) -> "PinnedTarget":
        """The same host at another `path`, query included, without another look-up."""
        return replace(self, url=replace(self.url, path=path))


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are in lower case; `body` holds the first bytes as sent, never inflated.

    `complete` says whether that is all of it: a body that was too long or broke off does not undo a status.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True


class NoAnswer(Exception):
    """No status came back. After `timed_out` and `broken` the receiver may have got the request anyway."""

    def __init__(self, reason: Literal["unreachable", "tls", "timed_out", "broken"]) -> None:
        super().__init__(reason)
        self.reason = reason


class Network(Protocol):
    """The functions below, as those take them who send: this module, or a test's stand-in."""

    def resolve_target(
        self, url: str, *, allow_loopback: bool = False, deadline_s: float = LOOK_UP_S
    ) -> PinnedTarget: ...

    def post(
        self,
        target: PinnedTarget,
        body: bytes,
        headers: Mapping[str, str],
        *,
        deadline_s: float = 30,
        max_bytes: int = MAX_BYTES,
    ) -> Answer: ...

    def get(
        self,
        target: PinnedTarget,
        headers: Mapping[str, str],
        *,
        deadline_s: float = 30,
        max_bytes: int = MAX_BYTES,
    ) -> Answer: ...


def resolve_target(url: str, *, allow_loopback: bool = False, deadline_s: float = LOOK_UP_S) -> PinnedTarget:
    """Looks a URL's host up, once, and checks every address it has.

    https on port 443 to public unicast addresses, or, with `allow_loopback`, http on any port to a host that
    says itself that it is this machine. Raises DestinationDenied; DestinationUnresolved, which is one, where
    the name has no address now, or none within `deadline_s`.
    """
    parsed = parse_url(url)
    loopback = allow_loopback and parsed.scheme == "http" and parsed.names_loopback
    if not loopback:
        check_policy(parsed)
    found = [parsed.address] if parsed.address else _look_up(parsed.host, parsed.port, deadline_s)
    for address in found:
        if not (address.is_loopback if loopback else is_public(address)):
            raise DestinationDenied("the address leads to a network that is not public")
    return PinnedTarget(parsed, tuple(dict.fromkeys(map(str, found))))


def post(
    target: PinnedTarget,
    body: bytes,
    headers: Mapping[str, str],
    *,
    deadline_s: float = 30,
    max_bytes: int = MAX_BYTES,
) -> Answer:
    """Sends `body` once. `deadline_s` covers everything from connecting to the last byte that is read.

    Raises NoAnswer; ConfigurationError where a header cannot be sent.
    """
    return _exchange("POST", target, body, headers, deadline_s, max_bytes)


def get(
    target: PinnedTarget, headers: Mapping[str, str], *, deadline_s: float = 30, max_bytes: int = MAX_BYTES
) -> Answer:
    """Asks once, within the limits of `post`. Raises NoAnswer, ConfigurationError."""
    return _exchange("GET", target, None, headers, deadline_s, max_bytes)


def _look_up(host: str, port: int, deadline_s: float) -> list[IPv4Address | IPv6Address]:
    found: list[Any] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    # It takes no timeout and cannot be interrupted, only left: the thread ends with the resolver's patience.
    asking = threading.Thread(target=ask, name="look-up", daemon=True)
    asking.start()
    asking.join(max(deadline_s, 0))
    if asking.is_alive():
        raise DestinationUnresolved("the name of the address was not looked up in time")
    if not found:
        raise DestinationUnresolved("the name of the address has no address now")
    return [ip_address(entry[4][0]) for entry in found]


def _exchange(
    method: str,
    target: PinnedTarget,
    body: bytes | None,
    headers: Mapping[str, str],
    deadline_s: float,
    max_bytes: int,
) -> Answer:
    until = time.monotonic() + deadline_s
    request = _prepare(method, target, body, headers)
    with _connected(target, until) as opened, _Watch(opened, until) as watch:
        try:
            # The adapter without a session, which would read a redirect's body to its end, and inflated.
            with _PinnedAdapter(opened) as adapter:
                timeout = max(until - time.monotonic(), 0.001)
                with adapter.send(request, stream=True, timeout=timeout) as response:
                    watch.check()
                    answer = _read(response, max_bytes)
                return replace(answer, complete=answer.complete and not watch.fired)
        except requests.exceptions.SSLError:
            raise NoAnswer("timed_out" if time.monotonic() >= until else "tls") from None
        except requests.Timeout:
            raise NoAnswer("timed_out") from None
        except (requests.RequestException, HTTPError):
            # Whether the watch cut it off or the socket's own timeout did, while it took the body too slowly.
            raise NoAnswer("timed_out" if time.monotonic() >= until else "broken") from None


def _prepare(
    method: str, target: PinnedTarget, body: bytes | None, headers: Mapping[str, str]
) -> requests.PreparedRequest:
    ours = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"}
    try:
        return requests.Request(method, str(target.url), {**ours, **headers}, data=body).prepare()
    except requests.exceptions.InvalidHeader:
        # Its message quotes the value, which may be a secret.
        raise ConfigurationError("a header of the request holds what no header may") from None
    except requests.RequestException:
        raise DestinationDenied("the address cannot be requested") from None


@contextmanager
def _connected(target: PinnedTarget, until: float) -> Iterator[socket.socket]:
    """A connection to the first address that takes one; a refused or silent one leaves time for the next."""
    for address in target.addresses:
        left = until - time.monotonic()
        if left <= 0:
            raise NoAnswer("timed_out")
        # By address: `socket.create_connection` would ask the resolver again.
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as opened:
            opened.settimeout(min(CONNECT_S, left))
            try:
                opened.connect((address, target.url.port))
            except OSError:
                continue
            opened.settimeout(max(until - time.monotonic(), 0.001))
            yield opened
            return
    raise NoAnswer("unreachable")


class _Watch:
    """Cuts a connection off in time: a socket's own timeout begins again with every byte that drips in."""

    def __init__(self, opened: socket.socket, until: float) -> None:
        # A handle of its own, since TLS takes the other one over.
        self._handle = opened.dup()
        self._timer = threading.Timer(max(until - time.monotonic(), 0), self._cut)
        self._timer.daemon = True
        self.fired = False

    def __enter__(self) -> "_Watch":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._handle.close()

    def check(self) -> None:
        """Raises NoAnswer where time is up: headers that were cut off look as if they had ended."""
        if self.fired:
            raise NoAnswer("timed_out")

    def _cut(self) -> None:
        self.fired = True
        with suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)


class _FinalResponse(http.client.HTTPResponse):
    """Passes over every interim answer. The standard library does so for 100 and takes 103 for the end."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Pinned:
    """A connection of urllib3 that finds itself connected already."""

    response_class: Any = _FinalResponse

    def __init__(self, *args: Any, opened: socket.socket, **options: Any) -> None:
        super().__init__(*args, **options)
        self._opened = opened

    def _new_conn(self) -> socket.socket:
        return self._opened


class _PinnedHttp(_Pinned, HTTPConnection):
    pass


class _PinnedHttps(_Pinned, HTTPSConnection):
    pass


class _PinnedAdapter(HTTPAdapter):
    """Speaks HTTP over a connection that is open already. For one request."""

    def __init__(self, opened: socket.socket) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._opened = opened

    def __enter__(self) -> "_PinnedAdapter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        kind = _PinnedHttps if pool.scheme == "https" else _PinnedHttp
        pool.ConnectionCls = partial(kind, opened=self._opened)
        return pool


def _read(response: requests.Response, max_bytes: int) -> Answer:
    body, complete = bytearray(), False
    # The receiver has answered: what befalls the rest of the body takes nothing back. A ValueError is how
    # the standard library takes a chunk of a negative size.
    with suppress(HTTPError, http.client.HTTPException, OSError, ValueError):
        while len(body) < max_bytes:
            chunk = response.raw.read(min(_READ_STEP, max_bytes - len(body)), decode_content=False)
            if not chunk:
                complete = True
                break
            body += chunk
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body), complete)
