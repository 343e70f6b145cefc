"""What every test relies on: no way out of this machine, and made-up AWS credentials.

And what the long proofs are asked for and say: how much they swept, and what was lost or done twice.
"""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before anything imports boto3: no test may find the credentials of the machine it runs on.
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)

LOOPBACK = ("127.", "::1", "localhost")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cases(kind): one test for each line of {kind}.jsonl in --cases")


class NetworkUsed(BaseException):
    """A test tried to leave the machine. Not an Exception, so that no code under test can swallow it."""


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """Refuse every connection and name look-up that is not for this machine."""
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(host: Any) -> None:
        text = host.decode() if isinstance(host, bytes) else str(host or "localhost")
        if not text.startswith(LOOPBACK):
            raise NetworkUsed(f"a test wanted to reach {text}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            check(address[0])
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if self.family != socket.AF_UNIX:
            check(address[0])
        return connect_ex(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        yield


PROOF = "proof"
PROOFS = Path(__file__).parents[1] / "docs" / "proofs.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cases", metavar="DIR", help="a folder of cases (.jsonl) for tests/cases, which are skipped without"
    )
    group = parser.getgroup("proofs")
    group.addoption("--crash-all", action="store_true", help="strike every call with every kind of fault")
    group.addoption("--crash-pairs", type=int, default=6, help="runs of the crash sweep with two faults")
    group.addoption("--crash-seed", type=int, default=1, help="draws the pairs of the crash sweep")
    group.addoption("--promises-examples", type=int, default=0, help="histories that are played, at random")
    group.addoption("--record-proofs", action="store_true", help="write what was proved to docs/proofs.json")


LONGER = {"--crash-all": False, "--crash-pairs": 6, "--promises-examples": 0}
"""The options that make a proof longer, with what they are by themselves."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A proof that was asked to be longer may take as long as it takes."""
    if any(config.getoption(option) != usual for option, usual in LONGER.items()):
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line for each proof, whichever process ran it; `--record-proofs` keeps the figures."""
    found: dict[str, dict[str, int]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == PROOF:
                proof, figures = value
                total = found.setdefault(proof, {})
                for key, count in figures.items():
                    # A sweep is made in parts, over the same calls.
                    total[key] = (
                        max(total.get(key, 0), count) if key == "calls" else total.get(key, 0) + count
                    )
    for proof, total in sorted(found.items()):
        figures = ", ".join(f"{name} {count}" for name, count in total.items())
        terminalreporter.write_line(f"{proof.replace('_', ' ')}: {figures}")
    if found and config.getoption("--record-proofs"):
        kept = json.loads(PROOFS.read_text()) if PROOFS.is_file() else {}
        PROOFS.write_text(json.dumps({**kept, **found}, indent=2) + "\n")
