"""What several commands take: how to reach the API, and whether to answer in JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from local.cli.api_client import ApiClient, ApiError
from local.cli.running import FOLDER, RunningStack

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@dataclass(frozen=True)
class Access:
    """How commands reach a deployment: what makes a client of an address and a token, and where `up` leaves
    word of the stack that runs.
    """

    connect: Callable[[str, str], ApiClient] = ApiClient
    folder: Path = FOLDER

    def running(self) -> RunningStack:
        """The stack that runs here. Raises click.ClickException, which says what to do, where none does."""
        running = RunningStack.read(self.folder)
        if running is None:
            raise click.ClickException(
                "no stack runs here: start one with `countersign up`, or give --url and --token"
            )
        return running

    def client(self, url: str | None, token: str | None) -> ApiClient:
        """Of the deployment that is given, or of the stack that runs. Raises click.ClickException."""
        if url and token:
            return self.connect(url, token)
        if url:
            raise click.UsageError("--url needs --token as well")
        running = self.running()
        return self.connect(running.url, token or running.token)


def access() -> Access:
    """That of the command that runs: a test gives its own as the root's `obj`."""
    given = click.get_current_context().find_root().obj
    return given if isinstance(given, Access) else Access()


def talks_to_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --url, --token and --json, an `api: ApiClient` and an `as_json: bool`."""

    @click.option("--url", envvar="COUNTERSIGN_URL", help="Address of the API, instead of the one that runs.")
    @click.option("--token", envvar="COUNTERSIGN_TOKEN", help="Bearer token of the API.")
    @json_option
    @wraps(command)
    def wrapped(url: str | None, token: str | None, **values: Any) -> Any:
        try:
            return command(api=access().client(url, token), **values)
        except ApiError as error:
            raise click.ClickException(str(error)) from error

    return wrapped
