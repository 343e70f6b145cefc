"""What a model is asked to fill in. The class names are the tool names on the wire.

Everything here is untrusted: lengths and counts are bounded, fields that nobody asked for are dropped, and
markers and sentence numbers mean nothing until they are checked against the passages and the draft.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints


def cut(limit: int) -> Callable[[Any], Any]:
    """Shortens prose instead of refusing it: too many words are no reason to pay for another answer."""
    return lambda value: f"{value[: limit - 1]}…" if isinstance(value, str) and len(value) > limit else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Answer(BaseModel):
    """What all answers have in common: immutable, and deaf to fields outside the schema."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class WorkPlanStep(Answer):
    query: Annotated[Text, Field(max_length=300, description="What to search the knowledge for.")]
    purpose: Annotated[
        Text,
        BeforeValidator(cut(300)),
        Field(max_length=300, description="Which part of the request this answers."),
    ]


class WorkPlan(Answer):
    """A plan for answering the request."""

    steps: list[WorkPlanStep] = Field(
        min_length=1, max_length=3, description="One to three searches, the most important first."
    )
    risk: Literal["low", "medium", "high"] = Field(
        description="How much harm a wrong or unauthorised reply could do."
    )
    risk_reason: Annotated[
        Text, BeforeValidator(cut(500)), Field(max_length=500, description="One sentence that says why.")
    ]


class WrittenSentence(Answer):
    text: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1_200,
            pattern=r"\S",
            description="One sentence, without markers. A blank line at its start opens a new paragraph.",
        ),
    ]
    citations: list[int] = Field(
        default=[], max_length=6, description="Markers of the passages that state this sentence."
    )


class WrittenAction(Answer):
    name: Annotated[Text, Field(max_length=64, description="Name of an action.")]
    arguments: dict[str, JsonValue] = Field(default={}, description="The action's arguments.")


class WrittenDraft(Answer):
    """A proposed reply in sentences, each with the markers of the passages that state it."""

    sentences: list[WrittenSentence] = Field(
        min_length=1, max_length=40, description="The reply, sentence by sentence."
    )
    actions: list[WrittenAction] = Field(
        default=[], max_length=5, description="Actions to propose. Empty unless the request needs one."
    )
    answered: bool = Field(description="False where the passages do not answer the request.")


class ReviewFinding(Answer):
    sentence: int = Field(ge=0, le=40, description="Number of the sentence, or 0 for the draft as a whole.")
    problem: Annotated[
        Text,
        BeforeValidator(cut(500)),
        Field(max_length=500, description="What is wrong and what would mend it."),
    ]


class DraftReview(Answer):
    """A reviewer's judgement of a draft. The order of the fields makes the model think before it judges."""

    reasoning: Annotated[
        str,
        BeforeValidator(cut(6_000)),
        Field(max_length=6_000, description="Your thoughts, one line for each sentence. Write these first."),
    ] = ""
    findings: list[ReviewFinding] = Field(
        default=[], max_length=20, description="What is wrong, one for each problem."
    )
    summary: Annotated[
        Text,
        BeforeValidator(cut(800)),
        Field(max_length=800, description="One or two sentences for the person who signs."),
    ]
    score: float = Field(
        ge=0, le=1, description="1 where the draft could be sent as it is, 0 where none of it could."
    )
    verdict: Literal["accept", "revise"]
