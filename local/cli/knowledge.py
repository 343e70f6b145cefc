"""`countersign search` and `ingest`: the knowledge that replies rest on."""

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from local.cli.api_client import ApiClient, Json
from local.cli.literal import one_line
from local.cli.options import talks_to_api
from local.cli.output import console, print_json
from local.cli.render import found_passages
from local.documents import KnowledgeMissing, documents

CALL_LIMIT = 900_000
"""Bytes of one call's body: the API takes 1 MiB."""
MOST_DOCUMENTS = 20
"""Documents of one call."""
PATIENCE_S = 120.0
_PAUSE_S = 0.5


@click.command()
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 20), default=5, show_default=True, help="How many at most.")
@talks_to_api
def search(api: ApiClient, as_json: bool, text: str, limit: int) -> None:
    """Search the knowledge that replies rest on: the passages nearest to TEXT, best first.

    \b
    countersign search "how long does an approval wait"
    """
    found = api.search(text, limit)
    if as_json:
        print_json(found)
    else:
        console().print(found_passages(found["results"]))


@click.command()
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path, exists=True))
@talks_to_api
def ingest(api: ApiClient, as_json: bool, path: Path) -> None:
    """Add a document, or all documents below a folder, to the knowledge, and wait until they are read.

    A document with the name of an earlier one replaces it. Hidden files are left out. Text, Markdown, HTML,
    CSV, PDF and Word files can be read; one call of the API takes 1 MiB, so larger files go straight into the
    knowledge bucket.

    \b
    countersign ingest ~/handbook
    countersign ingest refunds.md
    """
    try:
        found = documents(path)
        calls = list(batches([as_document(name, file) for name, file in found]))
    except (KnowledgeMissing, OSError) as error:
        raise click.UsageError(str(error)) from error
    out, names, job = console(stderr=as_json), list[str](), None
    with out.status("") as status:
        for call in calls:
            status.update(f"{len(names)} of {len(found)} documents sent")
            answer = api.add_documents(call)
            names += answer["documents"]
            job = answer.get("job_id") or job
        status.update("reading them")
        outcome = wait_for_job(api, job) if job else "waiting"
    if as_json:
        print_json({"documents": names, "job_id": job, "status": outcome})
    elif outcome == "COMPLETE":
        out.print(f"Part of the knowledge now: {len(names)} of {len(found)} documents.", style="good")
    else:
        out.print(
            f"Stored: {len(names)} of {len(found)} documents. The job that reads them is {outcome.lower()}."
        )
    if outcome == "FAILED":
        raise click.ClickException("the documents could not be read")


def as_document(name: str, path: Path) -> Json:
    """A document as the API takes it: text where it is text. Raises OSError, click.UsageError."""
    content = path.read_bytes()
    try:
        document: Json = {"name": name, "text": content.decode()}
    except UnicodeDecodeError:
        document = {"name": name, "content_base64": base64.b64encode(content).decode()}
    if _size(document) > CALL_LIMIT:
        raise click.UsageError(
            f"{one_line(str(path))} is too large for the API: put it into the bucket itself"
        )
    return document


def batches(found: Sequence[Json]) -> Iterator[list[Json]]:
    """The documents of each call, in order, as many as fit."""
    batch: list[Json] = []
    for document in found:
        full = len(batch) == MOST_DOCUMENTS or sum(map(_size, [*batch, document])) > CALL_LIMIT
        if batch and full:
            yield batch
            batch = []
        batch.append(document)
    if batch:
        yield batch


def wait_for_job(
    api: ApiClient,
    job_id: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    patience_s: float = PATIENCE_S,
) -> str:
    """The status that an ingestion job ends with, or has after `patience_s` seconds."""
    waited = 0.0
    while (status := str(api.job(job_id)["status"])) not in {"COMPLETE", "FAILED", "STOPPED"}:
        if waited >= patience_s:
            break
        sleep(_PAUSE_S)
        waited += _PAUSE_S
    return status


def _size(document: Json) -> int:
    """About how many bytes of JSON a document takes: escapes of control characters apart."""
    content = document.get("text") or document.get("content_base64") or ""
    return len(content.encode()) + content.count("\n") + content.count('"') + len(document["name"]) + 64
