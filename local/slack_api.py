"""A stand-in for the methods of Slack's Web API that delivery uses. Every conversation and thread exists."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LONGEST_TEXT = 40_000
_CHANNEL = re.compile(r"[CDG][A-Z0-9]+")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{6}")


@dataclass(frozen=True)
class Message:
    """A message that was posted, its `text` with Slack's escapes. `ts` is its id and its time."""

    ts: str
    channel: str
    thread_ts: str
    text: str
    metadata: Mapping[str, Any]


class SlackApi:
    """Keeps what is posted. The caller sees to it that one call is made at a time."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def answer(
        self, method: str, authorization: str, query: Mapping[str, str], body: bytes, at: datetime
    ) -> dict[str, Any]:
        """What Slack answers, always with status 200: `ok`, and where that is false `error`."""
        if not authorization.startswith("Bearer xoxb-"):
            return _error("not_authed" if not authorization else "invalid_auth")
        if method == "conversations.replies":
            return self._replies(query)
        if method != "chat.postMessage":
            return _error("unknown_method")
        try:
            given = json.loads(body)
        except ValueError:
            given = None
        return self._post(given, at) if isinstance(given, dict) else _error("invalid_json")

    def _post(self, given: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        channel, thread, text = given.get("channel"), given.get("thread_ts"), given.get("text")
        if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
            return _error("channel_not_found")
        if not isinstance(thread, str) or not _TS.fullmatch(thread):
            return _error("thread_not_found")
        if not isinstance(text, str) or not text.strip():
            return _error("no_text")
        if len(text) > LONGEST_TEXT:
            return _error("msg_too_long")
        metadata = given.get("metadata")
        message = Message(
            ts=f"{int(at.timestamp())}.{len(self.messages) + 1:06}",
            channel=channel,
            thread_ts=thread,
            text=text,
            metadata=metadata if isinstance(metadata, dict) else {},
        )
        self.messages.append(message)
        return {"ok": True, "channel": channel, "ts": message.ts, "message": _shown(message)}

    def _replies(self, query: Mapping[str, str]) -> dict[str, Any]:
        channel, thread = query.get("channel", ""), query.get("ts", "")
        if not _CHANNEL.fullmatch(channel):
            return _error("channel_not_found")
        if not _TS.fullmatch(thread):
            return _error("invalid_ts")
        size, first = int(query.get("limit", "1000")), int(query.get("cursor") or "0")
        found = [
            message
            for message in self.messages
            if (message.channel, message.thread_ts) == (channel, thread)
            and float(message.ts) > float(query.get("oldest", "0"))
        ]
        page = [_shown(message) for message in found[first : first + size]]
        if query.get("include_all_metadata") != "true":
            page = [{name: value for name, value in each.items() if name != "metadata"} for each in page]
        more = first + size < len(found)
        parent = {"type": "message", "user": "U0LOCALUSER", "text": "…", "ts": thread, "thread_ts": thread}
        return {
            "ok": True,
            # The message that began the thread comes first, on every page.
            "messages": [parent, *page],
            "has_more": more,
            "response_metadata": {"next_cursor": str(first + size) if more else ""},
        }


def _shown(message: Message) -> dict[str, Any]:
    return {
        "type": "message",
        "bot_id": "B0LOCALBOT",
        "text": message.text,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "metadata": message.metadata,
    }


def _error(code: str) -> dict[str, Any]:
    return {"ok": False, "error": code}
