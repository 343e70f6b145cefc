"""From what an engine wrote, which nobody trusts, to a draft.

Whatever the writer asked for, code decides: markers that name no passage are dropped, text is made inert, an
action is proposed only if it is on the list, and where the reply goes is no part of a draft at all. The
claims and citations come from grounding, which reads the finished text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from countersign.models import CaseFile, Draft, Passage, ProposedAction, Request, Round
from countersign_llm.inert import addresses, inert, visible
from countersign_llm.schemas import WrittenAction, WrittenDraft

type Cite = Callable[[str, Sequence[int]], str]
"""Puts markers such as `[1]` after the sentences of a text."""

ACTIONS: Mapping[str, type[BaseModel]] = {}
"""The actions a draft may propose, by name, each with the model of its arguments. There are none yet."""

NOT_KNOWN = {
    "de": "Dazu haben wir in unserer Dokumentation keine Antwort gefunden.",
    "en": "We did not find an answer to this in our documentation.",
    "es": "No hemos encontrado una respuesta a esto en nuestra documentación.",
    "fr": "Nous n’avons pas trouvé de réponse à cette question dans notre documentation.",
    "it": "Non abbiamo trovato una risposta a questa domanda nella nostra documentazione.",
    "nl": "We hebben hierop geen antwoord gevonden in onze documentatie.",
    "pt": "Não encontrámos uma resposta a esta pergunta na nossa documentação.",
}
"""The whole reply where nothing was found, by language."""


_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_MARKER = re.compile(r"[ \t]*\[\d{1,3}(?:\s*,\s*\d{1,3})*\](?!\()")


def open_round(file: CaseFile, number: int, words: str | None) -> Round:
    """The round to write, with everything that its draft shall change.

    `words` are those of the person who has just sent the draft back. They hold for the rounds that follow as
    well, before what the reviewer found in the draft of the round before.
    """
    before = file.round(number - 1)
    sent_back = "\n\n".join(filter(None, [before.sent_back if before else None, words]))
    # Somebody who sends a draft back has seen the reviewer's findings, and says what matters of them.
    found = "" if words or before is None else _findings(before)
    feedback = "\n\n".join(filter(None, [sent_back, found]))
    return Round(number=number, feedback=feedback or None, sent_back=sent_back or None)


def compose(
    written: WrittenDraft, passages: Sequence[Passage], request: Request, engine: str, cite: Cite
) -> Draft:
    """The draft without claims and citations. Its text may be empty where nothing visible was written."""
    known = {passage.marker for passage in passages}
    text, citing = "", False
    for sentence in written.sentences:
        markers = [marker for marker in dict.fromkeys(sentence.citations) if marker in known]
        seen = visible(sentence.text)
        said = _without_markers(seen).strip()
        if not said:
            continue
        citing = citing or bool(markers)
        text += (_gap(seen, said) if text else "") + cite(said, markers)
    allowed = addresses(
        [
            request.subject,
            request.text,
            request.link or "",
            *(text for passage in passages for text in (passage.text, passage.source_uri)),
        ]
    )
    return Draft(
        text=inert(text, allowed, frozenset({request.author.casefold()})),
        actions=[action for proposed in written.actions if (action := _allowed(proposed))],
        # A draft that cites nothing has answered nothing, whatever its writer says.
        answered=written.answered and citing,
        engine=engine,
    )


def _findings(before: Round) -> str:
    if before.draft is None or before.review is None:
        return ""
    lines = []
    for finding in before.review.findings:
        claims = before.draft.claims
        place = ""
        if finding.claim is not None and finding.claim < len(claims):
            claim = claims[finding.claim]
            place = f"“{' '.join(before.draft.text[claim.start : claim.end].split())}”: "
        lines.append(f"- {place}{finding.problem}")
    return "\n".join(lines) or before.review.summary


def _gap(seen: str, said: str) -> str:
    """What stands between a sentence and the one before: a blank line, a line's end, or a space."""
    leading = seen[: len(seen) - len(seen.lstrip())]
    if leading.count("\n") > 1:
        return "\n\n"
    opens_line = "\n" in leading or said.startswith(("- ", "* ", "+ ", "#", "|", "> ", "```", "~~~"))
    numbered = said.partition(" ")[0]
    if opens_line or (numbered[:-1].isdecimal() and numbered.endswith((".", ")"))):
        return "\n"
    return " "


def _without_markers(text: str) -> str:
    """The text without markers of the writer's own; in code, `[1]` means something else."""
    parts = _CODE.split(text)
    return "".join(part if odd % 2 else _MARKER.sub("", part) for odd, part in enumerate(parts))


def _allowed(proposed: WrittenAction) -> ProposedAction | None:
    arguments = ACTIONS.get(proposed.name)
    if arguments is None:
        return None
    try:
        checked: dict[str, Any] = arguments.model_validate(proposed.arguments).model_dump(mode="json")
    except ValidationError:
        return None
    return ProposedAction(name=proposed.name, arguments=checked)
