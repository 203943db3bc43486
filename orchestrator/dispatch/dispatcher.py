"""A job's story from request to end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..backends.manager import BackendManager
from ..background import even_if_cancelled
from ..core.engine.explain import Outlook
from ..core.engine.outage import OutagePolicy
from ..core.engine.retry import RetryPolicy
from ..core.engine.scheduler import Scheduler
from ..core.engine.silence import SilencePolicy
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
from .attempts.attempt import Ways
from .attempts.launch import Launch
from .attempts.recall import Recall
from .attempts.remote_prompt import FollowPolicy
from .attempts.reporting import with_last
from .attempts.second_copy import SecondCopies
from .attempts.transport import Folders, Transport
from .attempts.withdrawals import Withdrawals
from .course import Course
from .interfaces import Here, Journal, NoteJob, Peers, note_nothing
from .learning.model_sizes import ModelSizes
from .learning.run_observer import RunObserver
from .local_run import LocalRun
from .queue.job_queue import JobQueue
from .queue.local_peer import LocalPeer
from .queue.outage_hold import OutageHold
from .queue.prompt_variants import PromptVariants
from .queue.queue_control import QueueControl
from .queue.queued_job import QueuedJob
from .queue.registry import JobRegistry, Listener, LiveJob, ignore
from .recovery import Recovery, SecondLook, no_second_look
from .sent_prompts import SentPrompts
from .silence_watch import SilenceWatch

log = logging.getLogger(__name__)


class Dispatcher:
    """Runs jobs on peers. All methods belong to one event loop.

    `report_trouble(backend_id, stale)` is called when a peer failed an attempt, so that its health is looked
    at now; `stale` says that its node list turned out to be wrong. `second_look`: see SecondLook.
    """

    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        transport: Transport,
        folders: Folders,
        journal: Journal,
        *,
        report_trouble: Callable[[str, bool], None] = lambda backend_id, stale: None,
        second_look: SecondLook = no_second_look,
        note_job: NoteJob = note_nothing,
        outage: OutagePolicy | None = None,
        scheduler: Scheduler | None = None,
        retry: RetryPolicy | None = None,
        follow: FollowPolicy | None = None,
        silence: SilencePolicy | None = None,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._transport = transport
        self._journal = journal
        self.register = JobRegistry()
        self._prompt_ids = SentPrompts()
        preparing = PromptVariants(manager, transport.input_bytes, transport.kind_here)
        self._local = LocalPeer()
        self._room = JobQueue(manager, scheduler or Scheduler(), preparing, self._prompt_ids, self._local)
        self._experience = RunObserver(self._room, manager, peers, journal)
        self._stocktaking = ModelSizes(manager, peers, self._room.fleet)
        self.line = QueueControl(manager, self.register, self._room, journal)
        self.hold = OutageHold(manager, self._room, outage or OutagePolicy())
        follow = follow or FollowPolicy()
        self.withdrawals = Withdrawals(
            manager, peers, journal, self._prompt_ids, Recall(manager, self.register), follow.withdrawal
        )
        self._recovery = Recovery(
            manager,
            peers,
            transport,
            self.register,
            report_trouble,
            second_look,
            note_job,
            self._experience.note_too_little,
            lambda: self.hold.lost_together,
            self.withdrawals,
            retry or RetryPolicy(),
        )
        self._ways = Ways(transport, folders, follow, self.withdrawals, self._prompt_ids)
        self._launch = Launch(self._room, peers, self._ways, self._recovery.look_twice)
        self.copies = SecondCopies(manager, peers, self.register, self._room, self._launch, journal)
        self._room.copy_wanted.subscribe(self.copies.begin_on)
        self._silence = SilenceWatch(manager, peers, self.register, silence or SilencePolicy())
        self.adoption = Adoption(manager, peers, self._room, self._ways, journal)
        on_master = LocalRun(self._local, self.register, self._room, journal, self._experience)
        self._course = Course(
            manager,
            self.register,
            self._room,
            journal,
            launch=self._launch,
            adoption=self.adoption,
            recovery=self._recovery,
            copies=self.copies,
            on_master=on_master,
            experience=self._experience,
            withdrawals=self.withdrawals,
            note_job=note_job,
            is_closing=lambda: self._closing,
        )
        self._closing = False

    async def recall(self) -> None:
        """See RunObserver.recall; before ``start``."""
        await self._experience.recall()

    def start(self) -> None:
        self._room.start()
        self._stocktaking.start()
        self._silence.start()
        self.withdrawals.start()

    def use_second_copies(self, wanted: bool) -> None:
        """Whether the last running jobs also run where they are done clearly sooner."""
        self._room.use_second_copies(wanted)

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
        await self.register.end_stories(then=self._journal.hurry)
        await self.withdrawals.aclose()
        self.hold.close()
        await self._stocktaking.aclose()
        await self._experience.aclose()
        await self._room.aclose()

    def ours_on(self, backend_id: str) -> int:
        return self._room.ours_on(backend_id)

    def has_sent_to(self, backend_id: str, prompt_id: str) -> bool:
        return self._prompt_ids.peer_of(prompt_id) == backend_id

    def same_as(self, config: BackendConfig, queue: QueueState) -> tuple[str, ...]:
        """The names of other peers that are this one too, by now that it has this queue."""
        self._room.same.note(config, queue)
        return tuple(other.name for other in self._room.same.of(config.id))

    def has_sent(self, prompt_id: str) -> bool:
        return prompt_id in self._prompt_ids

    async def outlook(self, request: JobRequest) -> Outlook:
        return await self._room.outlook(request)

    def restore(self, jobs: tuple[Job, ...]) -> None:
        """Take back finished jobs of an earlier process, oldest first."""
        for job in jobs:
            self.register.add(LiveJob(job, QueuedJob(job.request)))

    def use_this_machine(self, here: Here) -> None:
        """Let the master itself run jobs of fleet mode, whenever it is free."""
        self._local.use(here)

    def look_again(self) -> None:
        """See JobQueue.look_again."""
        self._room.look_again()

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
        if job_id in self.register:
            raise ConfigError(f"There is a job {job_id} already. Give each prompt an id of its own.")
        return await self.accept(Job.new(job_id or uuid.uuid4().hex, request, _now()), listener, front=front)

    async def accept(
        self,
        job: Job,
        listener: Listener | None = None,
        *,
        front: bool = False,
        rank: Rank | None = None,
        is_kept: bool = False,
    ) -> Job:
        """Take over a waiting job; or one that `is_kept` in the journal, where it had this `rank`, and that a
        peer may have got already."""
        entry = LiveJob(job, QueuedJob(job.request), listener or ignore)
        place = self._room.enter(entry.ticket, front=front, rank=rank)
        if is_kept:
            await self._journal.save_job(job)
        elif job.request.source is not Source.NODE:
            await self._journal.accept_jobs((job,), {job.id: place} if front else {})
        entry.ticket.on_waiting = partial(self._explain, job.id)
        self.register.add(entry)
        self._recovery.purse.note_job()
        entry.task = asyncio.create_task(self._story(entry), name=f"remote-dispatch job {job.id}")
        self.register.announce(entry)
        await asyncio.sleep(0)  # a task that was never begun cannot tell that it was cancelled
        return job

    def _explain(self, job_id: str, reason: str) -> None:
        """By id: an entry that its own ticket held would be freed by a full collection only."""
        entry = self.register.get(job_id)
        if entry.job.explanation != reason:  # thousands may be told the same with every poll of a peer
            self.register.update(entry, explanation=reason)

    async def wait(self, job_id: str) -> Job:
        """The job once it is done.

        Raises:
            OrchestratorError: it failed or was cancelled; the peer's own error where there is one.
        """
        entry = self.register.get(job_id)
        await entry.ended.wait()
        if entry.failure is not None:
            raise entry.failure
        return entry.job

    async def cancel(self, job_id: str, reason: str = "cancelled by the user") -> Job:
        """End a job, on its peer too. One that has ended already stays as it is."""
        entry = self.register.get(job_id)
        if entry.task is not None and not entry.task.done():
            if not entry.cancel_reason:  # else it is on its way out; a second blow would hurt the tidying up
                entry.cancel_reason = reason
                entry.task.cancel()
            await asyncio.wait([entry.task])
        return entry.job

    async def _story(self, entry: LiveJob) -> None:
        try:
            result = await self._course.run(entry)
            entry.job = entry.job.with_result(result)
            await self._end(entry, JobState.DONE, progress=1.0)
        except asyncio.CancelledError:
            if entry.job.state.is_final:
                raise
            if self._closing and entry.job.request.source is not Source.NODE:
                entry.failure = JobCancelledError("ComfyUI is closing; the job goes on at its next start.")
                raise
            reason = entry.cancel_reason or "Remote Dispatch was closed"
            await self._end(entry, JobState.CANCELLED, JobCancelledError(f"The job was ended: {reason}."))
            raise
        except JobSetAsideError as exc:
            await self._end(entry, JobState.SET_ASIDE, exc)
        except OrchestratorError as exc:
            await self._end(entry, JobState.FAILED, exc)
        except Exception as exc:
            log.exception("Job %s failed unexpectedly", entry.job.id)
            error = OrchestratorError(
                f"Remote Dispatch failed: {exc}. The log has the details; please report it."
            )
            await self._end(entry, JobState.FAILED, error)
        finally:
            entry.ended.set()

    async def _end(
        self, entry: LiveJob, state: JobState, failure: OrchestratorError | None = None, **details: Any
    ) -> None:
        if state is not JobState.DONE:
            self._recovery.acquit(entry)
        attempts = entry.job.attempts
        if attempts and attempts[-1].ended_at is None:
            how = {"outcome": failure.code if failure else state.value, "reason": str(failure or "")}
            details["attempts"] = with_last(entry.job, ended_at=_now(), **how)
        entry.failure = failure
        entry.job = entry.job.to(state, ended_at=_now(), error=error_view(failure), **details)
        self.register.finished(entry)
        if entry.job.request.source is Source.NODE:
            entry.ended.set()  # whoever waits for it ends with this process: no need to wait for the disk
        try:
            await even_if_cancelled(self._journal.save_job(entry.job))
        except OrchestratorError as exc:
            log.error("The end of job %s could not be written down: %s", entry.job.id, exc)
        finally:
            self.register.announce(entry)


def _now() -> datetime:
    return datetime.now(timezone.utc)
