"""The lock that gives the data folder to one process at a time."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_FAR = 1 << 30  #: where Windows locks a byte: what is written at the beginning stays readable


class OneProcess:
    """The system lets go of the lock when its process ends, however that happens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self, wait_s: float) -> bool:
        """Whether it is ours now. A process that is just ending gets `wait_s` for it. Blocks its thread.

        A file system without locks cannot tell; there the answer is yes.

        Raises:
            OSError: the file cannot be made.
        """
        tries = max(1, round(wait_s / LOOK_EVERY_S))
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for number in range(tries):
                if number:
                    threading.Event().wait(LOOK_EVERY_S)
                if _lock(file):
                    os.ftruncate(file, 0)
                    os.write(file, str(os.getpid()).encode())
                    self._file, file = file, -1
                    return True
            return False
        finally:
            if file >= 0:
                os.close(file)

    def holder(self) -> str:
        """The id of the process that has it; "" where that cannot be read."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = self._path.read_bytes()[:20].decode("ascii")
            return text if text.isdigit() else ""
        return ""

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _lock(file: int) -> bool:
    try:
        _lock_by_system()(file)
    except OSError as exc:
        if exc.errno in _TAKEN:
            return False
        log.warning("The file system has no locks (%s): start only one ComfyUI on this folder", exc.strerror)
    return True


def _lock_by_system() -> Callable[[int], None]:
    module: Any = importlib.import_module("msvcrt" if os.name == "nt" else "fcntl")

    def on_windows(file: int) -> None:
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            module.locking(file, module.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)

    def elsewhere(file: int) -> None:
        module.flock(file, module.LOCK_EX | module.LOCK_NB)

    return on_windows if os.name == "nt" else elsewhere
