"""What a signed proposal looks like on the wire of each channel. The same proposal gives the same words.

    callback            POST {"type": "case.replied", "timestamp", "data": {...}}, signed as Standard Webhooks
    github_issue        POST {"body": ...} to the issue's comments
    github_discussion   POST a GraphQL mutation to the API
    slack_thread        POST {"channel", "thread_ts", "text", ...} to the API's chat.postMessage

GitHub and Slack take no idempotency key, so a comment or message carries the delivery's id where nobody sees
it, and is looked for before it is sent again.
"""

from dataclasses import dataclass
from typing import Any

from countersign.decisions import Proposal
from countersign.models import Channel, Citation

ADD_DISCUSSION_COMMENT = (
    "mutation Reply($subject: ID!, $body: String!)"
    " { addDiscussionComment(input: {discussionId: $subject, body: $body}) { comment { id } } }"
)

SLACK_METADATA = "countersign_reply"
"""The type of the metadata with which a message in Slack carries its delivery's id."""


LONGEST: dict[Channel, int] = {
    "callback": 65_536,
    "github_issue": 65_536,
    "github_discussion": 65_536,
    "slack_thread": 40_000,
}
"""Characters that a channel takes whole: GitHub refuses a longer comment, Slack cuts a longer message off."""


@dataclass(frozen=True)
class Reply:
    """A request to make, with its JSON body."""

    url: str
    body: dict[str, Any]


def marker(delivery_id: str) -> str:
    """Hidden in a comment, so that a second attempt finds the first, and our own comments open no case."""
    return f"<!-- countersign:{delivery_id} -->"


def compose_reply(
    proposal: Proposal, github_api_url: str, slack_api_url: str, decided_by: str, timestamp: str
) -> Reply:
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
        return Reply(destination.address, body)
    words = reply_words(proposal)
    if destination.channel == "slack_thread":
        return Reply(f"{slack_api_url}/chat.postMessage", _slack_message(proposal, words))
    if destination.channel == "github_issue":
        return Reply(destination.address, {"body": words})
    variables = {"subject": destination.address, "body": words}
    return Reply(graphql_url(github_api_url), {"query": ADD_DISCUSSION_COMMENT, "variables": variables})


def reply_words(proposal: Proposal) -> str:
    """What a person would read in the reply, and what nobody sees of it."""
    channel = proposal.destination.channel
    if channel == "callback":
        return proposal.text
    hidden = None if channel == "slack_thread" else marker(proposal.approval_id)
    return "\n\n".join(filter(None, [proposal.text, _sources(proposal.citations), hidden]))


def too_long_by(proposal: Proposal) -> int:
    """Characters that the reply has beyond what its channel takes, 0 where it fits.

    To be known before anybody signs: what is signed is what is sent.
    """
    channel, words = proposal.destination.channel, reply_words(proposal)
    return max(0, len(_escape(words) if channel == "slack_thread" else words) - LONGEST[channel])


def graphql_url(github_api_url: str) -> str:
    """GitHub Enterprise Server has REST under `/api/v3` and GraphQL under `/api/graphql`."""
    return f"{github_api_url.removesuffix('/v3')}/graphql"


def _slack_message(proposal: Proposal, words: str) -> dict[str, Any]:
    """Posted as it was signed: unparsed, so that nothing in it is a mention, a masked link or a preview."""
    channel, _, thread = proposal.destination.address.partition("/")
    return {
        "channel": channel,
        "thread_ts": thread,
        "text": _escape(words),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": SLACK_METADATA, "event_payload": {"delivery_id": proposal.approval_id}},
    }


def _escape(text: str) -> str:
    # https://docs.slack.dev/messaging/formatting-message-text#escaping: these three, and the ampersand first.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _sources(citations: list[Citation]) -> str:
    """A list of what was cited, each document once under each of its markers."""
    cited = {citation.marker: citation.document for citation in citations}
    return "\n".join(["Sources:", *(f"[{n}] {cited[n]}" for n in sorted(cited))]) if cited else ""
