"""`countersign up`: the whole product in this process, until it is told to stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.cli.api_client import ApiClient
from local.cli.literal import one_line
from local.cli.options import json_option
from local.cli.output import console, print_json_line
from local.cli.running import FOLDER, RunningStack
from local.cli.serving import (
    Serving,
    error_of,
    knowledge_option,
    model_name_option,
    model_option,
    serving,
)

if TYPE_CHECKING:
    from local.stack import LogLine

PORT, AWS_PORT = 8420, 8421
_port = click.IntRange(0, 65535)


class _Stopped(BaseException):
    """Somebody pressed Ctrl-C or sent SIGTERM. Not an Exception, so that it comes through everything."""


def _as_parameters(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    parameters = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", context, option)
        parameters[name] = value
    return parameters


@click.command()
@click.option(
    "--port",
    type=_port,
    default=PORT,
    show_default=True,
    help="Of the API and the inbox; 0 takes a free one.",
)
@click.option(
    "--aws-port",
    type=_port,
    default=None,
    show_default=f"{AWS_PORT}, or a free one with --port 0",
    help="Of AWS's own APIs, for `aws --endpoint-url`.",
)
@knowledge_option
@model_option
@model_name_option
@click.option(
    "--set",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_as_parameters,
    help="A parameter of template.yaml, such as DailyBudgetUsd=0.05; may be given several times.",
)
@json_option
def up(
    port: int,
    aws_port: int | None,
    knowledge: Path,
    model: str,
    model_name: str | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Run the whole product on this machine: the deployed functions, state machine and API, with AWS itself
    replaced. It starts empty, knows the documents of --knowledge, may call back to listeners on this machine,
    and runs until Ctrl-C; what it held is gone then.

    Replies to GitHub, Slack and fixed addresses end in a local outbox. The inbox address, the API token, the
    AWS endpoint and the webhook secrets are printed, and kept in .local/ for other commands while it runs.

    \b
    countersign up
    countersign up --knowledge ~/handbook --model http://localhost:11434/v1 --model-name llama3.1
    countersign up --set DailyBudgetUsd=0.05 --set MaxCasesAtOnce=2
    countersign up --port 0 --json    # one line when ready: {"url","token","aws_endpoint","sources"}
    """
    if aws_port is None:
        aws_port = AWS_PORT if port else 0
    out, started = console(stderr=as_json), time.monotonic()
    try:
        with _signals_stop_it(), ExitStack() as parts:
            with out.status("Deploying, and reading the documents"):
                served = parts.enter_context(
                    serving(
                        knowledge=knowledge,
                        model=model,
                        model_name=model_name,
                        port=port,
                        aws_port=aws_port,
                        parameters=parameters,
                        on_log=lambda line: _say_error(out, line),
                    )
                )
            running = served.running()
            if running.write():
                parts.callback(running.remove)
            else:
                out.print("Another stack runs here: reach this one with --url and --token.", style="warn")
            if as_json:
                print_json_line(ready(running))
            else:
                _welcome(out, served, running, time.monotonic() - started)
            while True:
                # Not `signal.pause`: a signal just before it would be lost.
                time.sleep(1)
    except _Stopped:
        if not as_json:
            out.print("Stopped.", style="quiet")


def ready(running: RunningStack) -> dict[str, object]:
    """The line that says ready to a program."""
    return {
        "url": running.url,
        "token": running.token,
        "aws_endpoint": running.aws_endpoint,
        "sources": {name: {"secret": access.secret} for name, access in running.sources.items()},
    }


@contextmanager
def _signals_stop_it() -> Iterator[None]:
    """The first SIGINT or SIGTERM raises _Stopped here; later ones don't disturb the stopping."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (signal's interface)
        for each in before:
            signal.signal(each, lambda *_: None)
        raise _Stopped

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _welcome(out: Console, served: Serving, running: RunningStack, seconds: float) -> None:
    documents = served.ingested.indexed
    out.print(f"Countersign is ready: {documents} documents read, {seconds:.1f} s.", style="good")
    for reason in served.ingested.reasons:
        out.print(f"  left out: {one_line(reason)}", style="warn")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(style="name", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Inbox", ApiClient(running.url, running.token).inbox)
    table.add_row("API", f"{running.url}   Authorization: Bearer {running.token}")
    table.add_row("Webhooks", f"{running.url}/webhooks/SOURCE")
    for name, access in running.sources.items():
        table.add_row(
            "", Text.assemble((f"{name}: ", "quiet"), access.secret, (f"  ({access.scheme})", "quiet"))
        )
    table.add_row("AWS", f"aws --endpoint-url {running.aws_endpoint} stepfunctions list-state-machines")
    table.add_row("Outbox", f"{running.outbox}   stands in for the APIs that replies go to")
    out.print(table)
    out.print(
        f'\nAll of this is in {FOLDER}. Try: countersign ask "How long do I have to approve a draft?"\n'
        "Ctrl-C stops it, and its data is gone then.",
        style="quiet",
    )


def _say_error(out: Console, line: "LogLine") -> None:
    """What went wrong inside, as it happens: the stack keeps the functions' other lines to itself."""
    entry = error_of(line)
    if entry is not None:
        what = entry.get("exception_name") or entry.get("message", "")
        case = entry.get("case_id", "")
        out.print(Text(f"{line.function}: {one_line(str(what))} {case}".rstrip(), style="bad"))
