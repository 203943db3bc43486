"""Large files on their way: streamed, off the event loop, and ended when they stand still."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from ..errors import PeerTimeoutError

WINDOW_S = 30.0  #: how long a transfer may stand still
WINDOW_MIN_BYTES = 64 << 10  #: fewer in a window counts as standing still

T = TypeVar("T")


class ObservedFile(io.BufferedReader):
    """A file that knows how much of it was read."""

    moved_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self.moved_bytes += len(block)
        return block


def observed(path: Path) -> ObservedFile:
    return ObservedFile(io.FileIO(path))


async def at_a_pace(
    work: Coroutine[Any, Any, T], moved_bytes: Callable[[], int], base_url: str, window_s: float = WINDOW_S
) -> T:
    """The result of a transfer that has no time limit of its own.

    Raises:
        PeerTimeoutError: hardly a byte moved for `window_s`.
    """
    task = asyncio.create_task(work, name=f"remote-dispatch transfer {base_url}")
    before = 0
    try:
        while not task.done():
            await asyncio.wait([task], timeout=window_s)
            now = moved_bytes()
            if not task.done() and now - before < WINDOW_MIN_BYTES:
                raise PeerTimeoutError(
                    f"A file to or from {base_url} stood still. Is the machine busy or asleep?"
                )
            before = now
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread and leave only when it has ended, cancelled or not."""
    task = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
