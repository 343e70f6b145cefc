"""Where a running `countersign up` says how to reach it: `.local/stack.json` and `.local/token`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

FOLDER = Path(__file__).resolve().parent.parent.parent / ".local"
"""In the project's folder, whatever folder a command is called from."""
_STACK, _TOKEN = "stack.json", "token"


@dataclass(frozen=True)
class SourceAccess:
    """What it takes to send as a source: the name of its signature scheme, and its secret."""

    scheme: str
    secret: str


@dataclass(frozen=True)
class RunningStack:
    """How to reach a stack that runs. `pid` is the process that wrote this."""

    url: str
    token: str
    aws_endpoint: str
    outbox: str
    sources: dict[str, SourceAccess]
    pid: int

    def write(self, folder: Path = FOLDER) -> bool:
        """Leave it for other commands; nobody but the user may read it.

        False, and nothing written, where another stack runs here.
        """
        other = self.read(folder)
        if other is not None and other.pid != self.pid and _is_alive(other.pid):
            return False
        folder.mkdir(mode=0o700, exist_ok=True)
        _write_private(folder / _TOKEN, self.token + "\n")
        _write_private(folder / _STACK, json.dumps(asdict(self), indent=2) + "\n")
        return True

    def remove(self, folder: Path = FOLDER) -> None:
        """Take it away, unless another stack has put its own there since."""
        written = self.read(folder)
        if written is not None and written.pid == self.pid:
            (folder / _STACK).unlink(missing_ok=True)
            (folder / _TOKEN).unlink(missing_ok=True)

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Self | None:
        """The stack that runs here, as far as the files say; None where there is none."""
        try:
            written = json.loads((folder / _STACK).read_text(encoding="utf-8"))
            sources = {name: SourceAccess(**access) for name, access in written.pop("sources").items()}
            return cls(**written, sources=sources)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others in between."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
