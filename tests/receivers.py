"""A receiver on this machine that does whatever a test's script says, byte by byte."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Self

from countersign.destinations import Url
from countersign.outbound import PinnedTarget

type Script = Callable[[socket.socket], None]
PATIENT_S = 20


class Receiver:
    """Reads one request on each connection and then does what its script says."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script, self._tls = script, tls
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        with socket.socket() as waker:
            waker.connect_ex(("127.0.0.1", self.port))
        self._thread.join()
        self._listener.close()

    def target(self, path: str = "/hook", *, host: str = "127.0.0.1", scheme: str = "http") -> PinnedTarget:
        return PinnedTarget(Url(scheme, host, self.port, path), ("127.0.0.1",))

    def _serve(self) -> None:
        while True:
            opened, _ = self._listener.accept()
            if self._done.is_set():
                opened.close()
                return
            with opened:
                try:
                    self._handle(opened)
                except OSError:
                    continue  # the other side hung up, as it should on most of what is tried here

    def _handle(self, opened: socket.socket) -> None:
        opened.settimeout(PATIENT_S)
        if self._tls:
            with self._tls.wrap_socket(opened, server_side=True) as secured:
                self.requests.append(read_request(secured))
                self._script(secured)
            return
        self.requests.append(read_request(opened))
        self._script(opened)


def read_request(opened: socket.socket) -> bytes:
    raw = b""
    while b"\r\n\r\n" not in raw and (chunk := opened.recv(65_536)):
        raw += chunk
    head, _, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += opened.recv(65_536)
    return head + b"\r\n\r\n" + body


def say(*pieces: bytes) -> Script:
    def script(opened: socket.socket) -> None:
        for piece in pieces:
            opened.sendall(piece)

    return script


def drip(first: bytes, then: bytes) -> Script:
    """Never silent for long, never done."""

    def script(opened: socket.socket) -> None:
        opened.sendall(first)
        ends = time.monotonic() + PATIENT_S
        while time.monotonic() < ends:
            opened.sendall(then)
            time.sleep(0.05)

    return script


def stall(opened: socket.socket) -> None:
    opened.recv(1)  # until the other side hangs up


def flood(opened: socket.socket) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    for _ in range(1_000):
        opened.sendall(b"x" * 1_000_000)


def reset(opened: socket.socket) -> None:
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
