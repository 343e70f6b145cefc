"""The stack over HTTP: the gateway on one port, AWS's APIs on another."""

import re
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as WerkzeugResponse

from local.gateway import BODY_LIMIT, Gateway, Response, message

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_READ_STEP = 64 * 1024
_DRAIN_LIMIT = 64 * 1024 * 1024
_SILENT_S = 30
"""How long a client may say nothing in the middle of a request."""
_LENGTH = re.compile(r"[0-9]{1,18}")


class PortTaken(OSError):
    """Another program listens on the port."""


class _QuietHandler(WSGIRequestHandler):
    """Refuses what is no HTTP before anything reads it, as API Gateway does, and keeps the log to itself."""

    protocol_version = "HTTP/1.1"
    # Python takes a line without a version for HTTP/0.9, whose answers have no status.
    default_request_version = protocol_version
    error_content_type = "application/json"
    error_message_format = '{"message":"%(explain)s"}'
    timeout = _SILENT_S

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        fault = self._fault()
        if fault:
            self.send_error(400, explain=fault)
        return fault is None

    def _fault(self) -> str | None:
        """What is wrong with the request's target, or with how it says where its body ends."""
        try:
            urlsplit(self.path)
        except ValueError:
            return "Bad request target"
        lengths = set(self.headers.get_all("content-length", []))
        codings = self.headers.get_all("transfer-encoding", [])
        if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            return "Bad Content-Length"
        if codings and (lengths or [each.strip().lower() for each in codings] != ["chunked"]):
            return "Bad Transfer-Encoding"
        return None

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: werkzeug would read the request's target, which may be none."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: the functions log their outcomes."""


class Server:
    """A WSGI app on a port of this machine, from `start` to `stop`."""

    def __init__(self, app: "WSGIApplication", *, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen at once; `port` 0 takes a free one. Raises PortTaken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise PortTaken(f"port {port} is taken: {error.strerror}; choose another with --port") from error
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        with listener:
            self._server: BaseWSGIServer = make_server(
                host, self.port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
            )
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Begin to answer."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more and give the port back."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def gateway_app(gateway: Callable[[], Gateway]) -> "WSGIApplication":
    """The gateway as a WSGI app. A body over the limit is refused without being kept."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        body = None
        try:
            body = _read_body(request)
        except (ClientDisconnected, OSError):
            # It went away, said nothing for too long, or sent what is no chunk.
            answer = message(400, "Bad Request")
        else:
            answer = _answer(gateway(), request, body)
        response = WerkzeugResponse(answer.body, status=answer.status, headers=list(answer.headers))
        if body is None:
            response.headers["connection"] = "close"
        return response(environ, start_response)

    return app


def _answer(gateway: Gateway, request: Request, body: bytes | None) -> Response:
    if body is None:
        return message(413, "Request Entity Too Large")
    environ = request.environ
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or request.full_path
    return gateway.handle(
        request.method,
        target,
        list(request.headers.items()),
        body,
        source_ip=request.remote_addr or "127.0.0.1",
    )


def _read_body(request: Request) -> bytes | None:
    """The body; None if it is too large, after throwing away what comes, so that the client reads the
    answer.
    """
    if (request.content_length or 0) > BODY_LIMIT:
        left = min(request.content_length or 0, _DRAIN_LIMIT)
        while left > 0 and (chunk := request.stream.read(min(left, _READ_STEP))):
            left -= len(chunk)
        return None
    chunks, size = [], 0
    while chunk := request.stream.read(_READ_STEP):
        size += len(chunk)
        if size > BODY_LIMIT:  # a chunked body has no length to judge by
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def aws_app(bedrock: "WSGIApplication | None") -> "WSGIApplication":
    """Every AWS API on one address: what is signed for Bedrock goes to `bedrock`, all else to moto."""
    moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        scope = _CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if bedrock is not None and scope is not None and scope[1] == "bedrock":
            return bedrock(environ, start_response)
        return moto(environ, start_response)

    return app
