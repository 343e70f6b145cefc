"""Generated parts of documents: what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fill(document: Path, blocks: Mapping[str, str]) -> str:
    """The document's text with these blocks filled. Raises SystemExit for a block it does not have."""
    text = document.read_text(encoding="utf-8")
    for name, content in blocks.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise SystemExit(f"{document.relative_to(ROOT)} has no block {name}")
        pattern = re.compile(rf"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        filled = f"{begin}\n{content.strip()}\n{end}" if content.strip() else f"{begin}\n{end}"
        text = pattern.sub(lambda _, filled=filled: filled, text)
    return text


def write_or_check(documents: Mapping[Path, str], script: str) -> int:
    """Writes each text; with `--check` says which are stale instead. Returns the exit status."""
    stale = [path for path, text in documents.items() if path.read_text(encoding="utf-8") != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(documents[path], encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.relative_to(ROOT)} is stale: run {script}", file=sys.stderr)
    return int(bool(stale))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; bars in cells are escaped."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
