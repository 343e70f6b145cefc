"""Who goes first on the one interpreter of the local stack."""

import threading
from contextlib import AbstractContextManager, ExitStack

from local.lanes import Lanes


def begin(lane: AbstractContextManager[None], stack: ExitStack) -> bool:
    """Whether a call gets in at once; it stays there until `stack` is closed."""
    entered, leave = threading.Event(), threading.Event()

    def call() -> None:
        with lane:
            entered.set()
            leave.wait()

    thread = threading.Thread(target=call)
    thread.start()
    stack.callback(thread.join)
    stack.callback(leave.set)
    return entered.wait(0.2)


def test_the_slow_lane_takes_as_many_as_it_is_wide() -> None:
    lanes = Lanes(width=2, beside=1)
    with ExitStack() as others:
        with ExitStack() as first:
            assert begin(lanes.slow(), first)
            assert begin(lanes.slow(), others)
            third = ExitStack()
            assert not begin(lanes.slow(), third)
        third.close()  # it has got the room that the first left


def test_the_slow_lane_narrows_while_somebody_waits_for_an_answer() -> None:
    lanes = Lanes(width=3, beside=1)
    with ExitStack() as calls:
        with ExitStack() as request:
            assert begin(lanes.fast(), request)
            assert begin(lanes.fast(), request)
            assert begin(lanes.slow(), calls)
            held_back = ExitStack()
            assert not begin(lanes.slow(), held_back)
        held_back.close()  # goes on, now that nobody waits
        assert begin(lanes.slow(), calls)
