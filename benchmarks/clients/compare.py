"""What one client got in one run, and how two such runs differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

NOTES = "notes.json"
SHOWN = 4  #: differences told of one run


@dataclass(frozen=True)
class Outcome:
    """`files`: name with its numbers left out, and a hash of the pixels (of the bytes, if no picture)."""

    exit_code: int
    files: tuple[tuple[str, str], ...]
    notes: tuple[Any, ...]
    output: str

    @property
    def summary(self) -> str:
        return f"exit {self.exit_code}, {len(self.files)} files, {len(self.notes)} notes"


def read(folder: Path, exit_code: int, output: str) -> Outcome:
    """What a driver left in `folder`."""
    notes = folder / NOTES
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != notes)
    return Outcome(
        exit_code,
        tuple(sorted((re.sub(r"\d+", "#", path.name), _content(path)) for path in files)),
        tuple(json.loads(notes.read_text("utf-8"))) if notes.is_file() else (),
        output,
    )


def differences(plain: Outcome, fleet: Outcome) -> list[str]:
    """Sentences; empty when the client could not tell one from the other."""
    found = list(_differences(plain, fleet))
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return found[:SHOWN] + more


def _differences(plain: Outcome, fleet: Outcome) -> Iterator[str]:
    if plain.exit_code and not plain.notes:
        yield f"it does not work against a plain ComfyUI either: {plain.output.strip()[-300:]}"
    if plain.exit_code != fleet.exit_code:
        yield f"exit code {fleet.exit_code}, plain {plain.exit_code}: {fleet.output.strip()[-300:]}"
    if plain.files != fleet.files:
        missing = [name for name, _ in set(plain.files) - set(fleet.files)]
        added = [name for name, _ in set(fleet.files) - set(plain.files)]
        yield f"files: {len(fleet.files)}, plain {len(plain.files)}; only plain {missing}, only fleet {added}"
    for place, (ours, theirs) in enumerate(zip_longest(fleet.notes, plain.notes)):
        if ours != theirs:
            yield f"note {place}: {json.dumps(ours)[:200]}, plain {json.dumps(theirs)[:200]}"


def _content(path: Path) -> str:
    try:
        with Image.open(path) as picture:
            body = f"{picture.mode} {picture.size}".encode() + picture.tobytes()
    except (UnidentifiedImageError, OSError):
        body = path.read_bytes()
    return hashlib.sha256(body).hexdigest()[:16]
