"""scripts/write-figures: what the bench measured becomes money. Its figures here add up by hand."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
RUN = {"cases": 40, "p50_s": 0.412, "p95_s": 0.633, "cases_per_s": 2.1}
BENCH: dict[str, Any] = {
    "measured_at": "2026-11-24T20:00:00+00:00",
    "machine": {"cpus": 2, "python": "3.13.1", "processor": "x86_64"},
    "model": "extractive",
    "one_at_a_time": RUN,
    "ten_at_a_time": RUN,
    "per_case": {
        "aws_calls": 7.0,
        "transitions": 20.0,
        "by_function": {"start_case": {"aws_calls": 1, "cpu_ms": 3.0, "invocations": 1.0}},
        "by_operation": {
            "dynamodb:PutItem": 2.0,
            "dynamodb:GetItem": 4.0,
            "s3:PutObject": 3.0,
            "s3:GetObject": 5.0,
            "sqs:SendMessage": 6.0,
            "secretsmanager:GetSecretValue": 1.0,
            "states:StartExecution": 1.0,
        },
    },
    "targets": [{"what": "calls", "target": "≤ 40", "measured": 7.0, "met": True}],
}


@pytest.fixture(scope="module")
def script() -> Any:
    sys.path.insert(0, str(SCRIPTS))
    try:
        loader = SourceFileLoader("write_figures", str(SCRIPTS / "write-figures"))
        spec = spec_from_loader("write_figures", loader)
        assert spec is not None
        module = module_from_spec(spec)
        loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


def test_costs_add_up(script: Any) -> None:
    rows = [row.strip("| ").split(" | ") for row in script.costs(BENCH).splitlines()[2:]]
    cents = {what: float(cost.strip("*")) for what, *_, cost in rows}
    assert cents["state transitions"] == 50.0
    assert cents["writes to DynamoDB"] == 0.5
    assert cents["objects written to S3"] == 1.5
    *parts, total = cents.values()
    assert total == pytest.approx(sum(parts), abs=0.6)


def test_block_says_what_was_measured_where(script: Any) -> None:
    block = script.figures(BENCH)
    assert "Measured on 2026-11-24 with the extractive model, Python 3.13.1, 2 CPUs (x86_64)." in block
    assert "| one at a time | 40 | 0.412 | 0.633 | 2.1 |" in block
    assert "| calls | ≤ 40 | 7 | met |" in block
