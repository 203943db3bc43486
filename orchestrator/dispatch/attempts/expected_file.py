"""A result file on its way from its peer, until it has its name here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ...backends.downloads import Partial
from ...backends.transfer import in_thread
from ...core.models.job import RemoteFile
from ...errors import ResultError, ResultGoneError
from .contents import check_contents
from .result_names import safe_name

READ_EARLY_BYTES = 64 << 20  #: a larger file is given once it is in its place
NAME_SHOWN = 80  #: characters of a peer's name in a sentence


@dataclass(eq=False)
class ExpectedFile:
    """``part``: where it is until then. ``is_early``: its download was begun while its prompt still ran, and
    its node may have written more since, so it is asked for once more by ``last_look``. ``is_frame``: it came
    over the websocket, and cannot come again; ``frame`` holds it until it is on disk."""

    file: RemoteFile
    part: Path
    is_early: bool
    is_frame: bool
    frame: bytes | None = None
    so_far: Partial = field(default_factory=Partial)
    last_look: asyncio.Task[None] | None = None
    task: asyncio.Task[None] = field(init=False)

    async def settled(self) -> None:
        """Wait until it is here, or its download has failed."""
        await asyncio.wait([self.last_look or self.task])

    @property
    def is_here(self) -> bool:
        """Once it is settled: whether it came whole."""
        ended = [task for task in (self.task, self.last_look) if task and task.done()]
        return not any(task.cancelled() or task.exception() for task in ended)

    async def store(self, data: bytes) -> None:
        await in_thread(partial(_write, self.part, data))
        self.so_far.size, self.frame = len(data), None

    def fault(self) -> ResultError | None:
        """What is wrong with it, once it is here; ResultGoneError where somebody has removed it since, or
        cleared its folder. Blocks its thread."""
        name, _shown = self.file.filename, self.file.filename[:NAME_SHOWN]
        try:
            if not self._is_whole():
                again = "is sent only once" if self.is_frame else "could not be fetched again"
                return ResultGoneError(
                    f"{name[:NAME_SHOWN]} was removed here while the job ran, and {again}."
                )
            check_contents(self.part, safe_name(name).rpartition(".")[2], name[:NAME_SHOWN])
        except ResultError as exc:
            return exc
        return None

    def sound_bytes(self) -> bytes | None:
        """What it holds, where nothing is wrong with it and it is not very large. Blocks its thread."""
        is_small = self.so_far.size <= READ_EARLY_BYTES
        return self.part.read_bytes() if is_small and self.fault() is None else None

    def _is_whole(self) -> bool:
        try:
            return self.part.stat().st_size == self.so_far.size
        except OSError:
            return False


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
