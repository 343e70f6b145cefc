"""The engines a draft may be written by. Each takes the case file, evidence included, and the round to write.

What an engine hands over is untrusted whoever wrote it, and goes through `drafting` and grounding alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from countersign.models import CaseFile, ModelCall, Passage, Round
from countersign_llm import agent, roles
from countersign_llm.allowance import Allowance
from countersign_llm.drafting import NOT_KNOWN
from countersign_llm.schemas import WrittenDraft, WrittenSentence


@dataclass(frozen=True)
class Written:
    """What an engine wrote, from which passages, and what was paid for it."""

    draft: WrittenDraft
    passages: list[Passage]
    calls: list[ModelCall]
    engine: str


type Engine = Callable[[CaseFile, Round, Allowance], Written]
"""Raises ModelThrottled, ModelUnavailable, ModelRefused, ModelOutputInvalid, BudgetExhausted."""


def by_model(model: BaseChatModel) -> Engine:
    """The roles over one model: the writer sees the evidence in its prompt."""

    def write(file: CaseFile, round_: Round, allowance: Allowance) -> Written:
        before = file.round(round_.number - 1)
        draft, calls = roles.write(
            model,
            file.request,
            file.passages,
            file.memory,
            round_.feedback,
            before.draft if before else None,
            allowance=allowance,
        )
        return Written(draft, file.passages, calls, "roles")

    return write


def by_agent(
    client: agent.AgentClient,
    chosen: agent.Agent,
    read: agent.ReadReference,
    keep: Callable[[CaseFile, Round, bytes], object],
) -> Engine:
    """A Bedrock agent that searches for itself; `keep` stores its trace."""

    def write(file: CaseFile, round_: Round, allowance: Allowance) -> Written:
        draft, passages, calls, trace = agent.write(client, chosen, file, round_, read, allowance)
        keep(file, round_, trace)
        return Written(draft, passages, calls, "bedrock-agent")

    return write


def nothing_found(language: str) -> Written:
    """The honest draft where a search found nothing; in English for a language without its sentence.

    No model is asked: with nothing to answer from, it could only invent.
    """
    text = NOT_KNOWN.get(language, NOT_KNOWN["en"])
    draft = WrittenDraft(sentences=[WrittenSentence(text=text)], answered=False)
    return Written(draft, [], [], "none")
