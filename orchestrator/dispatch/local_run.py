"""Jobs that the master itself runs, beside its peers."""

from __future__ import annotations

from datetime import datetime, timezone

from ..core.engine.plan import Placement
from ..core.models.backend import LOCAL_PEER_ID
from ..core.models.job import Attempt, AttemptResult, JobState
from .interfaces import Journal
from .learning.run_observer import RunObserver
from .queue.job_queue import JobQueue
from .queue.local_peer import LocalPeer
from .queue.registry import JobRegistry, LiveJob


class LocalRun:
    def __init__(
        self,
        local: LocalPeer,
        register: JobRegistry,
        room: JobQueue,
        journal: Journal,
        experience: RunObserver,
    ) -> None:
        self._local = local
        self._register = register
        self._room = room
        self._journal = journal
        self._experience = experience

    async def run(self, entry: LiveJob, placement: Placement) -> AttemptResult:
        """Run a job that was placed here.

        Raises:
            PromptRefusedError: this machine cannot run it.
            PeerExecutionError, JobCancelledError: how it ended.
        """
        now = datetime.now(timezone.utc)
        job = entry.job.to(
            JobState.RUNNING,
            backend_id=LOCAL_PEER_ID,
            attempts=(*entry.job.attempts, Attempt(entry.job.id, LOCAL_PEER_ID, now, begun_at=now)),
            explanation=placement.explanation,
            expected_s=placement.takes_s,
            progress_text=f"on {LOCAL_PEER_ID}",
            started_at=entry.job.started_at or now,
        )
        await self._journal.save_job(job)
        self._room.begun(entry.ticket)
        entry.job = job
        self._register.announce(entry)
        ran = await self._local.run(job)
        self._experience.note_here(entry.ticket, ran.cached)
        return ran.result
