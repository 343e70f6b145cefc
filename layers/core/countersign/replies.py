"""What a signed proposal looks like on the wire of each channel. The same proposal gives the same words.

    callback            POST {"type": "case.replied", "timestamp", "data": {...}}, signed as Standard Webhooks
    github_issue        POST {"body": ...} to the issue's comments
    github_discussion   POST a GraphQL mutation to the API

GitHub takes no idempotency key, so its comment carries the delivery's id in a comment nobody sees, and is
looked for before it is sent again.
"""

from dataclasses import dataclass
from typing import Any

from countersign.decisions import Proposal
from countersign.models import Citation

ADD_DISCUSSION_COMMENT = (
    "mutation Reply($subject: ID!, $body: String!)"
    " { addDiscussionComment(input: {discussionId: $subject, body: $body}) { comment { id } } }"
)


@dataclass(frozen=True)
class Reply:
    """A request to make: the JSON body, and the words a person would read in it."""

    url: str
    body: dict[str, Any]
    words: str


def marker(delivery_id: str) -> str:
    """Hidden in a comment, so that a second attempt finds the first, and our own comments open no case."""
    return f"<!-- countersign:{delivery_id} -->"


def compose_reply(proposal: Proposal, github_api_url: str, decided_by: str, timestamp: str) -> Reply:
    """The request that carries out a signed proposal.

    `timestamp` is when it was decided, in ISO 8601, so that every attempt sends the bytes of the first.
    """
    destination = proposal.destination
    if destination.channel == "callback":
        data = {
            "case_id": proposal.case_id,
            "id": proposal.event_id,
            "text": proposal.text,
            "citations": [citation.model_dump(mode="json") for citation in proposal.citations],
            "decided_by": decided_by,
        }
        body: dict[str, Any] = {"type": "case.replied", "timestamp": timestamp, "data": data}
        return Reply(destination.address, body, proposal.text)
    words = "\n\n".join(
        filter(None, [proposal.text, _sources(proposal.citations), marker(proposal.approval_id)])
    )
    if destination.channel == "github_issue":
        return Reply(destination.address, {"body": words}, words)
    variables = {"subject": destination.address, "body": words}
    return Reply(
        graphql_url(github_api_url), {"query": ADD_DISCUSSION_COMMENT, "variables": variables}, words
    )


def graphql_url(github_api_url: str) -> str:
    """GitHub Enterprise Server has REST under `/api/v3` and GraphQL under `/api/graphql`."""
    return f"{github_api_url.removesuffix('/v3')}/graphql"


def _sources(citations: list[Citation]) -> str:
    """A list of what was cited, each document once under each of its markers."""
    cited = {citation.marker: citation.document for citation in citations}
    return "\n".join(["Sources:", *(f"[{n}] {cited[n]}" for n in sorted(cited))]) if cited else ""
