"""The documents in a folder, as knowledge is given them."""

from pathlib import Path

SIDECAR = ".metadata.json"
"""Ends the name of a file that says something of a document beside it, and is none itself."""


class KnowledgeMissing(ValueError):
    """There is no such folder of documents, or nothing in it."""


def documents(folder: Path) -> list[tuple[str, Path]]:
    """The documents below a folder with their names, hidden files left out. Raises KnowledgeMissing."""
    if folder.is_file():
        return [(folder.name, folder)]
    if not folder.is_dir():
        raise KnowledgeMissing(f"there is no folder {folder}")
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(SIDECAR))
    named = [(path.relative_to(folder).as_posix(), path) for path in found]
    named = [
        (name, path) for name, path in named if not any(part.startswith(".") for part in name.split("/"))
    ]
    if not named:
        raise KnowledgeMissing(f"there are no documents in {folder}")
    return named
