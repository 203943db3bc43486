"""A request that is sent again, because its answer was lost or a button was pressed twice, is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from ..core.models.job import Job, JobRequest
from ..errors import ConfigError


class RequestJournal(Protocol):
    async def load_jobs_of(self, request_id: str) -> tuple[Job, ...]: ...


class IdempotencyKeys:
    """Belongs to one event loop. An id counts as long as the journal keeps its jobs."""

    def __init__(self, journal: RequestJournal) -> None:
        self._journal = journal
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def __call__(self, request_id: str) -> AsyncIterator[tuple[Job, ...]]:
        """The jobs that this id made before, in their order; () when the block is to make them.

        Who comes with the same id meanwhile waits for the end of the block. "" is nobody's id.
        """
        if not request_id:
            yield ()
            return
        lock = self._busy.setdefault(request_id, asyncio.Lock())
        async with lock:
            yield await self._journal.load_jobs_of(request_id)


def refuse_another(earlier: Sequence[Job], requests: Sequence[JobRequest]) -> None:
    """One id for two questions is a mistake of the sender, who would otherwise miss the second one.

    Raises:
        ConfigError: the jobs were made by another request.
    """
    asked, made = requests[0], earlier[0].request
    if len(earlier) != len(requests) or (asked.prompt, asked.workflow) != (made.prompt, made.workflow):
        raise ConfigError(
            f"The request id {asked.request_id!r} was used for something else before: job {earlier[0].id}. "
            "Give each request an id of its own."
        )
