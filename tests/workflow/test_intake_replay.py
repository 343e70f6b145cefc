"""More events than the machine can work off at once: all are acknowledged, and none is lost."""

from pathlib import Path

from local.bench.intake import measure_intake, random_arrivals

KNOWLEDGE = Path(__file__).parent / "fixtures" / "knowledge"


def test_every_event_of_a_burst_is_acknowledged_and_accounted_for() -> None:
    figures = measure_intake(KNOWLEDGE, random_arrivals(20, 2), say=lambda _: None)
    assert figures["acknowledged"] == figures["events"] == figures["cases"] == 40
    assert figures["by_status"] == {"awaiting_approval": 40}
    assert figures["unaccounted"] == []
