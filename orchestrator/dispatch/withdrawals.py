"""Copies of jobs that nobody waits for any more, on peers that could not be told so at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from .remote_prompt import RemotePrompt

log = logging.getLogger(__name__)


class Withdrawals:
    """Tells each such peer as soon as it answers again, so that it does not work for nothing."""

    def __init__(self, *, pause_s: float, give_up_after_s: float) -> None:
        self._pause_s = pause_s
        self._give_up_after_s = give_up_after_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def add(self, remote: RemotePrompt) -> None:
        self._begin(self._tell(remote), f"remote-dispatch withdraw {remote.prompt_id}")

    def watch(self, remote: RemotePrompt) -> None:
        """Of one that was cancelled, until it has ended there: it could queue itself again till then."""
        self._begin(self._see(remote), f"remote-dispatch see the end of {remote.prompt_id}")

    async def _see(self, remote: RemotePrompt) -> None:
        try:
            await asyncio.wait_for(remote.see_it_end(), self._give_up_after_s)
        except asyncio.TimeoutError:
            log.warning("%s still runs %s, although it was stopped", remote.peer, remote.prompt_id)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        self._closing = True  # wait_for of Python 3.11 may swallow a cancellation
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, remote: RemotePrompt) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + self._give_up_after_s
        while not await remote.cancel():
            if self._closing:
                return
            if clock() > end:
                log.warning("%s may still run %s, which nobody waits for", remote.peer, remote.prompt_id)
                return
            await asyncio.sleep(self._pause_s)
