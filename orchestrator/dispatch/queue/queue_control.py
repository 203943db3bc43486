"""What a person does with the jobs that wait: hold them back, reorder them, choose another peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...backends.manager import BackendManager
from ...core.models.backend import LOCAL_PEER_NAME, BackendConfig
from ...core.models.job import Job, JobRequest, JobState
from ...errors import ConfigError, NotFoundError
from ..interfaces import Journal
from .job_queue import JobQueue
from .queued_job import QueuedJob, rank_of
from .registry import JobRegistry, LiveJob


class QueueControl:
    """What a person decides here is in the journal when it is said to be done."""

    def __init__(
        self, manager: BackendManager, registry: JobRegistry, queue: JobQueue, journal: Journal
    ) -> None:
        self._journal = journal
        self._manager = manager
        self._registry = registry
        self._queue = queue

    @property
    def paused(self) -> bool:
        """Whether jobs are held back; what is on a peer goes on."""
        return self._queue.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._queue.paused = paused

    @property
    def rest_s(self) -> float | None:
        """See Scheduler.rest_s. Those on hold do not count; while none is started nobody can tell."""
        is_stopped = self._queue.paused or self._queue.held
        return None if is_stopped else self._queue.fleet.rest_s(self._queue.waiting)

    def jobs(self) -> tuple[Job, ...]:
        """The jobs in the queue, the next first."""
        by_queued = {live.queued: live.job for live in self._registry}
        return tuple(by_queued[queued] for queued in self._queue.line() if queued in by_queued)

    async def move(self, job_ids: Sequence[str], before: str = "") -> None:
        """Put waiting jobs, in this order, before another waiting one, or to the end of the queue.

        Raises:
            NotFoundError: one of them does not wait. StoreError: it will not outlive a restart.
        """
        self.check_move(job_ids, before)
        behind = self._registry.get(before).queued if before else None
        moved = [self._registry.get(job_id) for job_id in job_ids]
        self._queue.move([live.queued for live in moved], behind)
        for live in moved:
            self._registry.announce(live)  # so that every page reads the queue again
        places = {known.queued: known.job.id for known in self._registry}
        line = [queued for queued in self._queue.line() if queued in places]
        await self._journal.save_places({places[queued]: rank_of(queued) for queued in line})

    def check_move(self, job_ids: Sequence[str], before: str = "") -> None:
        """
        Raises:
            NotFoundError: one of them does not wait.
        """
        waiting = {job.id for job in self.jobs()}
        for wanted in filter(None, (*job_ids, before)):
            if wanted not in waiting:
                known = self._registry.find(wanted)
                label = known.job.label if known else wanted
                raise NotFoundError(f"The job {label} has no place in the queue: {self._whereabouts(known)}.")

    async def pin(self, job_id: str, peer: str) -> Job:
        """Let a job that no peer has begun run on one peer only, or on any again. It is called off on its way
        to another one, or taken back from there.

        Raises:
            NotFoundError: it is too late. ConfigError: there is no such peer, or it cannot run the job.
            StoreError: see ``move``. PeerError: the peer that has it cannot be asked.
        """
        live = self._registry.get(job_id)
        queued, wanted = live.queued, self._manager.find(peer) if peer else None
        if peer and wanted is None:
            raise ConfigError(f"There is no peer {peer}.")
        is_placed = self._queue.fleet.has(queued)
        is_elsewhere = wanted is not None and is_placed and queued.backend_id != wanted.id
        if wanted is not None and not live.job.state.is_final and (is_elsewhere or not is_placed):
            await self._check(live, wanted)
        is_free = wanted is None or await self._got_back(queued, wanted.id)
        if live.job.state.is_final or not is_free or live.recalled:
            raise NotFoundError(
                f"The job {live.job.label} cannot be given a peer now: {self._whereabouts(live)}."
            )
        if wanted is not None and peer != wanted.id:
            peer = wanted.name  # in its own letters
        queued.request = replace(queued.request, peer=peer)
        return await self._save(live)

    async def hold(self, job_id: str, held: bool) -> Job:
        """Keep a job that no peer has begun from being started, or let it go. It keeps its place.

        Raises:
            NotFoundError: it is too late. StoreError: see ``move``. PeerError: see ``pin``.
        """
        live = self._registry.get(job_id)
        if held:
            await self._get_back(live, "held")
        live.queued.request = replace(live.queued.request, held=held)
        return await self._save(live)

    async def edit(self, job_id: str, change: Callable[[JobRequest], JobRequest]) -> Job:
        """Let a job that no peer has begun do something else, in its place.

        Raises:
            NotFoundError: it is too late. StoreError: see ``move``. PeerError: see ``pin``.
        """
        live = self._registry.get(job_id)
        await self._get_back(live, "edited")
        live.renew(change(live.queued.request))
        await self._save(live)
        if live.job.attempts:  # those that the request says are of the old graph
            await self._journal.save_job(live.job)
        return live.job

    async def _save(self, live: LiveJob) -> Job:
        self._registry.update(live, request=live.queued.request)
        self._queue.reconsider(live.queued)
        await self._journal.save_request(live.job)
        return live.job

    async def _get_back(self, live: LiveJob, what: str) -> None:
        is_back = not live.job.state.is_final and await self._got_back(live.queued, "")
        if not is_back or live.job.state.is_final or live.recalled:
            raise NotFoundError(f"The job {live.job.label} cannot be {what} now: {self._whereabouts(live)}.")

    async def _check(self, live: LiveJob, wanted: BackendConfig) -> None:
        """Given to a peer that cannot run it, a job would fail.

        Raises:
            ConfigError
        """
        if reason := await self._queue.objection(live.queued, wanted.id):
            raise ConfigError(
                f"{wanted.name} cannot run the job {live.job.label}: {reason}. It stays as it is. "
                "Choose another peer."
            )

    async def _got_back(self, queued: QueuedJob, wanted_id: str) -> bool:
        """Get it back from any other peer; False when it was too late."""
        fleet = self._queue.fleet
        while fleet.has(queued) and queued.backend_id != wanted_id:
            hold = queued.hold
            if hold.call_off():
                break
            if not await hold.take_back():
                return False
            if queued.hold is hold:
                break  # else somebody else took it back, and it is on the next peer by now
        return True

    def _whereabouts(self, live: LiveJob | None) -> str:
        """Why a person's wish for it came too late."""
        if live is None:
            return "there is no such job"
        if live.job.state.is_final:
            return "it has ended"
        if not self._queue.fleet.has(live.queued):
            return "it is between two tries; wait a moment"
        config = self._manager.find(live.queued.backend_id)
        name = config.name if config else LOCAL_PEER_NAME
        if live.job.begun_at is not None:
            return f"{name} has begun it"
        is_sent = live.job.state is JobState.RUNNING
        return f"{name} has it already" if is_sent else f"it is on its way to {name}"
