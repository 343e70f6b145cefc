"""A model behind any OpenAI-compatible server (Ollama, vLLM, llama.cpp): Converse mapped both ways."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from local.bedrock.converse import answer, content_of, tool_specs
from local.bedrock.errors import ServiceError, ValidationError
from local.bedrock.script import forced_tool

_TIMEOUT_S = (5.0, 300.0)
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filtered",
}
_ERRORS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


class OpenAICompatibleModel:
    """Asks `POST {url}/chat/completions`."""

    def __init__(
        self,
        url: str,
        *,
        model_name: str | None = None,
        api_key: str | None = None,
        session: requests.Session | None = None,
    ) -> None:
        """`url` is the API's base, such as `http://localhost:11434/v1`; without a path, `/v1` is meant.

        Without `model_name` the server's first model is used.
        """
        base = url.rstrip("/")
        self._base = base if base.count("/") > 2 else f"{base}/v1"
        self._model_name = model_name
        self._session = session if session is not None else requests.Session()
        self._session.trust_env = False  # a local server is not behind a proxy
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def converse(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer. Raises ServiceError."""
        events = list(self.converse_stream(params))
        stopped = next(event["messageStop"] for event in events if "messageStop" in event)
        whole = answer(content_of(events) or [{"text": " "}], stopped["stopReason"])
        for event in events:
            if "metadata" in event:
                whole["usage"] = event["metadata"]["usage"]
        return whole

    def converse_stream(self, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The server's stream as Converse's events, as they come. Raises ServiceError."""
        body = self._request(params) | {"stream": True, "stream_options": {"include_usage": True}}
        try:
            with self._session.post(
                f"{self._base}/chat/completions", json=body, timeout=_TIMEOUT_S, stream=True
            ) as response:
                _check(response)
                yield from _events(_server_sent(response))
        except requests.Timeout as problem:
            raise ServiceError("ModelTimeoutException", f"{self._base} took too long") from problem
        except requests.RequestException as problem:
            raise ServiceError("ServiceUnavailableException", f"{self._base}: {problem}") from problem

    def _request(self, params: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._name(), "messages": list(_messages(params))}
        limits = params.get("inferenceConfig", {})
        names = {
            "maxTokens": "max_tokens",
            "temperature": "temperature",
            "topP": "top_p",
            "stopSequences": "stop",
        }
        body |= {names[name]: value for name, value in limits.items()}
        specs = [tool["toolSpec"] for tool in tool_specs(params)]
        if specs:
            body["tools"] = [{"type": "function", "function": _function(spec)} for spec in specs]
            forced = forced_tool(params)
            if forced is not None:
                body["tool_choice"] = {"type": "function", "function": {"name": forced}}
            else:
                must = "any" in params["toolConfig"].get("toolChoice", {})
                body["tool_choice"] = "required" if must else "auto"
        return body

    def _name(self) -> str:
        if self._model_name is None:
            try:
                response = self._session.get(f"{self._base}/models", timeout=_TIMEOUT_S)
                _check(response)
                self._model_name = str(response.json()["data"][0]["id"])
            except (requests.RequestException, LookupError, ValueError) as problem:
                raise ServiceError(
                    "ServiceUnavailableException", f"{self._base} names no model: {problem}"
                ) from problem
        return self._model_name


def _messages(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    system = "\n\n".join(block["text"] for block in params.get("system", ()) if "text" in block)
    if system:
        yield {"role": "system", "content": system}
    for message in params["messages"]:
        texts, calls = [], []
        for block in message["content"]:
            if "text" in block:
                texts.append(block["text"])
            elif "guardContent" in block:
                texts.append(block["guardContent"]["text"]["text"])
            elif "toolUse" in block:
                calls.append(_call(block["toolUse"]))
            elif "toolResult" in block:
                yield _tool_message(block["toolResult"])
            elif "cachePoint" not in block and "reasoningContent" not in block:
                raise ValidationError(
                    f"A server of this kind takes no content of the kind {next(iter(block))}"
                )
        if texts or calls:
            said: dict[str, Any] = {"role": message["role"], "content": "\n\n".join(texts) or None}
            yield said | ({"tool_calls": calls} if calls else {})


def _call(use: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": use["name"], "arguments": json.dumps(use["input"])}
    return {"id": use["toolUseId"], "type": "function", "function": function}


def _tool_message(result: Mapping[str, Any]) -> dict[str, Any]:
    parts = [part["text"] if "text" in part else json.dumps(part.get("json")) for part in result["content"]]
    return {"role": "tool", "tool_call_id": result["toolUseId"], "content": "\n".join(parts)}


def _function(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": spec["name"],
        "description": spec.get("description", ""),
        "parameters": spec["inputSchema"].get("json", {}),
    }


def _check(response: requests.Response) -> None:
    if response.ok:
        return
    code = _ERRORS.get(response.status_code, "ModelErrorException")
    raise ServiceError(code, f"The model's server answered {response.status_code}: {response.text[:300]}")


def _server_sent(response: requests.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if data and data != b"[DONE]":
            try:
                yield json.loads(data)
            except ValueError as problem:
                raise ServiceError("ModelErrorException", "The model's server sent no JSON") from problem


def _events(chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield {"messageStart": {"role": "assistant"}}
    blocks: dict[str | int, int] = {}
    reason, usage, arguments = "end_turn", None, ""
    current: str | int | None = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices", ())[:1]:
            delta = choice.get("delta") or {}
            reason = _STOP_REASONS.get(choice.get("finish_reason") or "", reason)
            pieces: list[tuple[str | int, str, dict[str, Any]]] = []
            if delta.get("content"):
                pieces.append(("text", delta["content"], {}))
            for call in delta.get("tool_calls") or ():
                function = call.get("function") or {}
                pieces.append((call.get("index", 0), function.get("arguments") or "", call))
            for key, text, call in pieces:
                if key not in blocks:
                    if current is not None:
                        yield {"contentBlockStop": {"contentBlockIndex": blocks[current]}}
                    blocks[key] = len(blocks)
                    if key != "text":
                        yield _opened(call, blocks[key])
                    arguments = ""
                current = key
                if not text:
                    continue
                arguments += text if key != "text" else ""
                shown = {"text": text} if key == "text" else {"toolUse": {"input": text}}
                yield {"contentBlockDelta": {"delta": shown, "contentBlockIndex": blocks[key]}}
    if current is not None:
        yield {"contentBlockStop": {"contentBlockIndex": blocks[current]}}
    if any(key != "text" for key in blocks):
        reason = "tool_use"  # several servers say "stop" after a forced call
        if not _is_json(arguments):
            raise ServiceError(
                "ModelErrorException", "The model called a tool with something that is no JSON"
            )
    yield {"messageStop": {"stopReason": reason}}
    if usage:
        yield {"metadata": {"usage": _usage(usage), "metrics": {"latencyMs": 0}}}


def _opened(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    name = (call.get("function") or {}).get("name") or "tool"
    use = {"toolUseId": str(call.get("id") or f"call_{index}")[:64], "name": str(name)[:64]}
    return {"contentBlockStart": {"start": {"toolUse": use}, "contentBlockIndex": index}}


def _is_json(text: str) -> bool:
    try:
        json.loads(text or "{}")
    except ValueError:
        return False
    return True


def _usage(usage: Mapping[str, Any]) -> dict[str, int]:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    counted = {
        "inputTokens": prompt - cached,
        "outputTokens": completion,
        "totalTokens": prompt + completion,
    }
    return counted | ({"cacheReadInputTokens": cached} if cached else {})
