"""Write Draft: the engine writes the reply of a round from the evidence, and every sentence is grounded.

Where the search found nothing, the draft is one honest sentence. Where it never came to an end there is none.
"""

from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles, agent_trace_key, read_evidence
from countersign.decisions import DecisionDocument
from countersign.errors import KnowledgeUnavailable
from countersign.models import CaseRef, Passage
from countersign.observability import LambdaContext, observed
from countersign.settings import settings
from countersign.spending import Attempt, Hold
from countersign_knowledge.grounding import ground
from countersign_knowledge.retrieval import merge, passage_of, search_configuration
from countersign_knowledge.sentences import cited
from countersign_knowledge.words import language_of
from countersign_llm.agent import Agent
from countersign_llm.allowance import Allowance
from countersign_llm.drafting import compose, open_round
from countersign_llm.engines import Engine, by_agent, by_model, nothing_found
from countersign_llm.model import ModelConfig, make_model


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, round, steps, feedback_key, reservation, attempt; returns claims and engine."""
    files = files or deployment.case_files()
    ref, number = CaseRef(tenant=event["tenant"], case_id=event["case_id"]), int(event["round"])
    step = files.step(ref, "Write Draft", number, Attempt.read(event["attempt"]))
    if step.done is not None:
        return step.done.detail
    key = event["feedback_key"]
    round_ = open_round(step.file, number, files.get_model(key, DecisionDocument).reason if key else None)
    passages = step.file.passages or found_passages(files, ref, int(event["steps"]))
    request = step.file.request
    if passages:
        # What was found is of use to a person also where the engine fails.
        with step.paying(lambda newest: newest.model_copy(update={"passages": passages})):
            left = Allowance(step.left_usd(Hold.model_validate(event["reservation"])))
            file = step.file.model_copy(update={"passages": passages})
            written = (engine or chosen_engine(files, ref))(file, round_, left)
    else:
        written = nothing_found(language_of(f"{request.subject}\n{request.text}"))
    draft = compose(written.draft, written.passages, request, written.engine, cited)
    grounded = ground(draft.text, written.passages)
    done = round_.model_copy(update={"draft": draft.model_copy(update=vars(grounded))})
    return step.finish(
        lambda newest: newest.with_round(done).model_copy(update={"passages": written.passages}),
        {"claims": len(grounded.claims), "answered": draft.answered, "engine": draft.engine},
        written.calls,
    ).detail


def found_passages(files: CaseFiles, ref: CaseRef, steps: int) -> list[Passage]:
    """Raises KnowledgeUnavailable where no step of the plan was ever looked up."""
    found = read_evidence(files, ref, steps)
    if not found:
        raise KnowledgeUnavailable(f"nothing was looked up for case {ref.case_id}")
    return merge([each.passages for each in found])


def chosen_engine(files: CaseFiles, ref: CaseRef) -> Engine:
    chosen = settings()
    if chosen.engine == "roles":
        return by_model(make_model(ModelConfig(model_id=chosen.model_id)))
    search = search_configuration(ref.tenant, limit=5)
    return by_agent(
        deployment.client("bedrock-agent-runtime", retries=False),
        Agent(chosen.agent_id, chosen.agent_alias_id, chosen.model_id, chosen.knowledge_base_id, search),
        lambda reference: passage_of(reference, ref.tenant),
        lambda file, round_, trace: files.put_once(agent_trace_key(file.ref, round_.number), trace),
    )
