"""`countersign bench`: measures, and says which targets hold."""

import json
from pathlib import Path

import click
from rich.console import Console

from local.bench.cases import CaseStuck
from local.bench.intake import measure_intake, random_arrivals, recorded_arrivals
from local.bench.report import measure_all, show, show_intake
from local.stack import ROOT


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


@bench.command("intake")
@click.option(
    "--rate", default=20.0, show_default=True, type=click.FloatRange(0.1, 500), help="Events a second."
)
@click.option(
    "--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="For how long."
)
@click.option(
    "--arrivals",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with a column TIMESTAMP: when events came once, compressed to the rate. Without, at random.",
)
@click.option(
    "--write", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures to this file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def intake(rate: float, seconds: float, arrivals: Path | None, write: Path | None, as_json: bool) -> None:
    """Send signed events on a schedule, and follow every acknowledged one to where a person is asked.

    Exits with 1 where an event was not acknowledged or is not accounted for.
    """
    progress = Console(stderr=True, quiet=as_json)
    try:
        due = recorded_arrivals(arrivals, rate, seconds) if arrivals else random_arrivals(rate, seconds)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--arrivals") from None
    figures = measure_intake(
        ROOT / "knowledge", due, say=lambda what: progress.print(f"· {what}", style="dim")
    )
    figures["arrivals"] = "recorded" if arrivals else "random"
    if write:
        write.write_text(json.dumps(figures, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(figures))
    else:
        show_intake(figures, Console())
    if figures["acknowledged"] < figures["events"] or figures["unaccounted"]:
        raise click.exceptions.Exit(1)
