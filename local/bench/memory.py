"""How much memory a growing number of cases takes, measured in a process of its own."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.bench.cases import case_runner, resident_mb
from local.stack import ROOT, Stack

AT_ONCE = 4


def measure(numbers: Sequence[int], knowledge: Path) -> list[dict[str, float]]:
    """Megabytes after so many cases, in a fresh process: `{cases, resident_mb, peak_mb, stored_mb}` each."""
    process = subprocess.run(  # noqa: S603  this program with its own arguments
        [sys.executable, "-m", "local.bench.memory", str(knowledge.resolve()), *map(str, numbers)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=True,
    )
    lines = process.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"cases"')]


def stored_mb(stack: Stack) -> float:
    """Megabytes that cases left in the stores: objects with their versions, rows, execution history."""
    s3, dynamodb, steps = (stack.client(name) for name in ("s3", "dynamodb", "stepfunctions"))
    size = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=stack.resource("CaseFilesBucket")):
        size += sum(version["Size"] for version in page.get("Versions", ()))
    for table in ("CasesTable", "ClaimsTable"):
        for page in dynamodb.get_paginator("scan").paginate(TableName=stack.resource(table)):
            size += sum(len(json.dumps(item, default=str)) for item in page["Items"])
    for page in steps.get_paginator("list_executions").paginate(stateMachineArn=stack.resource("HandleCase")):
        for execution in page["executions"]:
            history: Any = steps.get_execution_history(executionArn=execution["executionArn"])
            size += len(json.dumps(history["events"], default=str))
    return size / 1e6


def main(knowledge: Path, numbers: Sequence[int]) -> None:
    """Runs cases up to each of the numbers and prints a JSON line for each."""
    with case_runner(knowledge) as runner:
        print(json.dumps({"cases": 0, "resident_mb": resident_mb(), "peak_mb": peak_mb(), "stored_mb": 0.0}))
        done = 0
        for number in numbers:
            runner.run(number - done, AT_ONCE)
            done = number
            memory = {"resident_mb": resident_mb(), "peak_mb": peak_mb()}
            print(json.dumps({"cases": done, **memory, "stored_mb": stored_mb(runner.app.stack)}), flush=True)


def peak_mb() -> float:
    """The most this process has held so far; Linux counts in kibibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]])
