"""The bodies of the desk's calls about failures. Times are ISO 8601 in UTC with a `Z`."""

from typing import Annotated, Literal

from pydantic import Field

from countersign.api import Body


class Failure(Body):
    """What waits for an operator: a case that failed, or a message that its queue gave up.

    `state` is the state of the machine that failed, None for a message; `reason` says in words or by an
    error's name what went wrong. `case_id` is None where a message cannot be read.
    """

    id: str
    kind: Literal["case", "intake", "delivery"]
    case_id: str | None
    state: str | None
    reason: str
    at: str
    redrivable: bool


class FailureList(Body):
    """Messages are on the first page, then come cases, the latest first."""

    failures: list[Failure]
    cursor: str | None


class RedriveBody(Body):
    """Which failures to redrive: those with these ids, or a page of all, from where the last one ended."""

    ids: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None
    all: bool = False
    cursor: str | None = Field(default=None, max_length=1_000)


class RedrivenFailure(Body):
    """What became of a failure. `started`: the execution runs the case again. `queued_again`: the message is
    back on its queue. `put_away`: nobody waits for the message any more.
    """

    id: str
    case_id: str | None
    execution: str | None
    did: Literal["started", "queued_again", "put_away"]


class RefusedFailure(Body):
    id: str
    reason: str


class RedriveAnswer(Body):
    """`cursor` is where to go on with all, None at the end."""

    redriven: list[RedrivenFailure]
    refused: list[RefusedFailure]
    cursor: str | None
