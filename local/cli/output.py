"""Where commands print: people read a console, programs one JSON document."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.theme import Theme

THEME = Theme(
    {
        "good": "green",
        "warn": "yellow",
        "bad": "bold red",
        "cite": "bold cyan",
        "quiet": "dim",
        "name": "bold",
    }
)
PIPE_WIDTH = 110
"""Columns where nobody says how wide the output is."""


def console(*, stderr: bool = False) -> Console:
    """Colours and live lines only at a terminal. Nothing printed is read as rich's markup."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    # The stream by itself: while a stack runs, what a function's thread writes to sys.stdout is its log.
    return Console(file=stream, theme=THEME, width=width, markup=False, emoji=False, highlight=False)


def print_json(document: Any) -> None:
    """One document, and nothing else, on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_json_line(document: Any) -> None:
    """The same on one line, at once: who waits for it reads a pipe."""
    print(json.dumps(document), flush=True)
