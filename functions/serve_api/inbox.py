"""The page of the approvals inbox and its files. They hold nothing of anybody."""

import hashlib
import re
from pathlib import Path

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.calls import Call
from countersign.errors import NotFound
from ports import Ports

# Nothing from elsewhere runs, loads or is sent anywhere, nobody frames the page, no text becomes markup.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\.[a-z]{2,5}")

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/")
def page() -> Response[str]:
    return _serve("index.html")


@router.get("/static/<file>")
def static_file(file: str) -> Response[str]:
    return _serve(file)


def _serve(name: str) -> Response[str]:
    call: Call[Ports] = router.context["call"]
    path = Path(call.ports.settings().web_dir, name)
    # The form of the name is the guard: one part, no dots in front, a suffix we know.
    if not _FILE.fullmatch(name) or path.suffix not in TYPES or not path.is_file():
        raise NotFound("there is no such file")
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers: dict[str, str | list[str]] = {
        # Names carry no version, so a browser asks each time, and mostly hears that nothing has changed.
        "cache-control": "no-cache",
        "etag": tag,
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if tag in call.header("if-none-match"):
        return Response(304, content_type=None, body="", headers=headers)
    return Response(200, content_type=TYPES[path.suffix], body=content.decode(), headers=headers)
