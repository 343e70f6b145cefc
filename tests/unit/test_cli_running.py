"""Where a running stack leaves its address: one stack's place, until it is gone."""

import os
from dataclasses import replace
from pathlib import Path

from local.cli.running import RunningStack

STACK = RunningStack(
    "http://127.0.0.1:1", "token", "http://127.0.0.1:2", "http://127.0.0.1:3", {}, os.getpid()
)


def test_a_second_stack_leaves_the_first_one_s_address(tmp_path: Path) -> None:
    first = replace(STACK, pid=os.getppid())
    assert first.write(tmp_path)
    assert not STACK.write(tmp_path)
    STACK.remove(tmp_path)
    assert RunningStack.read(tmp_path) == first


def test_the_address_of_a_stack_that_is_gone_is_replaced(tmp_path: Path) -> None:
    gone = replace(STACK, pid=2**22 + 1)  # above the highest process id of Linux
    assert gone.write(tmp_path)
    assert STACK.write(tmp_path)
    assert RunningStack.read(tmp_path) == STACK
    STACK.remove(tmp_path)
    assert RunningStack.read(tmp_path) is None
