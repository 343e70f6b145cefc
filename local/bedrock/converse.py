"""Turns content into the answer and the events of Converse, and events back into an answer."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from local.bedrock.errors import ValidationError
from local.bedrock.script import forced_tool

_CHARACTERS_PER_DELTA = 160


def answer(content: list[dict[str, Any]], stop_reason: str | None = None) -> dict[str, Any]:
    """The answer with these content blocks; the stop reason follows from them unless given."""
    if stop_reason is None:
        stop_reason = "tool_use" if any("toolUse" in block for block in content) else "end_turn"
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop_reason}


def tool_use(number: int, name: str, tool_input: Any) -> dict[str, Any]:
    """A content block that calls a tool; `number` tells the calls of one answer apart."""
    return {"toolUse": {"toolUseId": f"tooluse_{number:04d}", "name": name, "input": tool_input}}


def events_of(whole: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An answer as ConverseStream's events, up to messageStop."""
    yield {"messageStart": {"role": "assistant"}}
    for index, block in enumerate(whole["output"]["message"]["content"]):
        if "toolUse" in block:
            call = block["toolUse"]
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            yield {"contentBlockStart": {"start": start, "contentBlockIndex": index}}
            text, wrap = json.dumps(call["input"], ensure_ascii=False), _tool_delta
        else:
            text, wrap = block["text"], _text_delta
        for start_at in range(0, len(text), _CHARACTERS_PER_DELTA):
            delta = wrap(text[start_at : start_at + _CHARACTERS_PER_DELTA])
            yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}
        yield {"contentBlockStop": {"contentBlockIndex": index}}
    yield {"messageStop": {"stopReason": whole["stopReason"]}}


def content_of(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The content blocks that a stream's events carried."""
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in events:
        if "contentBlockStart" in event:
            opened = event["contentBlockStart"]
            blocks[opened["contentBlockIndex"]] = {"toolUse": dict(opened["start"]["toolUse"])}
            inputs[opened["contentBlockIndex"]] = ""
        elif "contentBlockDelta" in event:
            delta, index = (
                event["contentBlockDelta"]["delta"],
                event["contentBlockDelta"]["contentBlockIndex"],
            )
            if "toolUse" in delta:
                inputs[index] = inputs.get(index, "") + delta["toolUse"]["input"]
            elif "text" in delta:
                block = blocks.setdefault(index, {"text": ""})
                block["text"] += delta["text"]
    for index, text in inputs.items():
        blocks[index]["toolUse"]["input"] = json.loads(text or "{}")
    return [blocks[index] for index in sorted(blocks)]


def check_conversation(params: Mapping[str, Any]) -> None:
    """The rules of a conversation that no service model states. Raises ValidationError."""
    messages = params.get("messages", ())
    if not messages:
        raise ValidationError("The messages field is required: it must have at least one message.")
    if messages[0]["role"] != "user":
        raise ValidationError("A conversation must start with a user message. Try again with a user message.")
    asked: set[str] = set()
    for number, message in enumerate(messages):
        for place, block in enumerate(message["content"]):
            name = f"messages.{number}.content.{place}"
            if "text" in block and not block["text"].strip():
                raise ValidationError(f"The text field in the ContentBlock object at {name} is blank.")
            if "toolUse" in block:
                asked.add(block["toolUse"]["toolUseId"])
            if "toolResult" in block and block["toolResult"]["toolUseId"] not in asked:
                raise ValidationError(f"The toolResult at {name} answers no toolUse of an earlier message.")
    forced = forced_tool(params)
    names = [tool["toolSpec"]["name"] for tool in tool_specs(params)]
    if forced is not None and forced not in names:
        raise ValidationError(f"The tool {forced} of toolChoice is not among the tools {', '.join(names)}.")


def tool_specs(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools of a request that have a specification."""
    return [tool for tool in params.get("toolConfig", {}).get("tools", ()) if "toolSpec" in tool]


def _tool_delta(text: str) -> dict[str, Any]:
    return {"toolUse": {"input": text}}


def _text_delta(text: str) -> dict[str, Any]:
    return {"text": text}
