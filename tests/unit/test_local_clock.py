"""Time that a test moves."""

import datetime as dt
import threading
import time
from collections.abc import Iterator

import pytest

from local.clock import Clock, Signal, Unsettled, VirtualClock


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with VirtualClock(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), patience_s=2) as clock:
        yield clock


def test_hours_pass_at_once_and_everywhere(clock: VirtualClock) -> None:
    started = time.monotonic()
    clock.advance(75 * 3600)
    assert time.monotonic() - started < 1
    assert dt.datetime.now(dt.UTC).isoformat().startswith("2026-01-04T03:00:00")
    assert time.time() == pytest.approx(clock.now(), abs=1)


def test_what_becomes_due_runs_in_order_and_at_its_moment(clock: VirtualClock) -> None:
    start, seen = clock.now(), []

    def sleeper(seconds: float) -> None:
        clock.sleep(seconds)
        seen.append((seconds, round(clock.now() - start)))

    for seconds in (300, 100, 200):
        clock.spawn(lambda seconds=seconds: sleeper(seconds), name="sleeper")
    clock.advance(250)
    assert seen == [(100, 100), (200, 200)]
    clock.settle(lambda: len(seen) == 3, limit_s=100)
    assert seen[-1] == (300, 300)


def test_time_stands_until_work_is_done(clock: VirtualClock) -> None:
    start, finished = clock.now(), []

    def busy() -> None:
        time.sleep(0.2)
        finished.append(clock.now() - start)

    clock.spawn(busy, name="busy")
    clock.advance(3600)
    assert finished[0] < 10


def test_what_becomes_due_while_others_work_runs_as_well(clock: VirtualClock) -> None:
    """Time ticks while a thread is busy, and may pass the moment of another that sleeps until then."""
    woken = []

    def sleeper(seconds: float, then_busy: float) -> None:
        clock.sleep(seconds)
        time.sleep(then_busy)
        woken.append(seconds)

    clock.spawn(lambda: sleeper(100, 0.1), name="first")
    clock.spawn(lambda: sleeper(100.05, 0), name="second")
    clock.advance(99)
    clock.settle(lambda: len(woken) == 2, limit_s=10)
    assert sorted(woken) == [100, 100.05]


def test_a_signal_wakes_a_waiter_before_its_time(clock: VirtualClock) -> None:
    signal, woken = Signal(), []
    clock.spawn(lambda: woken.append(clock.wait(signal, 3600)), name="waiter")
    clock.rest()
    signal.touch()
    clock.rest()
    assert woken == [True]


def test_a_timeout_is_told_from_a_signal(clock: VirtualClock) -> None:
    woken: list[bool] = []
    clock.spawn(lambda: woken.append(clock.wait(Signal(), 60)), name="waiter")
    clock.advance(61)
    assert woken == [False]


def test_nothing_due_is_an_error(clock: VirtualClock) -> None:
    with pytest.raises(Unsettled, match="nothing is due"):
        clock.settle(lambda: False, limit_s=10)


def test_a_limit_is_kept(clock: VirtualClock) -> None:
    clock.spawn(lambda: clock.sleep(100), name="sleeper")
    with pytest.raises(Unsettled, match="after 50 s"):
        clock.settle(lambda: False, limit_s=50)


def test_never_resting_is_an_error() -> None:
    release = threading.Event()
    with VirtualClock(patience_s=0.1) as clock:
        clock.spawn(lambda: release.wait(5), name="stuck")
        with pytest.raises(Unsettled, match="still 1 busy"):
            clock.rest()
        release.set()


@pytest.mark.parametrize("make", [Clock, VirtualClock])
def test_the_end_of_a_stack_cuts_sleeps_short(make: type[Clock]) -> None:
    with make() as clock:
        clock.spawn(lambda: clock.sleep(3600), name="sleeper")
        started = time.monotonic()
        assert clock.end_threads(patience_s=5)
        assert time.monotonic() - started < 2


def test_a_signal_counts_a_set_that_was_cleared() -> None:
    signal = Signal()
    woken: list[bool] = []
    waiter = threading.Thread(target=lambda: woken.append(signal.wait(5)))
    waiter.start()
    while not signal._condition._waiters:  # type: ignore[attr-defined]
        time.sleep(0.001)
    signal.set()
    signal.clear()
    waiter.join()
    assert woken == [True]
