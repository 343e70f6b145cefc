"""The README's walk-through, run as a reader would: a shell, curl, openssl, and a listener of their own."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli.running import RunningStack, SourceAccess
from local.offline import OfflineApp
from local.server import Server, gateway_app

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "curl", "openssl", "python3", "od", "base64")
PORT = "9000"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RunningStack]:
    """What `make up` leaves in the folder that the reader works in."""
    app = OfflineApp(knowledge=ROOT / "knowledge")
    with app, Server(gateway_app(lambda: app.stack.gateway), port=0) as api:
        running = RunningStack(
            url=api.url,
            token=app.token,
            aws_endpoint="",
            outbox=app.outbox.url,
            sources={name: SourceAccess("", secret) for name, secret in app.sources.items()},
            pid=0,
        )
        running.write(tmp_path / ".local")
        yield running


def walk_through() -> str:
    """The snippets of "Try it by hand" as one script, without `make up`."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## Try it by hand")[2].partition("\n## ")[0]
    snippets = re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return "\n".join(snippet for snippet in snippets if "make up" not in snippet)


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="needs a reader's tools")
def test_a_reader_opens_reads_decides_and_receives(served: RunningStack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = str(probe.getsockname()[1])
    script = walk_through()
    assert script.count(PORT) == 2
    end = """
for _ in $(seq 60); do
    curl -s "$URL/cases/$CASE" -H "Authorization: Bearer $TOKEN" > case.json
    grep -q delivered case.json && break
    sleep 0.5
done
kill $!
"""
    (tmp_path / "walk.sh").write_text(script.replace(PORT, free) + end)
    done = subprocess.run(
        ["bash", "-eu", "walk.sh"], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "case.json").read_text())["status"] == "delivered"
    assert re.search(r'v1,\S{44} \{"data":\{.*"type":"case.replied"\}', done.stdout)
    assert "75 hours" in done.stdout
