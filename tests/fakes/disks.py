"""A small disk of its own, which a test can fill and clear again."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_BLOCK = 4096


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Not a byte more can be written."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(_BLOCK)):
                    pass
            except OSError as exc:
                assert exc.errno == errno.ENOSPC

    def clear(self) -> None:
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """As ``mounted_disk``. The test is skipped where none can be made."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(mounted_disk(folder, size))
        except OSError as exc:
            pytest.skip(str(exc))
        yield disk


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A disk of this size ("32k") in this place.

    Raises:
        OSError: none can be made here.
    """
    if sys.platform != "linux":
        raise OSError("a small disk is made with Linux's tmpfs")
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if made.returncode:
        raise OSError(f"mounting takes rights that we do not have: {made.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
