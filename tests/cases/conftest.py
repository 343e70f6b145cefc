"""Folders of cases, given by `--cases DIR`: one JSON object a line, with an id, a level and what to expect.

`must` (also where no level is given) fails the test; `should` and `policy` are reported at the end.
"""

import json
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
OPTIONAL = ("should", "policy")
DIFFERS = "differs"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `case` says with `@pytest.mark.cases("kind")` of which file: one test a line."""
    marked = metafunc.definition.get_closest_marker("cases")
    if marked is None or "case" not in metafunc.fixturenames:
        return
    lines, why = read_cases(metafunc.config.getoption("cases"), marked.args[0])
    skipped = pytest.param({}, marks=pytest.mark.skip(reason=why), id="none")
    params = [pytest.param(line, id=str(line.get("id", number))) for number, line in enumerate(lines, 1)]
    metafunc.parametrize("case", params or [skipped])


def read_cases(folder: str | None, kind: str) -> tuple[list[Json], str]:
    """The lines of `{kind}.jsonl`, or none and the reason."""
    if folder is None:
        return [], f"give the folder of {kind}.jsonl by --cases DIR"
    path = Path(folder) / f"{kind}.jsonl"
    if not path.is_file():
        return [], f"--cases has no {kind}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()], ""


@pytest.fixture
def judge(case: Json, request: pytest.FixtureRequest) -> Any:
    """`judge(holds, what)` fails the test of a `must` line, and notes any other that does not hold."""

    def judge(holds: bool, what: str = "") -> None:
        level = case.get("level", "must")
        if holds:
            return
        said = f"{case.get('id')} ({level}): {case.get('title', '')}: {what}"
        if level not in OPTIONAL:
            pytest.fail(said)
        # A property of the report, so that it also comes from the workers of a run in parallel.
        request.node.user_properties.append((DIFFERS, said))

    return judge


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = terminalreporter.getreports("passed")
    notes = {said for report in reports for name, said in report.user_properties if name == DIFFERS}
    for said in sorted(notes):
        terminalreporter.write_line(f"differs from {said}")
    if config.getoption("cases") is None:
        terminalreporter.write_line("tests/cases was skipped: give it a folder of cases by --cases DIR")
