"""`countersign send`: be a sender, with its signature."""

import time
from pathlib import Path

import click

from local.cli.api_client import ApiClient, Json
from local.cli.literal import one_line
from local.cli.options import access, talks_to_api
from local.cli.output import console, print_json
from local.cli.signing import Unsendable, read_event, sign


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", required=True, help="Who sends it: github, slack, stripe, zendesk, ...")
@click.option("--event", help="What GitHub or Shopify calls the event; without it the body tells.")
@click.option("--id", "event_id", help="The sender's id of the event: the same id twice is one case.")
@talks_to_api
def send(
    api: ApiClient, as_json: bool, path: Path, source: str, event: str | None, event_id: str | None
) -> None:
    """Send an event to the running stack, signed with the source's secret as the source signs.

    FILE is the JSON body that the sender would post, or one of the sample events of events/receive_webhook.

    \b
    countersign send events/receive_webhook/github_issue_opened.json --source github
    countersign send events/receive_webhook/slack_app_mention.json --source slack
    countersign send ticket.json --source webhook --id ticket-4711
    """
    running = access().running()
    sender = running.sources.get(source)
    if sender is None:
        raise click.UsageError(f"no source {source!r}; there are {', '.join(sorted(running.sources))}")
    try:
        content = read_event(path.read_bytes())
        headers = sign(sender.scheme, sender.secret, content, time.time(), kind=event, event_id=event_id)
    except Unsendable as error:
        raise click.UsageError(f"{one_line(str(path))} can't be sent: {error}") from None
    answer = api.send(source, headers, content.body)
    if as_json:
        print_json(answer)
        return
    console().print(received(answer))


def received(answer: Json) -> str:
    """One or two lines for what the webhook answered."""
    if "challenge" in answer:
        return f"Answered with the challenge: {one_line(str(answer['challenge']))}"
    if "case_id" not in answer:
        return f"Ignored: {one_line(str(answer.get('reason', 'it opens no case')))}"
    again = " (it is known already)" if answer.get("duplicate") else ""
    return f"Case {answer['case_id']}{again}\ncountersign case {answer['case_id'][:10]} shows how it goes."
