"""What a client handed to its user, written where it is compared. For the drivers beside this file."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any


class Notes:
    """A list of remarks in order, and files, in one folder; written at the end of the ``with`` block."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._notes: list[list[Any]] = []

    def __enter__(self) -> Notes:
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / "notes.json").write_text(json.dumps(self._notes), encoding="utf-8")

    def note(self, *values: Any) -> None:
        """No ids, addresses, times or numbers of files: they differ from run to run."""
        self._notes.append(list(values))

    def keep(self, name: str, data: bytes) -> None:
        """A file that the client got. Of one name, all are kept."""
        path = self._folder / Path(name).name
        while path.exists():
            path = path.with_name(f"0{path.name}")
        path.write_bytes(data)


def get(url: str) -> Any:
    """GET, parsed; for clients that leave it to their user to fetch what they made."""
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)
