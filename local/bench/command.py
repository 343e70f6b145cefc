"""`countersign bench`: measures, and says which targets hold."""

import json
from pathlib import Path

import click
from rich.console import Console

from local.bench.cases import CaseStuck
from local.bench.report import measure_all, show


@click.group("bench", invoke_without_command=True)
@click.option(
    "--cases",
    default=40,
    show_default=True,
    type=click.IntRange(2),
    help="How many cases one at a time; ten at a time runs twice as many.",
)
@click.option(
    "--memory/--no-memory",
    default=True,
    show_default=True,
    help="Also run 500 cases in a process of their own to see memory grow.",
)
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file, as JSON.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.pass_context
def bench(context: click.Context, cases: int, memory: bool, write: Path | None, as_json: bool) -> None:
    """Measure speed, AWS calls, transitions, imports and memory on the offline stack.

    Every case is a signed event whose draft is approved at once and whose reply a listener here takes. A
    target that is missed is printed as such and makes no error, as times differ from machine to machine.
    """
    if context.invoked_subcommand is not None:
        return
    progress = Console(stderr=True, quiet=as_json)
    try:
        figures = measure_all(
            cases=cases, memory=memory, say=lambda what: progress.print(f"· {what}", style="dim")
        )
    except CaseStuck as error:
        raise click.ClickException(str(error)) from error
    if write:
        write.write_text(json.dumps(figures, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(figures))
    else:
        show(figures, Console())
