"""Jobs on their way into the journal: many in one transaction, and a full disk is waited out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..core.models.job import Job, Rank
from ..errors import OrchestratorError, StoreError
from ..signals import Signal
from .job_rows import BATCH

log = logging.getLogger(__name__)

RETRY_S = 2.0

Write = Callable[[Sequence[Job], Mapping[str, Rank]], Awaitable[None]]


@dataclass(eq=False)
class _Unsaved:
    """Jobs that are written all or none. ``is_known``: accepted before, so they wait for the disk."""

    jobs: Sequence[Job]
    places: Mapping[str, Rank]
    is_known: bool
    saved: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class JobWriter:
    """`write` puts jobs and places into the journal in one transaction. Belongs to one event loop.

    What happens to an accepted job is kept whatever it takes: while the journal cannot be written it waits,
    is tried again, and ``trouble`` says so. A job that is new is refused then.
    """

    def __init__(self, write: Write, retry_s: float = RETRY_S) -> None:
        self._write = write
        self._retry_s = retry_s
        self._unsaved: list[_Unsaved] = []
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.trouble = ""  #: why accepted jobs wait to be written, in sentences; "" when they do not
        self.troubled = Signal[[str]]("the journal's trouble")

    async def save(self, job: Job) -> None:
        """Write what became of an accepted job; on disk when this returns.

        Raises:
            StoreError: this job can never be written. CancelledError: see ``hurry``.
        """
        await self._saved(_Unsaved((job,), {}, is_known=True))

    async def accept(self, jobs: Sequence[Job], places: Mapping[str, Rank]) -> None:
        """Write new jobs, all or none.

        Raises:
            StoreError: they are not in the journal.
        """
        if self.trouble:
            raise StoreError(f"Remote Dispatch takes no new jobs for now. {self.trouble}", may_pass=True)
        await self._saved(_Unsaved(jobs, places, is_known=False))

    def hurry(self) -> None:
        """This process ends. What waits for the disk gets a last try, and those who wait for it are cancelled
        when that fails: the next process goes by what the journal knew before."""
        self._hurry.set()

    async def aclose(self) -> None:
        self.hurry()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _saved(self, unsaved: _Unsaved) -> None:
        self._unsaved.append(unsaved)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all(), name="remote-dispatch journal")
        await unsaved.saved

    async def _write_all(self) -> None:
        """All that came while the disk was busy goes to it together: one wait for many."""
        while self._unsaved:
            batch = self._next_batch()
            failure = await self._try(batch)
            if failure is not None and not failure.may_pass and len(batch) > 1:
                await self._each(batch)  # one job that cannot be written does not keep the others from it
            elif failure is not None:
                await self._refused(batch, failure)
            else:
                self._told("")

    def _next_batch(self) -> list[_Unsaved]:
        batch: list[_Unsaved] = []
        while self._unsaved and sum(len(one.jobs) for one in batch) < BATCH:
            batch.append(self._unsaved.pop(0))
        return batch

    async def _each(self, batch: Sequence[_Unsaved]) -> None:
        for number, one in enumerate(batch):
            failure = await self._try([one])
            if failure is not None and failure.may_pass:
                await self._refused(batch[number:], failure)
                return
            if failure is not None:
                await self._refused([one], failure)

    async def _try(self, batch: Sequence[_Unsaved]) -> StoreError | None:
        """Why it could not be written, if so."""
        places = {job_id: place for one in batch for job_id, place in one.places.items()}
        try:
            await self._write([job for one in batch for job in one.jobs], places)
        except StoreError as exc:
            return exc
        except OrchestratorError as exc:
            return StoreError(str(exc))
        for one in batch:
            if not one.saved.done():  # else its waiter was cancelled
                one.saved.set_result(None)
        return None

    async def _refused(self, batch: Sequence[_Unsaved], failure: StoreError) -> None:
        """Known jobs stay in front of all others until they are written; the others are told."""
        waiting = [one for one in batch if one.is_known and failure.may_pass]
        for one in batch:
            if one not in waiting and not one.saved.done():
                one.saved.set_exception(failure)
        if self._hurry.is_set():
            for one in waiting:
                one.saved.cancel()
            return
        self._unsaved[:0] = waiting
        if waiting:
            self._told(
                f"{failure} Until then no job is begun and none is taken; those in the queue wait, and go on "
                "by themselves."
            )
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._retry_s)

    def _told(self, trouble: str) -> None:
        if bool(trouble) == bool(self.trouble):
            return
        self.trouble = trouble
        if trouble:
            log.error("%s", trouble)
        else:
            log.warning("The journal can be written again; jobs go on")
        self.troubled.tell(trouble)
