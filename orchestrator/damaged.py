"""What is done with a file of ours that turned out to be damaged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path


def move_aside(path: Path, *, companions: Sequence[str] = ()) -> Path:
    """Rename the file to ``<name>.damaged-<time>``, so that a new one can be begun and nothing is lost.

    ``companions`` are endings of files that belong to it ("-wal"); they follow under the new name, where a
    repair tool looks for them. Returns the new path.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for ending in ("", *companions):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.replace(aside.with_name(aside.name + ending))
    return aside
