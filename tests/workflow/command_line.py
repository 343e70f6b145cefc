"""The command line at a stack in this process, without a port."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from click.testing import CliRunner, Result

from local.cli import main
from local.cli.api_client import ApiClient
from local.cli.options import Access
from local.stack import Stack


@dataclass(frozen=True)
class Answer:
    status_code: int
    content: bytes


@dataclass(frozen=True)
class InProcess:
    """`requests` as far as the client uses it, answered by the stack's gateway."""

    stack: Stack

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> Answer:
        path = url.removeprefix("http://stack") + (f"?{urlencode(params)}" if params else "")
        answer = self.stack.request(method, path, headers=headers, body=data or b"")
        return Answer(answer.status, answer.body)


@dataclass(frozen=True)
class CommandLine:
    """Runs commands as the person whom a token stands for."""

    stack: Stack
    token: str

    def run(self, *words: str, **environment: str) -> Result:
        access = Access(connect=lambda url, token: ApiClient(url, token, InProcess(self.stack)))
        given = [*words, "--url", "http://stack", "--token", self.token]
        return CliRunner(mix_stderr=False).invoke(main, given, obj=access, env=environment)

    def json(self, *words: str, status: int = 0, **environment: str) -> Any:
        """The document that a command prints."""
        result = self.run(*words, "--json", **environment)
        assert result.exit_code == status, (result.exit_code, result.stderr, result.stdout)
        return json.loads(result.stdout)
