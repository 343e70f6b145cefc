"""The engines a draft may be written by, and the one this deployment has chosen.

An engine takes the case file, its evidence among it, and the round that shall be written.
"""

from collections.abc import Callable
from dataclasses import dataclass

from countersign import deployment
from countersign.case_file import CaseFiles, agent_trace_key
from countersign.models import CaseFile, ModelCall, Passage, Round
from countersign.settings import settings
from countersign_knowledge.retrieval import passage_of, search_configuration
from countersign_llm import agent, roles
from countersign_llm.model import ModelConfig, make_model
from countersign_llm.schemas import WrittenDraft

SEARCH_LIMIT = 5


@dataclass(frozen=True)
class Written:
    """What an engine wrote, untrusted, from which passages, and what was paid for it."""

    draft: WrittenDraft
    passages: list[Passage]
    calls: list[ModelCall]
    engine: str


type Engine = Callable[[CaseFile, Round], Written]


def chosen_engine(files: CaseFiles) -> Engine:
    if settings().engine == "bedrock-agent":
        return lambda file, round_: ask_agent(files, file, round_)
    return ask_model


def ask_model(file: CaseFile, round_: Round) -> Written:
    before = file.round(round_.number - 1)
    draft, calls = roles.write(
        make_model(ModelConfig(model_id=settings().model_id)),
        file.request,
        file.passages,
        file.memory,
        round_.feedback,
        before.draft if before else None,
    )
    return Written(draft, file.passages, calls, "roles")


def ask_agent(files: CaseFiles, file: CaseFile, round_: Round) -> Written:
    chosen = agent.Agent(
        agent_id=settings().agent_id,
        alias_id=settings().agent_alias_id,
        model_id=settings().model_id,
        knowledge_base_id=settings().knowledge_base_id,
        search=search_configuration(file.tenant, SEARCH_LIMIT),
    )
    draft, passages, calls, trace = agent.write(
        deployment.client("bedrock-agent-runtime", retries=False),
        chosen,
        file,
        round_,
        lambda reference: passage_of(reference, file.tenant),
    )
    files.put_once(agent_trace_key(file.ref, round_.number), trace)
    return Written(draft, passages, calls, "bedrock-agent")
