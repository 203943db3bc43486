"""How many changes the journal has had, kept beside it: a start can then tell whether the last are gone.

The journal has the same number in itself. SQLite keeps what was written last in a file of its own (``-wal``):
when that is cut short, damaged or removed, it goes on with an older state and says nothing.
"""

from __future__ import annotations

import contextlib
import os
from io import FileIO
from pathlib import Path

_DIGITS = 20


class JournalCount:
    """A small file. It is written after each change and never waited for, so it may know fewer changes than
    there were, never more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def read(self) -> int:
        """0 where nothing is known."""
        with contextlib.suppress(OSError, ValueError):
            return int(self._path.read_bytes()[:_DIGITS])
        return 0

    def write(self, changes: int) -> None:
        """Nothing depends on it but a notice: a disk that is full must not keep a job from going on."""
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = FileIO(self._path, "r+" if self._path.exists() else "w+")
            text = b"%0*d\n" % (_DIGITS, changes)
            if hasattr(os, "pwrite"):  # one call: after each, the thread waits for its turn
                os.pwrite(self._file.fileno(), text, 0)
            else:
                self._file.seek(0)
                self._file.write(text)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
