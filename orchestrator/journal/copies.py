"""Copies of the journal beside it, one a day: what to go back to when the file itself is lost."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from datetime import date
from pathlib import Path

log = logging.getLogger(__name__)

KEPT = 3
ROOM_BYTES = 64 << 20  #: of the disk that stay free: a copy must not be what fills it


class JournalCopies:
    """Of the journal at `path`. A copy is a whole SQLite file. All methods block their thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Path]:
        """The newest first."""
        with contextlib.suppress(OSError):
            found = (p for p in self._path.parent.glob(f"{self._path.name}.copy-*") if p.suffix != ".part")
            return sorted(found, reverse=True)
        return []

    def make(self, today: date) -> None:
        """Today's copy if there is none; of the older ones the newest stay. Nothing waits for it: the journal
        can be written meanwhile.

        Raises:
            OSError, sqlite3.Error
        """
        copy = self._path.with_name(f"{self._path.name}.copy-{today.isoformat()}")
        if copy.exists():
            return
        if shutil.disk_usage(copy.parent).free < 2 * self._path.stat().st_size + ROOM_BYTES:
            log.warning("There is no room for today's copy of the journal %s", self._path)
            return
        part = copy.with_name(f"{copy.name}.part")
        part.unlink(missing_ok=True)
        try:
            source = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(source):
                source.execute("VACUUM INTO ?", (str(part),))
            part.replace(copy)
        finally:
            part.unlink(missing_ok=True)
        for old in self.all()[KEPT:]:
            old.unlink(missing_ok=True)
