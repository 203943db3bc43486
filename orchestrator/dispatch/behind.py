"""Jobs of nodes do not wait for the disk: they end with this process, whatever the journal says of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ..core.models.job import Job, Source
from ..errors import OrchestratorError
from .ports import Journal

log = logging.getLogger(__name__)

#: By then the prompt is with its peer, or the value with its node: the disk, and Python's one lock, are free.
PAUSE_S = 0.02


class Behind:
    """A journal for all jobs that writes those of nodes a moment after ``save_job`` has returned.

    What is written of them serves one purpose: the next start tells the peer of a prompt that a crash left
    there. A crash within the pause leaves it running to its end, and its result to nobody.
    """

    def __init__(self, journal: Journal, pause_s: float = PAUSE_S) -> None:
        self._journal = journal
        self._pause_s = pause_s
        self._unsaved: dict[str, Job] = {}
        self._saving: asyncio.Task[None] | None = None

    async def save_job(self, job: Job) -> None:
        """Write the job; on disk when this returns, unless it is a node's.

        Raises:
            StoreError: it cannot be written. For a node's job the log says so.
        """
        if job.request.source is not Source.NODE:
            await self._journal.save_job(job)
            return
        self._unsaved[job.id] = job
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_soon(), name="remote-dispatch journal of nodes")

    async def delivered(self, paths: Sequence[str]) -> frozenset[str]:
        return await self._journal.delivered(paths)

    async def aclose(self) -> None:
        """Write what is left."""
        if self._saving is not None:
            await self._saving

    async def _save_soon(self) -> None:
        while self._unsaved:
            await asyncio.sleep(self._pause_s)
            jobs, self._unsaved = tuple(self._unsaved.values()), {}
            await asyncio.gather(*map(self._save, jobs))

    async def _save(self, job: Job) -> None:
        try:
            await self._journal.save_job(job)
        except OrchestratorError as exc:
            log.error("Job %s could not be written down: %s", job.id, exc)
