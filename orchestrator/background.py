"""Work that goes on beside what started it, and ends with its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
IN_PLACE_S = 0.01  #: the event loop is kept from everything else that long


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


async def done_for_each(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    in_place: bool,
    clock: Callable[[], float] = perf_counter,
) -> list[R]:
    """What `work` makes of each item, in their order. `in_place`: one of them takes a few milliseconds at
    most. Then it is done on the event loop until ``IN_PLACE_S`` are over, as a busy loop gives a thread its
    turn only every 5 ms (sys.getswitchinterval); what is left is done in a thread, in one turn."""
    made: list[R] = []
    end = clock() + IN_PLACE_S
    while in_place and len(made) < len(items) and clock() < end:
        made.append(work(items[len(made)]))
    left = items[len(made) :]
    return made + await asyncio.to_thread(lambda: [work(item) for item in left]) if left else made
