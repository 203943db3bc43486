"""What commands print: text that cannot steer a terminal, tables, JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from typing import Any

from ..errors import WorkflowError


def prepare() -> None:
    """Not every terminal can show every character, and not every name is made of characters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def leave_quietly() -> None:
    """The reader of our output has seen enough (| head)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown(text: str) -> str:
    """In one line. A file's or a peer's text must not steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split("\n")))


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with columns; the first row is the heads."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def tell(text: str) -> None:
    """To the person, not into what is piped on."""
    for line in text.splitlines() or [""]:
        print(shown(line), file=sys.stderr, flush=True)


def as_json(value: Any) -> str:
    """
    Raises:
        WorkflowError: a number in it is none.
    """
    try:
        return json.dumps(value, indent=2, allow_nan=False)
    except ValueError as exc:
        raise WorkflowError(
            "A value of the file is no number (NaN or infinite); JSON cannot hold it."
        ) from exc
