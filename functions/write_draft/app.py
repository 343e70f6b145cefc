"""Write Draft: the engine writes the reply of a round from the evidence, and every sentence is grounded.

Where the search found nothing, no model is asked: with nothing to answer from it could only invent. The draft
is then one honest sentence, which goes the way of every draft. Where the search itself never came to an end,
there is no draft: a person sees why and writes the reply.
"""

from typing import Any

from countersign import deployment
from countersign.case_file import CaseFiles, read_evidence
from countersign.errors import KnowledgeUnavailable
from countersign.models import CaseFile, CaseRef, DecisionDocument, Passage
from countersign.observability import LambdaContext, observed
from countersign_knowledge.grounding import ground
from countersign_knowledge.retrieval import merge
from countersign_knowledge.sentences import cited
from countersign_knowledge.words import language_of
from countersign_llm.drafting import compose, not_known, open_round
from engines import Engine, Written, chosen_engine


@observed
def handler(
    event: dict[str, Any],
    context: LambdaContext,
    files: CaseFiles | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Takes tenant, case_id, round, steps, feedback_key; returns how many claims there are and hold."""
    files = files or deployment.case_files()
    ref, number = CaseRef(tenant=event["tenant"], case_id=event["case_id"]), int(event["round"])
    step = files.step(ref, "Write Draft", number)
    if step.done is not None:
        return step.done.detail
    words = person_words(files, event["feedback_key"])
    passages = step.file.passages or found_passages(files, ref, int(event["steps"]))
    file, round_ = step.file.model_copy(update={"passages": passages}), open_round(step.file, number, words)
    engine = engine or chosen_engine(files)
    with step.paying(lambda newest: newest.model_copy(update={"passages": passages})):
        written = engine(file, round_) if passages else nothing_found(file)
    draft = compose(written.draft, written.passages, file.request, written.engine, cited)
    grounded = ground(draft.text, written.passages)
    draft = draft.model_copy(update={"claims": grounded.claims, "citations": grounded.citations})
    done = round_.model_copy(update={"draft": draft})
    supported = sum(claim.verdict == "supported" for claim in draft.claims)
    return step.finish(
        lambda newest: newest.with_round(done).model_copy(update={"passages": written.passages}),
        {
            "claims": len(draft.claims),
            "supported": supported,
            "answered": draft.answered,
            "engine": draft.engine,
        },
        written.calls,
    ).detail


def person_words(files: CaseFiles, key: str) -> str | None:
    return files.get_model(key, DecisionDocument).reason if key else None


def found_passages(files: CaseFiles, ref: CaseRef, steps: int) -> list[Passage]:
    """Raises KnowledgeUnavailable where no step of the plan was ever looked up."""
    found = read_evidence(files, ref, steps)
    if not found:
        raise KnowledgeUnavailable(f"nothing was looked up for case {ref.case_id}")
    return merge([each.passages for each in found])


def nothing_found(file: CaseFile) -> Written:
    asked = f"{file.request.subject}\n{file.request.text}"
    return Written(not_known(language_of(asked)), [], [], "none")
