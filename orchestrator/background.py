"""Work that goes on beside what started it, and ends with its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundTasks:
    """Tasks that nobody awaits. The loop itself would forget them; here they are kept until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=f"remote-dispatch {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settled(self) -> None:
        """Wait for the end of those that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Cancel them, and wait until each has ended."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.settled()


async def even_if_cancelled(work: Coroutine[Any, Any, object]) -> None:
    """Finish `work` although the caller is being cancelled; then let the cancellation go on."""
    task = asyncio.create_task(work, name="remote-dispatch last work")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
