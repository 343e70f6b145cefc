"""The offline app on two ports: its API with the inbox, and AWS's own APIs."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from local.cli.running import RunningStack, SourceAccess
from local.documents import KnowledgeMissing, documents

if TYPE_CHECKING:
    from local.offline import Ingested, OfflineApp
    from local.server import Server
    from local.stack import LogLine

KNOWLEDGE = Path(__file__).resolve().parent.parent.parent / "knowledge"
"""What is ingested unless a command is told otherwise: this product's own documents."""

knowledge_option = click.option(
    "--knowledge",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=KNOWLEDGE,
    show_default="this product's own",
    help="Folder of the documents that replies rest on.",
)
model_option = click.option(
    "--model",
    default="extractive",
    show_default=True,
    help="extractive (a stand-in that quotes), bedrock, or the URL of an OpenAI-compatible server.",
)
model_name_option = click.option(
    "--model-name", help="What that server calls the model; its first one without."
)


@dataclass(frozen=True)
class Serving:
    """An app that answers on its ports. `ingested` is what became of its documents."""

    app: "OfflineApp"
    api: "Server"
    aws: "Server"
    ingested: "Ingested"

    def running(self) -> RunningStack:
        """How other processes reach it."""
        return RunningStack(
            url=self.api.url,
            token=self.app.token,
            aws_endpoint=self.aws.url,
            outbox=self.app.outbox.url,
            sources=source_accesses(self.app),
            pid=os.getpid(),
        )


@contextmanager
def serving(
    *,
    knowledge: Path,
    model: str,
    model_name: str | None,
    port: int,
    aws_port: int,
    parameters: Mapping[str, str] | None = None,
    on_log: "Callable[[LogLine], None] | None" = None,
) -> Iterator[Serving]:
    """Deploy, ingest and answer while the block runs. `parameters` are the template's.

    Raises click.UsageError for a taken port, an unknown model, a folder without documents, and parameters
    that the template does not take.
    """
    # Before the imports, which take seconds: whoever is told to choose another port should not wait for it.
    _refuse_taken(port, "--port")
    _refuse_taken(aws_port, "--aws-port")
    try:
        documents(knowledge)
    except KnowledgeMissing as error:
        raise click.UsageError(str(error)) from error
    from local.bedrock.models import make_model
    from local.offline import OfflineApp
    from local.server import Server, aws_app, gateway_app
    from local.template import TemplateError

    try:
        made = make_model(model, model_name=model_name)
        app = OfflineApp(model=made, parameters=parameters, on_log=on_log)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    api = Server(gateway_app(lambda: app.stack.gateway), port=port)
    aws = Server(aws_app(app.bedrock.wsgi_app), port=aws_port)
    with ExitStack() as parts:
        try:
            parts.enter_context(app)
        except TemplateError as error:
            raise click.UsageError(str(error)) from error
        # The functions' imports cost as much as the documents do, and neither needs the other.
        imports = threading.Thread(target=_import_functions, args=(app,), name="imports", daemon=True)
        imports.start()
        ingested = app.ingest(knowledge)
        imports.join()
        with api, aws:
            yield Serving(app, api, aws, ingested)


def source_accesses(app: "OfflineApp") -> dict[str, SourceAccess]:
    """What it takes to send as each source of an app."""
    from countersign.sources import load_sources
    from local.offline import SOURCES

    known = load_sources(SOURCES)
    return {name: SourceAccess(known[name].scheme, secret) for name, secret in app.sources.items()}


def _import_functions(app: "OfflineApp") -> None:
    from local.functions import FunctionFailed

    # A function that can't be imported says so when it is called, and only then does it matter.
    with suppress(FunctionFailed):
        app.stack.warm()


def _refuse_taken(port: int, option: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise click.UsageError(
                f"port {port} can't be used ({error.strerror}); {option} takes another, 0 a free one"
            ) from None


def error_of(line: "LogLine") -> dict[str, Any] | None:
    """The entry where a function logged an error; None for other lines."""
    entry = line.line
    return entry if isinstance(entry, dict) and entry.get("level") in {"ERROR", "CRITICAL"} else None
