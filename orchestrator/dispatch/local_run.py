"""Jobs that the master itself runs, beside its peers."""

from __future__ import annotations

from ..clock import utc_now
from ..core.engine.placement.plan import Placement
from ..core.models.backend import LOCAL_PEER_ID, LOCAL_PEER_NAME
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
        registry: JobRegistry,
        queue: JobQueue,
        journal: Journal,
        observer: RunObserver,
    ) -> None:
        self._local = local
        self._registry = registry
        self._queue = queue
        self._journal = journal
        self._observer = observer

    async def run(self, live: LiveJob, placement: Placement) -> AttemptResult:
        """Run a job that was placed here.

        Raises:
            PromptRefusedError: this computer cannot run it.
            PeerExecutionError, JobCancelledError: how it ended.
        """
        now = utc_now()
        job = live.job.to(
            JobState.RUNNING,
            backend_id=LOCAL_PEER_ID,
            attempts=(*live.job.attempts, Attempt(live.job.id, LOCAL_PEER_ID, now, begun_at=now)),
            explanation=placement.explanation,
            expected_s=placement.takes_s,
            progress_text=f"on {LOCAL_PEER_NAME}",
            started_at=live.job.started_at or now,
        )
        await self._journal.save_job(job)
        self._queue.begun(live.queued)
        live.job = job
        self._registry.announce(live)
        ran = await self._local.run(job)
        self._observer.note_here(live.queued, ran.cached)
        return ran.result
