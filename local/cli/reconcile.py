"""`countersign reconcile`: what became of every accepted event, and of everything that GitHub sent."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import batched
from typing import Any

import click
from rich.table import Table

from local.cli.api_client import ApiClient, Json, Refused, pages
from local.cli.github_deliveries import SENT_AGAIN, Delivery, GitHubError, GitHubHook, RateLimited
from local.cli.literal import one_line
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.phrases import age

REPAIRS = 25
"""Events that one call repairs."""
ASKED = 100
"""Event ids that one call asks about."""
LOOKS = 500
"""Answers of deliveries that one run reads at GitHub: each is a call."""
REDELIVERIES = 100
"""Deliveries that one run has sent again."""
LOST = {
    "not_started": "no execution was ever started from it",
    "not_opened": "its execution ended before there was a case",
    "abandoned": "the case's execution is gone",
}


class Since(click.ParamType):
    """`90m`, `24h`, `7d`, or an instant in ISO 8601 (UTC where it names no zone)."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if ago := re.fullmatch(r"([0-9]{1,6})([mhd])", value):
            unit = {"m": "minutes", "h": "hours", "d": "days"}[ago[2]]
            return datetime.now(UTC) - timedelta(**{unit: int(ago[1])})
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{one_line(value)} is none of 90m, 24h, 7d or an instant", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@click.option("--since", type=Since(), help="Only what is younger: 24h, 7d, or an instant.")
@click.option("--repair", is_flag=True, help="Put what is lost back where it was lost.")
@click.option("--source", type=click.Choice(["github"]), help="Compare with what this sender says it sent.")
@click.option("--repo", metavar="OWNER/NAME", help="The repository that the webhook belongs to.")
@click.option("--hook", type=click.IntRange(1), metavar="ID", help="The webhook's number at GitHub.")
@click.option("--redeliver", is_flag=True, help="Have GitHub send again what did not arrive.")
@click.option(
    "--github-api-url",
    envvar="GITHUB_API_URL",
    default="https://api.github.com",
    show_default=True,
    help="GitHub Enterprise: https://HOST/api/v3.",
)
@talks_to_api
def reconcile(
    api: ApiClient,
    as_json: bool,
    since: datetime | None,
    repair: bool,
    source: str | None,
    repo: str | None,
    hook: int | None,
    redeliver: bool,
    github_api_url: str,
) -> int:
    """Account for every accepted event: ended, moving, a dead letter, or none of it, which is listed.

    With --source github: compare with the webhook's deliveries at GitHub, which tries each only once. The
    token comes from GITHUB_TOKEN; it needs the repository's webhooks, to write for --redeliver.

    The exit status is 1 where something is left unaccounted for.

    \b
    countersign reconcile --since 24h
    countersign reconcile --repair
    countersign reconcile --source github --repo octo/help --hook 4711 --redeliver
    """
    if source is None:
        if repo or hook or redeliver:
            raise click.UsageError("--repo, --hook and --redeliver go with --source github")
        return _account(api, as_json, since, repair)
    if repair:
        raise click.UsageError("--repair is for accepted events; with --source there is --redeliver")
    if not (repo and hook) or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise click.UsageError("--source github needs --repo OWNER/NAME and --hook ID")
    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        raise click.UsageError("GITHUB_TOKEN holds no token for GitHub's API")
    github = GitHubHook(github_api_url, token, repo, hook)
    try:
        return _compare(api, github, as_json, since, redeliver)
    except GitHubError as error:
        raise click.ClickException(str(error)) from error


def _account(api: ApiClient, as_json: bool, since: datetime | None, repair: bool) -> int:
    total: Json = {"accepted": 0, "ended": {}, "moving": 0, "dead_letters": 0, "unaccounted": []}
    for page in pages(partial(api.reconciliation, since.isoformat() if since else None)):
        for name in ("accepted", "moving", "dead_letters"):
            total[name] += page[name]
        total["ended"] = dict(Counter(total["ended"]) + Counter(page["ended"]))
        total["unaccounted"] += page["unaccounted"]
    lost = [event["case_id"] for event in total["unaccounted"]]
    repairs: Json = {"repaired": [], "refused": []}
    for some in batched(lost if repair else (), REPAIRS, strict=False):
        answer = api.repair(some)
        repairs = {name: [*repairs[name], *answer[name]] for name in repairs}
    if as_json:
        print_json(total | repairs if repair else total)
    else:
        _print_account(total, repairs)
    return int(len(lost) > len(repairs["repaired"]))


def _print_account(total: Json, repairs: Json) -> None:
    out = console()
    if total["unaccounted"]:
        table = _table("case", "accepted", "status", "execution", "why it is listed")
        for event in total["unaccounted"]:
            table.add_row(
                event["case_id"],
                age(event["received_at"]),
                event["status"] or "",
                event["execution"] or "",
                LOST.get(event["reason"], event["reason"]),
            )
        out.print(table)
    for done in repairs["repaired"]:
        out.print(f"{done['case_id']} {done['did']}: execution {one_line(done['execution'])}", style="good")
    for left in repairs["refused"]:
        out.print(f"{left['case_id']} left as it is: {one_line(left['reason'])}", style="warn")
    out.print(f"{total['accepted']} accepted", style="name")
    for status, count in sorted(total["ended"].items()):
        out.print(f"{count:>8} {status}")
    out.print(f"{total['moving']:>8} moving")
    out.print(f"{total['dead_letters']:>8} dead letters")
    left = len(total["unaccounted"])
    out.print(f"{left:>8} unaccounted for", style="bad" if left else "good")
    if left and not (repairs["repaired"] or repairs["refused"]):
        out.print("countersign reconcile --repair puts them back.", style="quiet")


def _compare(
    api: ApiClient, github: GitHubHook, as_json: bool, since: datetime | None, redeliver: bool
) -> int:
    sent = github.deliveries(since or datetime.now(UTC) - timedelta(days=SENT_AGAIN))
    wrong, unread = _find_wrong(api, github, sent)
    again, trouble = _send_again(github, [delivery for delivery, _ in wrong] if redeliver else [])
    if as_json:
        print_json(
            {
                "sent": len(sent),
                "fine": len(sent) - len(wrong) - unread,
                "not_looked_into": unread,
                "wrong": [_as_json(delivery, why, again) for delivery, why in wrong],
                "stopped": trouble,
            }
        )
    else:
        _print_comparison(sent, wrong, unread, again, trouble, redeliver=redeliver)
    return int(len(wrong) > len(again))


def _find_wrong(
    api: ApiClient, github: GitHubHook, sent: Sequence[Delivery]
) -> tuple[list[tuple[Delivery, str]], int]:
    """Deliveries that did not arrive, or whose case is not known, with why; and how many were not read."""
    unknown = set[str]()
    for some in batched((delivery.guid for delivery in sent), ASKED, strict=False):
        unknown |= set(api.unknown_events("github", some))
    wrong, looks = [], 0
    for delivery in sent:
        if delivery.answered is None:
            known = "" if delivery.guid in unknown else "; its case is known all the same"
            wrong.append((delivery, f"answered {delivery.last['status_code'] or 'by nobody'}{known}"))
        elif delivery.guid in unknown:
            looks += 1
            if looks <= LOOKS and not _is_fine(api, github.answer(delivery.answered)):
                wrong.append((delivery, "acknowledged, and its case is not known"))
    return wrong, max(0, looks - LOOKS)


def _is_fine(api: ApiClient, answer: Json) -> bool:
    """Whether an acknowledged event that has no case of its own opened none, or repeated another's."""
    if answer.get("status") == "ignored":
        return True
    try:
        return bool(answer.get("case_id") and api.case(answer["case_id"]))
    except Refused as error:
        if error.status != 404:
            raise
        return False


def _send_again(github: GitHubHook, wrong: Sequence[Delivery]) -> tuple[set[str], str | None]:
    """The guids that GitHub will send again, and what stopped it before all were asked for."""
    again = set[str]()
    for delivery in wrong[:REDELIVERIES]:
        try:
            github.send_again(delivery.last)
        except RateLimited as error:
            return again, str(error)
        except GitHubError:
            continue  # it stays listed as not sent again
        again.add(delivery.guid)
    left = len(wrong) - REDELIVERIES
    return again, f"{left} more wait for another run" if left > 0 else None


def _as_json(delivery: Delivery, why: str, again: set[str]) -> Json:
    return {
        "guid": delivery.guid,
        "event": delivery.name,
        "delivered_at": delivery.last["delivered_at"],
        "attempts": len(delivery.attempts),
        "why": why,
        "sent_again": delivery.guid in again,
    }


def _print_comparison(
    sent: Sequence[Delivery],
    wrong: Sequence[tuple[Delivery, str]],
    unread: int,
    again: set[str],
    trouble: str | None,
    *,
    redeliver: bool,
) -> None:
    out = console()
    if wrong:
        table = _table("delivery", "event", "sent", "attempts", "what is wrong", "")
        for delivery, why in wrong:
            table.add_row(
                one_line(delivery.guid),
                one_line(delivery.name),
                age(delivery.last["delivered_at"]),
                str(len(delivery.attempts)),
                why,
                "sent again" if delivery.guid in again else "not sent again" if redeliver else "",
            )
        out.print(table)
    if trouble:
        out.print(trouble, style="warn")
    fine = len(sent) - len(wrong) - unread
    out.print(f"{len(sent)} deliveries: {fine} fine, {len(wrong)} not", style="bad" if wrong else "good")
    if unread:
        out.print(f"{unread} acknowledged ones were not looked into: ask for a shorter time", style="warn")
    if again:
        out.print("GitHub sends them by and by; run this again to see how they were answered.", style="quiet")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="quiet", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
