"""`countersign invoke`: one function, one event."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from local.cli.options import access, json_option
from local.cli.output import console, print_json
from local.cli.running import RunningStack, SourceAccess
from local.cli.serving import KNOWLEDGE, source_accesses
from local.cli.signing import Unsendable, read_event, sign

AWS_REGION = "us-east-1"
FUNCTIONS = Path(__file__).resolve().parent.parent.parent / "functions"


@click.command()
@click.argument("function")
@click.option(
    "-e",
    "--event",
    "path",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="The event's JSON file; - reads standard input.",
)
@click.option("--sign", "signs", is_flag=True, help="Sign a webhook's event first: samples are not signed.")
@click.option("--alone", is_flag=True, help="In a stack of its own, even where one runs.")
@json_option
def invoke(function: str, path: Path, signs: bool, alone: bool, as_json: bool) -> None:
    """Call one function with an event and print what it returned.

    FUNCTION is its folder's name. The call goes to the stack that runs, whose cases the event may name; where
    none runs, to a stack made for this call. A function that fails prints Lambda's error, and the exit status
    is 1: the sample events of most steps name a case that such a stack does not have.

    \b
    countersign invoke serve_api -e events/serve_api/list_cases.json
    countersign invoke receive_webhook -e events/receive_webhook/github_issue_opened.json --sign
    """
    names = sorted(folder.parent.name for folder in FUNCTIONS.glob("*/app.py"))
    if function not in names:
        raise click.BadParameter(f"{function!r} is none of {', '.join(names)}", param_hint="FUNCTION")
    event = _read(path)
    running = None if alone else RunningStack.read(access().folder)
    if running:
        event = _signed(event, running.sources) if signs else event
        result, failed = _by_lambda(running, function, event)
    else:
        result, failed = _in_own_stack(function, event, signs=signs, quiet=as_json)
    print_json(result)
    if failed:
        sys.exit(1)


def _read(path: Path) -> Any:
    try:
        return json.loads(sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is not JSON: {error}") from None


def _signed(event: Any, sources: Mapping[str, SourceAccess]) -> Any:
    """API Gateway's event with the signature that its source would make of its body now."""
    try:
        sender = sources[event["pathParameters"]["source"]]
        headers = sign(sender.scheme, sender.secret, read_event(json.dumps(event).encode()), time.time())
    except (KeyError, TypeError, Unsendable) as error:
        raise click.UsageError(f"this is no event of a webhook to sign: {error}") from None
    return {**event, "headers": {**event.get("headers", {}), **headers}}


def _by_lambda(running: RunningStack, function: str, event: Any) -> tuple[Any, bool]:
    """The result or the error, and whether it is one, from the running stack's Lambda."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError, EndpointConnectionError

    client = boto3.client(
        "lambda",
        endpoint_url=running.aws_endpoint,
        region_name=AWS_REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  nothing checks it
        config=Config(retries={"total_max_attempts": 1}, read_timeout=900),
    )
    try:
        answer = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
    except EndpointConnectionError:
        raise click.ClickException(f"nobody answers at {running.aws_endpoint}") from None
    except ClientError as error:
        raise click.ClickException(str(error)) from None
    return json.loads(answer["Payload"].read()), "FunctionError" in answer


def _in_own_stack(function: str, event: Any, *, signs: bool, quiet: bool) -> tuple[Any, bool]:
    """The same in a stack that lives for this call."""
    out = console(stderr=True)
    out.quiet = quiet
    with out.status("Deploying a stack for this call"):
        from local.functions import FunctionFailed
        from local.offline import OfflineApp

        with OfflineApp(knowledge=KNOWLEDGE) as app:
            app.stack.poller.stop()  # one function, and not what follows from it
            if signs:
                event = _signed(event, source_accesses(app))
            try:
                return app.stack.invoke(function, event), False
            except FunctionFailed as failure:
                return failure.to_payload(), True
