"""Answers the Bedrock calls of this process's boto3 clients without a socket.

botocore asks its `before-send` handlers first, from the most particular event name to the most general. So a
handler of `before-send.bedrock-runtime` comes before moto's of `before-send`, and costs the calls of other
services nothing. It stands among botocore's built-in handlers from the import of this module on, as moto's
does; without anything attached it answers nothing.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from moto.core.botocore_stubber import BotocoreStubber

from local.bedrock.wire import SERVICES, Answer

_EVENTS = tuple(f"before-send.{service}" for service in SERVICES)


class Handler(Protocol):
    """Answers an HTTP request; `LocalBedrock.handle`."""

    def __call__(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Answer: ...


class _Interceptor:
    """The one handler among botocore's; hands requests to what is attached."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: tuple[Handler, ...] = ()
        self._moto: Callable[..., Any] | None = None

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        handlers = self._handlers
        if not handlers:
            return None
        url = urlsplit(request.url)
        headers = {name: _text(value) for name, value in request.headers.items()}
        status, answer_headers, body = handlers[-1](
            request.method, url.path, url.query, headers, _bytes(request.body)
        )
        return AWSResponse(request.url, status, answer_headers, _RawBody(body))  # type: ignore[arg-type]

    def attach(self, handler: Handler) -> None:
        with self._lock:
            self._handlers = (*self._handlers, handler)
            if self._moto is None:
                self._skip_in_moto()
        if boto3.DEFAULT_SESSION is not None:
            # Made before this module was imported, it may lack the built-in handler.
            events = boto3.DEFAULT_SESSION.events
            for name in _EVENTS:
                events.register(
                    name,
                    self,  # type: ignore[arg-type]  # the stubs know no handler that answers
                    unique_id=f"offline-bedrock-{name}",
                )

    def detach(self, handler: Handler) -> None:
        with self._lock:
            self._handlers = tuple(each for each in self._handlers if each != handler)
            if not self._handlers and self._moto is not None:
                BotocoreStubber.process_request = self._moto  # type: ignore[method-assign]
                self._moto = None

    def _skip_in_moto(self) -> None:
        # botocore asks every handler although one has answered: moto would do the work again, in vain.
        original = self._moto = BotocoreStubber.process_request

        def process_request(stubber: Any, request: Any) -> Any:
            host = urlsplit(request.url).hostname or ""
            return None if host.split(".")[0] in SERVICES else original(stubber, request)

        BotocoreStubber.process_request = process_request  # type: ignore[method-assign, assignment]


class _RawBody:
    """What botocore reads an answer from: whole for most operations, piece by piece for streams."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = b""
        self.closed = False

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: ARG002
        """Each piece as it comes."""
        if self._rest:
            rest, self._rest = self._rest, b""
            yield rest
        yield from self._chunks

    def read(self, amt: int | None = None, **_: Any) -> bytes:
        """At most `amt` bytes, or all."""
        pieces, size = [self._rest], len(self._rest)
        while amt is None or size < amt:
            piece = next(self._chunks, None)
            if piece is None:
                break
            pieces.append(piece)
            size += len(piece)
        whole = b"".join(pieces)
        end = len(whole) if amt is None else amt
        self._rest = whole[end:]
        return whole[:end]

    def close(self) -> None:
        """End a stream early."""
        self.closed = True
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()

    def release_conn(self) -> None:
        """Nothing is held."""


interceptor = _Interceptor()
for _event in _EVENTS:
    BUILTIN_HANDLERS.append((_event, interceptor))


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, bytes | bytearray) else bytes(body.read())


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
