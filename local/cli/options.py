"""What several commands take: how to reach the API, and whether to answer in JSON."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from local.cli.api_client import ApiClient, ApiError
from local.cli.running import RunningStack

type Connect = Callable[[str, str], ApiClient]
"""Makes a client from an address and a token; a test gives its own as the command's `obj`."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def talks_to_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --url, --token and --json, an `api: ApiClient` and an `as_json: bool`."""

    @click.option("--url", envvar="COUNTERSIGN_URL", help="Address of the API, instead of the one that runs.")
    @click.option("--token", envvar="COUNTERSIGN_TOKEN", help="Bearer token of the API.")
    @json_option
    @click.pass_context
    @wraps(command)
    def wrapped(ctx: click.Context, /, url: str | None, token: str | None, **values: Any) -> Any:
        connect: Connect = ctx.find_root().obj or ApiClient
        try:
            return command(api=_client(connect, url, token), **values)
        except ApiError as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def _client(connect: Connect, url: str | None, token: str | None) -> ApiClient:
    if url and token:
        return connect(url, token)
    running = RunningStack.read()
    if url and (running is None or running.url != url.rstrip("/")):
        raise click.UsageError("--url needs --token as well")
    return connect(url or running_stack().url, token or running_stack().token)


def running_stack() -> RunningStack:
    """The stack of the `up` that runs here. Raises click.ClickException with what to do where none does."""
    running = RunningStack.read()
    if running is None:
        raise click.ClickException(
            "no stack runs here: start one with `countersign up`, or give --url and --token"
        )
    return running
