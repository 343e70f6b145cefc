"""Writes `application/vnd.amazon.eventstream`.

A message is a prelude (total length, length of the headers, CRC32 of both), headers, payload and the CRC32 of
all before it; header values are strings (type 7). Numbers are big-endian.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    content = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + payload
    return content + struct.pack("!I", zlib.crc32(content))


def event(name: str, payload: Any) -> bytes:
    """An event of the stream's union: `name` is the member, `payload` its JSON value."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(payload, ensure_ascii=False).encode())


def exception(name: str, text: str) -> bytes:
    """An error inside the stream: `name` is the union's member, such as `throttlingException`."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps({"message": text}, ensure_ascii=False).encode())


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(text)) + text
