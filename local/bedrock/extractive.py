"""The default model: deterministic, and a stand-in for a language model, not one.

It answers with sentences of the passages that it was given, cites them, and says so when they hold no answer.
Which role it plays follows from the schema of the tool that the request forces.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.bedrock import converse
from local.bedrock.prompt import Prompt, read_prompt
from local.bedrock.ranking import Chosen, answerable, choose, questions, support
from local.bedrock.schema import fill, properties
from local.bedrock.script import forced_tool
from local.bedrock.words import all_words, stems

NOT_KNOWN = "This is not in the knowledge I was given."
"""The whole answer when the passages hold none."""

_USUAL_SENTENCES = 4
_FEW_SENTENCES = 2
_MANY_SENTENCES = 7
_SUPPORTED = 0.6
_MOST_STEPS = 3
_LONGEST_QUERY = 300
_SHORTER = frozenset(
    ["short", "shorter", "brief", "briefer", "briefly", "concise", "shorten", "cut", "trim", "less", "tldr"]
)
_LONGER = frozenset(
    ["long", "longer", "more", "detail", "details", "detailed", "elaborate", "expand", "thorough", "fuller"]
)
_LEAVE_OUT = re.compile(
    r"\b(?:leave out|remove|drop|omit|do not mention|don't mention|without)\b([^.,;\n]*)", re.IGNORECASE
)
_RISKS = {
    "high": [
        "password",
        "secret",
        "credential",
        "breach",
        "leak",
        "lawsuit",
        "lawyer",
        "legal",
        "attorney",
        "gdpr",
        "fraud",
        "delete",
        "deletion",
        "erase",
        "wipe",
        "security",
        "vulnerability",
        "chargeback",
        "subpoena",
        "medical",
    ],
    "medium": [
        "refund",
        "invoice",
        "payment",
        "charge",
        "billing",
        "cancel",
        "contract",
        "complaint",
        "outage",
        "downtime",
        "urgent",
        "production",
        "account",
        "personal",
        "export",
        "compensation",
        "discount",
    ],
}


class ExtractiveModel:
    """Answers from the evidence in the prompt alone."""

    def converse(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The answer: a call of the forced tool, or text with `[1]` markers."""
        prompt = read_prompt(params)
        spec = _chosen_tool(params, prompt)
        if spec is None:
            return converse.answer([{"text": _answer_text(prompt)}])
        schema = spec["inputSchema"].get("json", {})
        tool_input = fill(schema, _role(schema)(prompt), text=_first_words(prompt))
        return converse.answer([converse.tool_use(len(params["messages"]), spec["name"], tool_input)])

    def converse_stream(self, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The same answer as a stream's events."""
        return converse.events_of(self.converse(params))


def plan(prompt: Prompt) -> dict[str, Any]:
    """What to look up: the questions of the request that differ, and how risky an answer looks."""
    steps: list[dict[str, str]] = []
    seen: list[set[str]] = []
    for question in questions(prompt.text) if prompt.text else []:
        words = set(stems(question))
        if len(words) < 2 or any(len(words & other) >= 0.6 * min(len(words), len(other)) for other in seen):
            continue
        seen.append(words)
        steps.append({"query": question, "purpose": f"Answer: {question}"[:_LONGEST_QUERY]})
    asks = [step for step in steps if step["query"].rstrip("\"')").endswith("?")]
    if len(asks) > 1:
        steps = asks[:_MOST_STEPS]
    else:
        # One question needs the words around it; so does a text that asks nothing in so many words.
        wanted = asks[0]["query"] if asks else " ".join(step["query"] for step in steps)
        query = f"{prompt.subject} {wanted}".strip() or prompt.text or "the request"
        steps = [{"query": query, "purpose": f"Answer: {prompt.subject or query}"}]
    for step in steps:
        step["query"] = step["query"][:_LONGEST_QUERY].strip()
        step["purpose"] = step["purpose"][:_LONGEST_QUERY].strip()
    risk, reason = _risk(prompt.request)
    return {"steps": steps, "risk": risk, "risk_reason": reason}


def write(prompt: Prompt) -> dict[str, Any]:
    """Sentences of the passages that answer the request, each citing its passage."""
    chosen = _choose(prompt)
    if not chosen:
        return {"sentences": [{"text": NOT_KNOWN, "citations": []}], "actions": [], "answered": False}
    sentences = [{"text": sentence.text, "citations": [sentence.marker]} for sentence in chosen]
    return {"sentences": sentences, "actions": [], "answered": True}


def review(prompt: Prompt) -> dict[str, Any]:
    """Whether each sentence of the draft says what the passages it cites say."""
    texts = {passage.marker: passage.text for passage in prompt.passages}
    findings, scores = [], []
    for sentence in prompt.draft:
        if sentence.text.strip() == NOT_KNOWN:
            continue
        cited = [texts[marker] for marker in sentence.citations if marker in texts]
        held = support(sentence.text, "\n".join(cited)) if cited else 0.0
        scores.append(held)
        if not sentence.citations:
            findings.append({"sentence": sentence.number, "problem": "It cites nothing."})
        elif len(cited) < len(sentence.citations):
            findings.append(
                {"sentence": sentence.number, "problem": "It cites a passage that was not given."}
            )
        elif held < _SUPPORTED:
            problem = f"The cited passage has only {held:.0%} of its words."
            findings.append({"sentence": sentence.number, "problem": problem})
    if not prompt.draft:
        return _verdict(0.0, findings, "There is no draft to review.")
    if not scores:
        if answerable(prompt.text, prompt.subject, prompt.passages):
            findings.append(
                {"sentence": prompt.draft[0].number, "problem": "The passages seem to hold an answer."}
            )
            return _verdict(
                0.3, findings, "The draft gives no answer although the passages seem to hold one."
            )
        return _verdict(1.0, findings, "The draft claims nothing, and the passages hold no answer.")
    score = round(sum(scores) / len(scores), 3)
    good = len(scores) - len({finding["sentence"] for finding in findings})
    return _verdict(score, findings, f"{good} of {len(scores)} sentences are supported by what they cite.")


def _verdict(score: float, findings: list[dict[str, Any]], summary: str) -> dict[str, Any]:
    verdict = "revise" if findings or score == 0.0 else "accept"
    return {"verdict": verdict, "score": score, "findings": findings, "summary": summary}


def _answer_text(prompt: Prompt) -> str:
    return " ".join(f"{sentence.text} [{sentence.marker}]" for sentence in _choose(prompt)) or NOT_KNOWN


def _choose(prompt: Prompt) -> list[Chosen]:
    if not prompt.passages or not answerable(prompt.text, prompt.subject, prompt.passages):
        return []
    asked = set(all_words(prompt.feedback))
    limit = _USUAL_SENTENCES
    if asked & _SHORTER:
        limit = _FEW_SENTENCES
    elif asked & _LONGER:
        limit = _MANY_SENTENCES
    left_out = {stem for words in _LEAVE_OUT.findall(prompt.feedback) for stem in stems(words)}
    wanted = " ".join(asked - _SHORTER - _LONGER) if not left_out else ""
    return choose(
        prompt.text, prompt.subject, prompt.passages, limit=limit, more_words=wanted, without=left_out
    )


def _risk(text: str) -> tuple[str, str]:
    words = all_words(text)
    for level, signals in _RISKS.items():
        found = [word for word in signals if word in words]
        if found:
            return level, f"The request mentions {', '.join(found[:3])}."
    return "low", "The request asks for information only."


def _role(schema: Mapping[str, Any]) -> Callable[[Prompt], dict[str, Any]]:
    names = properties(schema)
    if "steps" in names:
        return plan
    if "sentences" in names:
        return write
    if "verdict" in names:
        return review
    return lambda prompt: _by_name(names, prompt)


def _by_name(names: frozenset[str], prompt: Prompt) -> dict[str, Any]:
    """Values for members whose names say what they hold."""
    text = _answer_text(prompt)
    known = {
        "answer": text,
        "text": text,
        "query": " ".join(questions(prompt.request))[:_LONGEST_QUERY],
        "summary": text,
        "subject": prompt.subject or None,
        "citations": [sentence.marker for sentence in _choose(prompt)],
        "answered": text != NOT_KNOWN,
    }
    return {name: value for name, value in known.items() if name in names and value is not None}


def _first_words(prompt: Prompt) -> str:
    return (prompt.subject or prompt.text or NOT_KNOWN)[:_LONGEST_QUERY]


def _chosen_tool(params: Mapping[str, Any], prompt: Prompt) -> dict[str, Any] | None:
    """The tool to call: the forced one, the first where any must be called, or else a search not yet made."""
    specs: list[dict[str, Any]] = [tool["toolSpec"] for tool in converse.tool_specs(params)]
    forced = forced_tool(params)
    if forced is not None:
        named: dict[str, Any] = next(spec for spec in specs if spec["name"] == forced)
        return named
    if specs and "any" in params["toolConfig"].get("toolChoice", {}):
        return specs[0]
    if prompt.passages:
        return None
    return next((spec for spec in specs if "query" in properties(spec["inputSchema"].get("json", {}))), None)
