"""The guard that keeps tests on this machine."""

import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "169.254.169.254", "example.com"])
def test_a_test_cannot_leave_the_machine(host: str) -> None:
    with pytest.raises(BaseException, match=f"wanted to reach {host}"):
        socket.create_connection((host, 80), timeout=0.2)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()
