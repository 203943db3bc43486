"""Runs jobs: from request to end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..backends.manager import BackendManager
from ..backends.second_look import SecondLook
from ..background import even_if_cancelled
from ..clock import utc_now
from ..core.engine.faults.retry import RetryPolicy
from ..core.engine.placement.explain import Outlook
from ..core.engine.scheduler import Scheduler
from ..core.models.backend import BackendConfig, QueueState
from ..core.models.job import Job, JobRequest, JobState, Rank, Source
from ..core.models.job_error import error_view
from ..errors import (
    ConfigError,
    JobCancelledError,
    JobSetAsideError,
    OrchestratorError,
)
from .attempts.adoption import Adoption
from .attempts.attempt import AttemptContext
from .attempts.launch import Launch
from .attempts.recall import Recall
from .attempts.reporting import with_last
from .attempts.second_copy import SecondCopies
from .attempts.transport import Folders, Transport
from .attempts.withdrawals import Withdrawals
from .config import DispatchConfig
from .interfaces import Here, Journal, Monitor, Peers
from .learning.model_sizes import ModelSizes
from .learning.run_observer import RunObserver
from .local_run import LocalRun
from .queue.first_look import FirstLook
from .queue.job_queue import JobQueue
from .queue.local_peer import LocalPeer
from .queue.outage_hold import OutageHold
from .queue.prompt_variants import PromptVariants
from .queue.queue_control import QueueControl
from .queue.queued_job import QueuedJob
from .queue.registry import JobRegistry, Listener, LiveJob, ignore
from .recovery import Recovery
from .retry_loop import RetryLoop
from .sent_prompts import SentPrompts
from .silence_watch import SilenceWatch

log = logging.getLogger(__name__)


class Dispatcher:
    """Runs jobs on peers. All methods belong to one event loop."""

    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        monitor: Monitor,
        second_look: SecondLook,
        journal: Journal,
        folders: Folders,
        config: DispatchConfig,
    ) -> None:
        self._journal = journal
        self._second_look = second_look
        transport = Transport(folders)
        self.registry = JobRegistry()
        self._prompt_ids = SentPrompts()
        variants = PromptVariants(manager, transport.input_bytes, transport.kind_here)
        self._local = LocalPeer()
        self._queue = JobQueue(manager, Scheduler(), variants, self._prompt_ids, self._local)
        self._observer = RunObserver(self._queue, manager, peers, journal)
        self._model_sizes = ModelSizes(manager, peers, self._queue.fleet)
        self.queue_control = QueueControl(manager, self.registry, self._queue, journal)
        self.hold = OutageHold(manager, self._queue, config.outage)
        recall = Recall(manager, self.registry)
        self.withdrawals = Withdrawals(
            manager, peers, journal, self._prompt_ids, recall, config.follow.withdrawal
        )
        self._recovery = Recovery(
            manager,
            peers,
            transport,
            self.registry,
            monitor,
            second_look,
            self._observer,
            self.hold,
            self.withdrawals,
            config.retry,
        )
        context = AttemptContext(
            transport, folders, config.follow, self.withdrawals, journal.delivered, self._prompt_ids
        )
        launch = Launch(self._queue, peers, context, self._recovery.look_twice)
        self.copies = SecondCopies(manager, peers, self.registry, self._queue, launch, journal)
        self._queue.copy_wanted.subscribe(self.copies.begin_on)
        self._silence = SilenceWatch(manager, peers, self.registry, config.silence)
        self.adoption = Adoption(manager, peers, self._queue, context)
        local_run = LocalRun(self._local, self.registry, self._queue, journal, self._observer)
        self._retry_loop = RetryLoop(
            manager,
            self.registry,
            self._queue,
            journal,
            launch=launch,
            adoption=self.adoption,
            recovery=self._recovery,
            copies=self.copies,
            local_run=local_run,
            observer=self._observer,
            withdrawals=self.withdrawals,
            monitor=monitor,
            is_closing=lambda: self._closing,
        )
        self._closing = False

    async def recall(self) -> None:
        """See RunObserver.recall; before ``start``."""
        await self._observer.recall()

    def start(self) -> None:
        self._queue.start()
        self._model_sizes.start()
        self._silence.start()
        self.withdrawals.start()

    def use_second_copies(self, wanted: bool) -> None:
        """Whether the last running jobs also run where they are done clearly sooner."""
        self._queue.use_second_copies(wanted)

    @property
    def retry_policy(self) -> RetryPolicy:
        return self._recovery.policy

    @retry_policy.setter
    def retry_policy(self, policy: RetryPolicy) -> None:
        self._recovery.policy = policy

    async def aclose(self) -> None:
        """End all work here. Jobs of nodes are cancelled on their peers; others go on at the next start."""
        self._closing = True
        await self._silence.aclose()
        await self.registry.end_all(then=self._journal.hurry)
        await self.withdrawals.aclose()
        self.hold.close()
        await self._model_sizes.aclose()
        await self._observer.aclose()
        await self._queue.aclose()

    def ours_on(self, backend_id: str) -> int:
        return self._queue.fleet.ours_on(backend_id)

    def has_sent_to(self, backend_id: str, prompt_id: str) -> bool:
        return self._prompt_ids.peer_of(prompt_id) == backend_id

    def same_as(self, config: BackendConfig, queue: QueueState) -> tuple[str, ...]:
        """The names of other peers that, by this queue, are the same machine."""
        self._queue.same.note(config, queue)
        return tuple(other.name for other in self._queue.same.of(config.id))

    def has_sent(self, prompt_id: str) -> bool:
        return prompt_id in self._prompt_ids

    async def outlook(self, request: JobRequest) -> Outlook:
        return await self._queue.outlook(request)

    async def first_look(self, request: JobRequest) -> FirstLook:
        """Whether the request would be refused, wait or run. Peers are asked again before a "no" of theirs;
        while one does not answer, there is none."""
        found = await self._queue.first_look(request)
        if not found.doubts:
            return found
        silent = await self._second_look.ask(found.doubts)
        found = await self._queue.first_look(request)
        if silent and found.doubts:
            return replace(found, error=None, waits_for="waiting for peers to say what they have")
        return found

    def restore(self, jobs: tuple[Job, ...]) -> None:
        """Take back finished jobs of an earlier process, oldest first."""
        for job in jobs:
            self.registry.add(LiveJob(job, QueuedJob(job.request, asked_at=job.created_at)))

    def use_this_machine(self, here: Here) -> None:
        """Let the master itself run jobs of fleet mode, whenever it is free."""
        self._local.use(here)

    def look_again(self) -> None:
        """See JobQueue.look_again."""
        self._queue.look_again()

    async def submit(
        self,
        request: JobRequest,
        listener: Listener | None = None,
        *,
        job_id: str = "",
        front: bool = False,
    ) -> Job:
        """Accept a job. A job that can outlive its caller is in the journal when this returns.

        `front`: before all others of its priority.

        Raises:
            ConfigError: there is a job with this id.
        """
        if job_id in self.registry:
            raise ConfigError(f"There is a job {job_id} already. Give each prompt an id of its own.")
        return await self.accept(
            Job.new(job_id or str(uuid.uuid4()), request, utc_now()), listener, front=front
        )

    async def accept(
        self,
        job: Job,
        listener: Listener | None = None,
        *,
        front: bool = False,
        rank: Rank | None = None,
        is_kept: bool = False,
    ) -> Job:
        """Accept a new job, or one that `is_kept` in the journal with this `rank`, and that a peer may have
        already."""
        live = self._live(job, listener)
        if is_kept and job.attempts:
            live.queued.left_at = job.attempts[0].started_at
        place = self._queue.enter(live.queued, front=front, rank=rank)
        if is_kept:
            await self._journal.save_job(job)
        elif job.request.source is not Source.NODE:
            await self._journal.accept_jobs((job,), {job.id: place} if front else {})
        self._begin(live)
        await asyncio.sleep(0)  # a task that was never begun cannot tell that it was cancelled
        return job

    async def submit_all(self, requests: Sequence[JobRequest]) -> tuple[Job, ...]:
        """Accept all of them in their order, or none; none is of a node.

        Raises:
            StoreError: they are not in the journal.
        """
        now = utc_now()
        jobs = tuple(Job.new(str(uuid.uuid4()), request, now) for request in requests)
        several = [self._live(job) for job in jobs]
        for live in several:
            self._queue.enter(live.queued)
        await self._journal.accept_jobs(jobs, {})
        for live in several:
            self._begin(live)
            await asyncio.sleep(0)
        return jobs

    def _live(self, job: Job, listener: Listener | None = None) -> LiveJob:
        queued = QueuedJob(job.request, on_waiting=partial(self._explain, job.id), asked_at=job.created_at)
        return LiveJob(job, queued, listener or ignore)

    def _begin(self, live: LiveJob) -> None:
        self.registry.add(live)
        self._recovery.retry_budget.note_job()
        live.task = asyncio.create_task(self._run_job(live), name=f"remote-dispatch job {live.job.id}")
        self.registry.announce(live)

    def _explain(self, job_id: str, reason: str) -> None:
        """Takes the id: a queued job that held its LiveJob would make a circle for the garbage collector."""
        live = self.registry.get(job_id)
        if live.job.explanation != reason:  # thousands may be told the same with every poll of a peer
            self.registry.update(live, explanation=reason)

    async def wait(self, job_id: str) -> Job:
        """The job once it is done.

        Raises:
            OrchestratorError: it failed or was cancelled; the peer's own error where there is one.
        """
        live = self.registry.get(job_id)
        await live.ended.wait()
        if live.failure is not None:
            raise live.failure
        return live.job

    async def cancel(self, job_id: str, reason: str = "cancelled by the user") -> Job:
        """End a job, on its peer too. One that has ended already stays as it is."""
        live = self.registry.get(job_id)
        if live.task is not None and not live.task.done():
            if not live.cancel_reason:  # already being cancelled: doing so twice would interrupt the cleanup
                live.cancel_reason = reason
                live.task.cancel()
            await asyncio.wait([live.task])
        return live.job

    async def _run_job(self, live: LiveJob) -> None:
        try:
            result = await self._retry_loop.run(live)
            live.job = live.job.with_result(result)
            await self._end(live, JobState.DONE, progress=1.0)
        except asyncio.CancelledError:
            if live.job.state.is_final:
                raise
            if self._closing and live.job.request.source is not Source.NODE:
                live.failure = JobCancelledError("ComfyUI is closing; the job goes on at its next start.")
                raise
            reason = live.cancel_reason or "Remote Dispatch was closed"
            await self._end(live, JobState.CANCELLED, JobCancelledError(f"{reason[0].upper()}{reason[1:]}."))
            raise
        except JobSetAsideError as exc:
            await self._end(live, JobState.SET_ASIDE, exc)
        except OrchestratorError as exc:
            await self._end(live, JobState.FAILED, exc)
        except Exception as exc:
            log.exception("Job %s failed unexpectedly", live.job.id)
            error = OrchestratorError(
                f"Remote Dispatch failed: {exc}. The log has the details; please report it."
            )
            await self._end(live, JobState.FAILED, error)
        finally:
            live.ended.set()

    async def _end(
        self, live: LiveJob, state: JobState, failure: OrchestratorError | None = None, **details: Any
    ) -> None:
        if state is not JobState.DONE:
            self._recovery.acquit(live)
        attempts = live.job.attempts
        if attempts and attempts[-1].ended_at is None:
            how = {"outcome": failure.code if failure else state.value, "reason": str(failure or "")}
            details["attempts"] = with_last(live.job, ended_at=utc_now(), **how)
        if live.job.state is JobState.WAITING:
            details["explanation"] = ""  # why it waited is no news any more
        live.failure = failure
        live.job = live.job.to(state, ended_at=utc_now(), error=error_view(failure), **details)
        self.registry.finished(live)
        if live.job.request.source is Source.NODE:
            live.ended.set()  # its waiter ends with this process: no need to wait for the disk
        try:
            await even_if_cancelled(self._journal.save_job(live.job))
        except OrchestratorError as exc:
            log.error("The end of job %s could not be written down: %s", live.job.id, exc)
        finally:
            self.registry.announce(live)
