"""Who sent this: the signature schemes of the senders we know, verified over the raw bytes of a body.

The source chooses the scheme, never the request. Nothing here trusts a header's form: whatever comes in,
the answer is None or `SignatureRejected`. Every digest is HMAC-SHA256; keys are the secret's UTF-8 bytes but
for Standard Webhooks, whose secret is base64.

| scheme | signature header | signed bytes | digest |
|---|---|---|---|
| standard-webhooks | webhook-signature | webhook-id.webhook-timestamp.body | `v1,` base64 |
| github | x-hub-signature-256 | body | `sha256=` hex |
| stripe | stripe-signature (`t=`) | t.body | `v1=` hex |
| slack | x-slack-signature | v0:x-slack-request-timestamp:body | `v0=` hex |
| zendesk | x-zendesk-webhook-signature | its `-timestamp`, then the body | base64 |
| shopify | x-shopify-hmac-sha256 | body | base64 |
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal, get_args

from countersign.errors import ConfigurationError, SignatureRejected

Scheme = Literal["standard-webhooks", "github", "stripe", "slack", "zendesk", "shopify"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
Headers = Mapping[str, str]
MAX_DIGESTS = 16
"""How many digests a request may offer: a sender that rotates its secret offers two."""

# ASCII digits only (int() takes others), and few enough that no date calculation overflows.
# One way to write each, so no leading zero.
_UNIX_TIME = re.compile(r"[1-9][0-9]{0,11}")
# Zendesk puts nothing between timestamp and body, so a byte could move from one to the other: a strict
# form with a zone at its end leaves only one way to part them.
_ISO_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True)
class _Signed:
    """What a request says was signed, the digests it offers and how they are written.

    `sent_at` is in Unix seconds, None where the scheme carries no time.
    """

    content: bytes
    offered: Sequence[str]
    encode: Callable[[bytes], str]
    sent_at: float | None = None


def verify(
    scheme: str,
    headers: Headers,
    body: bytes,
    secrets: Sequence[str],
    now: float,
    tolerance_s: float = 300,
) -> None:
    """Return if one of `secrets` signed exactly these bytes within `tolerance_s` seconds of `now`.

    `body` is what came over the wire, after API Gateway's base64 and before anything else; `now` is in
    Unix seconds. Header names match in any case, and spaces around a value are no part of it (RFC 9110); a
    header given twice is refused. All of `secrets` are active (rotation); blank ones never match. Raises
    SignatureRejected, with the reason, and nothing else.
    """
    read = _READERS.get(scheme)
    if read is None:
        raise SignatureRejected("no such signature scheme")
    signed = read(headers, body)
    if len(signed.offered) > MAX_DIGESTS:
        raise SignatureRejected("too many signatures")
    if signed.sent_at is not None and not abs(now - signed.sent_at) <= tolerance_s:
        raise SignatureRejected("the timestamp is outside the tolerance")
    keys = [key for secret in secrets if (key := _key(scheme, secret))]
    if not keys:
        raise SignatureRejected("no usable secret is configured")
    matched = False
    for key in keys:
        expected = signed.encode(hmac.digest(key, signed.content, sha256)).encode()
        for offered in signed.offered:
            # Every pair is compared, so that time tells nothing of which secret or digest was near.
            matched |= hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), expected)
    if not matched:
        raise SignatureRejected("the signature does not match")


def is_signing_key(secret: str) -> bool:
    """Whether `sign_standard_webhook` can sign with this secret."""
    return bool(_key("standard-webhooks", secret))


def sign_standard_webhook(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers with which a receiver can verify `body` by the Standard Webhooks scheme.

    `secret` is base64 with or without `whsec_`, `timestamp` in Unix seconds. Raises ConfigurationError if the
    secret is no key.
    """
    key = _key("standard-webhooks", secret)
    if not key:
        raise ConfigurationError("the secret that signs callbacks is empty or not base64")
    digest = hmac.digest(key, _standard_content(message_id, str(timestamp), body), sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{_base64(digest)}",
    }


def _key(scheme: str, secret: str) -> bytes:
    """The HMAC key that a configured secret stands for; empty if it can be none."""
    if not secret.strip():
        return b""
    try:
        if scheme != "standard-webhooks":
            return secret.encode()
        text = secret.removeprefix("whsec_")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return b""


def _read_standard_webhook(headers: Headers, body: bytes) -> _Signed:
    message_id = _header(headers, "webhook-id")
    if "." in message_id:
        # As the specification advises: else the time could pose as part of the id.
        raise SignatureRejected("webhook-id holds a full stop")
    timestamp = _header(headers, "webhook-timestamp")
    sent_at = _unix_time(timestamp)
    parts = (part.partition(",") for part in _header(headers, "webhook-signature").split(" "))
    offered = [digest for version, _, digest in parts if version == "v1"]
    return _Signed(_standard_content(message_id, timestamp, body), offered, _base64, sent_at)


def _standard_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return b"%s.%s.%s" % (message_id.encode("utf-8", "surrogatepass"), timestamp.encode(), body)


def _read_github(headers: Headers, body: bytes) -> _Signed:
    # The older x-hub-signature (SHA-1) is never looked at: a downgrade must not pass.
    return _Signed(body, [_after_prefix(_header(headers, "x-hub-signature-256"), "sha256=")], bytes.hex)


def _read_stripe(headers: Headers, body: bytes) -> _Signed:
    pairs = [item.partition("=") for item in _header(headers, "stripe-signature").split(",")]
    timestamps = [value for name, _, value in pairs if name == "t"]
    if len(timestamps) != 1:
        # With two, one could be fresh and the other signed.
        raise SignatureRejected("stripe-signature does not hold exactly one timestamp")
    sent_at = _unix_time(timestamps[0])
    offered = [value for name, _, value in pairs if name == "v1"]
    return _Signed(b"%s.%s" % (timestamps[0].encode(), body), offered, bytes.hex, sent_at)


def _read_slack(headers: Headers, body: bytes) -> _Signed:
    timestamp = _header(headers, "x-slack-request-timestamp")
    sent_at = _unix_time(timestamp)
    offered = _after_prefix(_header(headers, "x-slack-signature"), "v0=")
    return _Signed(b"v0:%s:%s" % (timestamp.encode(), body), [offered], bytes.hex, sent_at)


def _read_zendesk(headers: Headers, body: bytes) -> _Signed:
    timestamp = _header(headers, "x-zendesk-webhook-signature-timestamp")
    if not _ISO_TIME.fullmatch(timestamp):
        raise SignatureRejected("the timestamp is not ISO 8601 with a zone")
    try:
        sent_at = datetime.fromisoformat(timestamp).timestamp()
    except (ValueError, OverflowError):
        raise SignatureRejected("the timestamp is no date") from None
    offered = _header(headers, "x-zendesk-webhook-signature")
    return _Signed(timestamp.encode() + body, [offered], _base64, sent_at)


def _read_shopify(headers: Headers, body: bytes) -> _Signed:
    # Carries no time: a replay is caught by the claims on the event id and the body's hash.
    return _Signed(body, [_header(headers, "x-shopify-hmac-sha256")], _base64)


_READERS: dict[str, Callable[[Headers, bytes], _Signed]] = {
    "standard-webhooks": _read_standard_webhook,
    "github": _read_github,
    "stripe": _read_stripe,
    "slack": _read_slack,
    "zendesk": _read_zendesk,
    "shopify": _read_shopify,
}


def _header(headers: Headers, name: str) -> str:
    found = [value for key, value in headers.items() if key.lower() == name]
    if len(found) > 1:
        raise SignatureRejected(f"{name} was sent more than once")
    value = found[0] if found else None
    # A gateway may hand over None for a header without a value, or a list of its lines.
    if not isinstance(value, str) or not (trimmed := value.strip(" \t")):
        raise SignatureRejected(f"{name} is missing")
    return trimmed


def _unix_time(text: str) -> int:
    if not _UNIX_TIME.fullmatch(text):
        raise SignatureRejected("the timestamp is not in Unix seconds")
    return int(text)


def _after_prefix(value: str, prefix: str) -> str:
    if not value.startswith(prefix):
        raise SignatureRejected(f"the signature does not start with {prefix}")
    return value.removeprefix(prefix)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
