"""The command `countersign`: runs the offline stack, and talks to one that runs."""

from local.cli.main import main

__all__ = ["main"]
