"""How intake holds up where events come faster than cases go: sent on a schedule, whatever the answers do.

An answer's time counts from the moment at which its event was due, so a queue before the sender shows in it.
Afterwards every acknowledged event is followed to where a person is asked, or to its ending.
"""

import csv
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from countersign.models import CaseStatus
from local.bench.cases import CaseRunner, CaseStuck, case_runner, percentile

SENDERS = 64
"""Requests that may be open at once; more than ever are, so that the schedule is kept."""
PATIENCE_S = 60.0
"""How long no case may move before those that have not come through count as unaccounted for."""
SEED = 20
WITHOUT_A_CAP = {"DailyBudgetUsd": "100000"}
"""Whoever measures intake does not want cases to wait for the next day's budget."""
ACCOUNTED_FOR = frozenset(
    set(CaseStatus) - {CaseStatus.RECEIVED, CaseStatus.QUEUED, CaseStatus.RUNNING, CaseStatus.PARKED}
)


@dataclass(frozen=True)
class Acknowledged:
    """One event's case, or None where it was not acknowledged; `seconds` from when it was due."""

    case_id: str | None
    seconds: float


def random_arrivals(rate: float, seconds: float) -> list[float]:
    """Seconds from the start at which events are due: as many as `rate` gives, independent of each other."""
    # The same every time: a measurement that is repeated should meet the same bursts.
    chance = random.Random(SEED)  # noqa: S311  no secret
    return sorted(chance.uniform(0, seconds) for _ in range(round(rate * seconds)))


def recorded_arrivals(path: Path, rate: float, seconds: float) -> list[float]:
    """The first arrivals of a recording, compressed or stretched to `rate` a second over `seconds`.

    The file is CSV with a column TIMESTAMP in ISO 8601. Raises ValueError where it is not, or is too short.
    """
    wanted = round(rate * seconds)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if "TIMESTAMP" not in (rows.fieldnames or ()):
            raise ValueError(f"{path} has no column TIMESTAMP")
        # Python reads six digits of a second; recordings have seven.
        moments = [
            datetime.fromisoformat(row["TIMESTAMP"][:26]) for row, _ in zip(rows, range(wanted), strict=False)
        ]
    if len(moments) < wanted or wanted < 2 or moments[0] == moments[-1]:
        raise ValueError(f"{path} holds {len(moments)} arrivals; {wanted} at different moments are needed")
    span = (moments[-1] - moments[0]).total_seconds()
    return [(moment - moments[0]).total_seconds() * seconds / span for moment in moments]


def measure_intake(
    knowledge: Path, arrivals: Sequence[float], *, say: Callable[[str], None]
) -> dict[str, Any]:
    """What sending events at `arrivals` (seconds from the start) measured, and what became of their cases."""
    with case_runner(knowledge, WITHOUT_A_CAP) as runner:
        say(f"{len(arrivals)} events in {arrivals[-1]:.0f} s, while their cases run")
        warmed = runner.asked_about()
        runner.app.stack.meter.reset()
        sent, wall_s = send_on_schedule(runner, arrivals)
        counts = runner.app.stack.meter.snapshot()
        known = [event.case_id for event in sent if event.case_id]
        say("following every acknowledged event to its end")
        statuses = follow(runner, known, warmed)
    seconds = [event.seconds for event in sent]
    return {
        "events": len(sent),
        "due_per_s": round(len(arrivals) / arrivals[-1], 2),
        "acknowledged": len(known),
        "acknowledged_per_s": round(len(known) / wall_s, 2),
        "p50_s": round(percentile(seconds, 50), 4),
        "p99_s": round(percentile(seconds, 99), 4),
        "most_s": round(max(seconds), 4),
        "cpu_ms": round(1000 * counts.cpu_s["receive_webhook"] / len(sent), 2),
        "cases": len(set(known)),
        "by_status": dict(sorted(Counter(statuses.values()).items())),
        "unaccounted": sorted(case for case, status in statuses.items() if status not in ACCOUNTED_FOR),
    }


def send_on_schedule(runner: CaseRunner, arrivals: Sequence[float]) -> tuple[list[Acknowledged], float]:
    """Every event as it was answered, in the order of `arrivals`, and the seconds until the last answer."""
    started = time.perf_counter()

    def send(number: int) -> Acknowledged:
        due = started + arrivals[number]
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            case_id = runner.send(number)
        except CaseStuck:
            return Acknowledged(None, time.perf_counter() - due)
        return Acknowledged(case_id, time.perf_counter() - due)

    with ThreadPoolExecutor(SENDERS) as pool:
        sent = list(pool.map(send, range(len(arrivals))))
    return sent, time.perf_counter() - started


def follow(runner: CaseRunner, case_ids: Sequence[str], warmed: int) -> dict[str, str]:
    """Every case's status, once people were asked about all of them, or about no other for a while.

    `warmed` is about how many they had been asked before.
    """
    asked, moved = 0, time.monotonic()
    while asked < warmed + len(set(case_ids)) and time.monotonic() - moved < PATIENCE_S:
        time.sleep(0.5)
        if (now := runner.asked_about()) != asked:
            asked, moved = now, time.monotonic()
    return {case_id: runner.status(case_id) for case_id in set(case_ids)}
