"""The arrivals that `countersign bench intake` sends by."""

from pathlib import Path

import pytest

from local.bench.intake import random_arrivals, recorded_arrivals

RECORDED = """TIMESTAMP,ContextTokens
2023-11-16 18:00:00.0000000,1
2023-11-16 18:00:01.0000000,2
2023-11-16 18:00:01.5000000,3
2023-11-16 18:00:04.0000000,4
2023-11-16 18:09:00.0000000,5
"""


def test_a_recording_keeps_its_bursts_at_another_rate(tmp_path: Path) -> None:
    (file := tmp_path / "arrivals.csv").write_text(RECORDED)
    assert recorded_arrivals(file, rate=2, seconds=2) == pytest.approx([0, 0.5, 0.75, 2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time\n2023-11-16 18:00:00\n", "no column TIMESTAMP"),
        (RECORDED, "holds 5 arrivals; 40"),
        ("TIMESTAMP\n" + "2023-11-16 18:00:00\n" * 40, "at different moments"),
        ("TIMESTAMP\n" + "soon\n" * 40, "Invalid isoformat"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (file := tmp_path / "arrivals.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        recorded_arrivals(file, rate=20, seconds=2)


def test_random_arrivals_are_the_same_every_time_and_come_in_bursts() -> None:
    arrivals = random_arrivals(20, 60)
    assert arrivals == random_arrivals(20, 60)
    assert len(arrivals) == 1200
    assert arrivals == sorted(arrivals)
    assert 0 <= arrivals[0] <= arrivals[-1] <= 60
    in_a_second = [sum(second <= moment < second + 1 for moment in arrivals) for second in range(60)]
    assert max(in_a_second) > 25
