"""Hands the Bedrock calls of this process to the local Bedrock, without sockets."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moto.core.botocore_stubber import BotocoreStubber
from werkzeug.test import EnvironBuilder, run_wsgi_app

from local.replacement import replaced

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@contextmanager
def bedrock_in_process(app: "WSGIApplication") -> Iterator[None]:
    """Answer requests for Bedrock's own hosts by `app` while the block runs.

    A client with another endpoint (`AWS_ENDPOINT_URL_BEDROCK_RUNTIME`) is left alone. A stream is read to
    its end before the client sees it; one that breaks off arrives as far as it came.
    """
    original = BotocoreStubber.process_request

    def process_request(stubber: BotocoreStubber, request: Any) -> Any:
        url = urlsplit(request.url)
        host = url.hostname or ""
        if not (host.startswith("bedrock") and host.endswith(".amazonaws.com")):
            return original(stubber, request)
        body = request.body or b""
        builder = EnvironBuilder(
            path=url.path,
            base_url=f"{url.scheme}://{host}",
            query_string=url.query,
            method=request.method,
            headers=[(name, _text(value)) for name, value in request.headers.items()],
            input_stream=io.BytesIO(body if isinstance(body, bytes) else str(body).encode()),
        )
        pieces, status, headers = run_wsgi_app(app, builder.get_environ())
        return int(status.split()[0]), dict(headers.items()), b"".join(_until_it_breaks(pieces))

    with replaced(BotocoreStubber, "process_request", process_request):
        yield


def _until_it_breaks(pieces: Any) -> Iterator[bytes]:
    try:
        yield from pieces
    except ConnectionError:
        return


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
