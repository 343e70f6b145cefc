"""The figures of `countersign bench`: measured, held against their targets, and printed."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.bench.cases import Run, case_runner
from local.bench.imports import boto3_seconds, import_seconds
from local.bench.memory import measure
from local.stack import ROOT

type Figures = dict[str, Any]

MEMORY_AT = (100, 500)


@dataclass(frozen=True)
class Target:
    """A bound on one figure; `most` says on which side of it the figure must stay."""

    what: str
    bound: float
    most: bool
    read: Callable[[Figures], float]

    def judge(self, figures: Figures) -> dict[str, Any]:
        """The target with what was measured."""
        measured = self.read(figures)
        met = measured <= self.bound if self.most else measured >= self.bound
        sign = "≤" if self.most else "≥"
        return {
            "what": self.what,
            "target": f"{sign} {self.bound:g}",
            "measured": round(measured, 2),
            "met": met,
        }


TARGETS = (
    Target("webhook to approval, one at a time, p50 s", 1.0, True, lambda f: f["one_at_a_time"]["p50_s"]),
    Target("whole cases a second, ten at a time", 5, False, lambda f: f["ten_at_a_time"]["cases_per_s"]),
    Target("AWS calls of an approved case", 40, True, lambda f: f["per_case"]["aws_calls"]),
    Target("state transitions of an approved case", 20, True, lambda f: f["per_case"]["transitions"]),
    Target(
        "receive_webhook's import, in imports of boto3",
        1.6,
        True,
        lambda f: f["imports"]["functions"]["receive_webhook"]["ratio"],
    ),
    Target(
        "memory growth against growth of what is stored, from 100 to 500 cases",
        1.0,
        True,
        lambda f: memory_growth(f["memory"]),
    ),
)


def measure_all(
    *, cases: int, memory: bool, knowledge: Path = ROOT / "knowledge", say: Callable[[str], None]
) -> Figures:
    """Every figure. `say` is told what is being measured. Raises CaseStuck."""
    with case_runner(knowledge) as runner:
        say(f"{cases} cases, one at a time")
        alone = runner.run(cases)
        say(f"{2 * cases} cases, ten at a time")
        together = runner.run(2 * cases, at_once=10)
        functions = sorted(function.label for function in runner.app.stack.functions)
    say("imports, each in a fresh process")
    figures: Figures = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "processor": platform.machine(),
        },
        "model": "extractive",
        "one_at_a_time": _speed(alone),
        "ten_at_a_time": _speed(together),
        "per_case": {
            "aws_calls": round(alone.aws_calls, 2),
            "transitions": round(alone.transitions, 2),
            "cpu_ms": round(1000 * alone.cpu_s, 1),
            "by_function": alone.by_function(),
            "by_operation": alone.by_operation(),
        },
        "imports": _imports(functions),
    }
    if memory:
        say(f"memory at {' and '.join(map(str, MEMORY_AT))} cases, in a process of its own")
        figures["memory"] = measure(MEMORY_AT, knowledge)
    figures["targets"] = [
        target.judge(figures) for target in TARGETS if memory or "memory" not in target.what
    ]
    return figures


def memory_growth(points: list[dict[str, float]]) -> float:
    """How much faster memory grew than what is stored, between the last two points: 1 is as fast."""
    before, after = points[-2:]
    grown = (after["resident_mb"] - before["resident_mb"]) / (after["cases"] - before["cases"])
    first = (before["resident_mb"] - points[0]["resident_mb"]) / (before["cases"] - points[0]["cases"])
    stored = (after["stored_mb"] - before["stored_mb"]) / (after["cases"] - before["cases"])
    stored_first = before["stored_mb"] / before["cases"]
    return (grown / first) / (stored / stored_first)


def show(figures: Figures, console: Console) -> None:
    """The figures as tables."""
    _speeds(figures, console)
    _functions(figures, console)
    if "memory" in figures:
        table = Table("cases", "resident MB", "peak MB", "stored MB", title="Memory")
        for point in figures["memory"]:
            names = ("resident_mb", "peak_mb", "stored_mb")
            table.add_row(str(point["cases"]), *(f"{point[name]:.1f}" for name in names))
        console.print(table)
    table = Table("target", "bound", "measured", "", title="Targets")
    for target in figures["targets"]:
        mark = "[green]met[/]" if target["met"] else "[red]missed[/]"
        table.add_row(target["what"], target["target"], f"{target['measured']:g}", mark)
    console.print(table)


def show_intake(figures: Figures, console: Console) -> None:
    """What `measure_intake` found, as a table."""
    console.print(f"Intake, {figures['due_per_s']:g} events a second, {figures['arrivals']} arrivals")
    table = Table(show_header=False)
    table.add_row("acknowledged", f"{figures['acknowledged']} of {figures['events']}")
    table.add_row("acknowledged a second", f"{figures['acknowledged_per_s']:g}")
    for name, label in (("p50_s", "p50"), ("p99_s", "p99"), ("most_s", "longest")):
        table.add_row(f"time of the answer, {label}", f"{1000 * figures[name]:.0f} ms")
    table.add_row("CPU of a webhook", f"{figures['cpu_ms']:.1f} ms")
    for status, count in figures["by_status"].items():
        table.add_row(f"cases {status.replace('_', ' ')}", str(count))
    table.add_row("cases unaccounted for", str(len(figures["unaccounted"])))
    console.print(table)


def _speed(run: Run) -> dict[str, float]:
    return {
        "cases": len(run.cases),
        "p50_s": round(run.to_approval(50), 3),
        "p95_s": round(run.to_approval(95), 3),
        "cases_per_s": round(run.cases_per_s, 2),
    }


def _imports(functions: list[str]) -> dict[str, Any]:
    boto3 = boto3_seconds()
    seconds = {function: import_seconds(function) for function in functions}
    return {
        "boto3_s": round(boto3, 3),
        "functions": {
            name: {"seconds": round(taken, 3), "ratio": round(taken / boto3, 2)}
            for name, taken in seconds.items()
        },
    }


def _speeds(figures: Figures, console: Console) -> None:
    table = Table("", "cases", "p50 s", "p95 s", "whole cases a second", title="Webhook to awaiting_approval")
    for name, label in (("one_at_a_time", "one at a time"), ("ten_at_a_time", "ten at a time")):
        run = figures[name]
        table.add_row(
            label,
            str(run["cases"]),
            f"{run['p50_s']:.3f}",
            f"{run['p95_s']:.3f}",
            f"{run['cases_per_s']:.2f}",
        )
    console.print(table)


def _functions(figures: Figures, console: Console) -> None:
    per_case = figures["per_case"]
    table = Table(
        "function", "AWS calls", "CPU ms", "import s", "× boto3", title="What an approved case takes"
    )
    imports = figures["imports"]["functions"]
    for name in imports:
        took = per_case["by_function"].get(name, {})
        table.add_row(
            name,
            f"{took.get('aws_calls', 0):g}",
            f"{took.get('cpu_ms', 0):.1f}",
            f"{imports[name]['seconds']:.2f}",
            f"{imports[name]['ratio']:.2f}",
        )
    table.add_section()
    boto3 = figures["imports"]["boto3_s"]
    table.add_row(
        f"all, and {per_case['transitions']:g} transitions",
        f"{per_case['aws_calls']:g}",
        f"{per_case['cpu_ms']:.1f}",
        f"boto3 {boto3:.2f}",
        "",
    )
    console.print(table)
