"""A job's way from peer to peer, until one of them has done it. The only place that retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial

from ..backends.manager import BackendManager
from ..core.engine.health import JobEnd
from ..core.engine.plan import Placement
from ..core.models.backend import LOCAL_PEER_ID, BackendConfig
from ..core.models.job import Attempt, AttemptResult, JobState, Source
from ..errors import (
    JobLostError,
    LocalDiskError,
    NoEligiblePeerError,
    OrchestratorError,
    OvertakenError,
    PeerError,
    PeerExecutionError,
    PromptRefusedError,
    ResultError,
    TakenBackError,
)
from .attempts.adoption import Adoption
from .attempts.attempt import AttemptRun
from .attempts.launch import Launch, on_its_way
from .attempts.recall import is_called_back, reopened
from .attempts.reporting import Reporter, cautioned
from .attempts.second_copy import SecondCopies
from .attempts.withdrawals import Withdrawals
from .interfaces import Journal, NoteJob
from .learning.run_observer import RunObserver
from .local_run import LocalRun
from .queue.job_queue import JobQueue
from .queue.queued_job import too_late
from .queue.registry import JobRegistry, LiveJob
from .recovery import Recovery

ASK_FIRST_S = 10.0  #: how long a job waits to hear whether the peer it goes to has it still


class Course:
    """Of every job of an engine. `is_closing`: whether that comes to its end."""

    def __init__(
        self,
        manager: BackendManager,
        register: JobRegistry,
        room: JobQueue,
        journal: Journal,
        *,
        launch: Launch,
        adoption: Adoption,
        recovery: Recovery,
        copies: SecondCopies,
        on_master: LocalRun,
        experience: RunObserver,
        withdrawals: Withdrawals,
        note_job: NoteJob,
        is_closing: Callable[[], bool],
    ) -> None:
        self._manager = manager
        self._register = register
        self._room = room
        self._journal = journal
        self._launch = launch
        self._adoption = adoption
        self._recovery = recovery
        self._copies = copies
        self._on_master = on_master
        self._experience = experience
        self._withdrawals = withdrawals
        self._note_job = note_job
        self._is_closing = is_closing

    async def run(self, entry: LiveJob) -> AttemptResult:
        """What the attempt that did it brought.

        Raises:
            OrchestratorError: how it ended otherwise.
        """
        while True:
            entry.may_recall = True
            try:
                result = await self._next(entry)
            except asyncio.CancelledError:
                if self._is_closing() or not is_called_back(entry):
                    raise
                back = OvertakenError("Its first attempt goes on: that peer is back.")
                self._recovery.back_to_the_line(entry, back)
            else:
                if result is not None:
                    return result
            finally:
                entry.may_recall = False

    async def _next(self, entry: LiveJob) -> AttemptResult | None:
        """One attempt; None when there is to be another."""
        is_back = bool(entry.recalled)
        if is_back:
            reopened(entry)
            await self._journal.save_job(entry.job)
            entry.recalled = ""
            self._register.announce(entry)
        if entry.job.state is JobState.RUNNING:
            return await self._go_on(entry, is_back)
        await self._recovery.pay_for_retry(entry)
        await self._recovery.judge(entry)
        try:
            placement = await self._room.place(entry.ticket)
        except NoEligiblePeerError:
            if await self._recovery.ask_again(entry, self._room.preparing.doubts(entry.ticket)):
                return None
            if entry.last_error is None or not entry.ticket.tried:
                raise
            await self._recovery.when_nobody_is_left(entry, entry.last_error)
            return None
        try:
            if placement.backend_id == LOCAL_PEER_ID:
                return await self._here(entry, placement)
            config = self._manager.find(placement.backend_id)
            # It may be removed this very moment.
            return await self._attempt(entry, config, placement) if config else None
        finally:
            entry.ticket.take_back = too_late
            self._room.release(entry.ticket)

    async def _here(self, entry: LiveJob, placement: Placement) -> AttemptResult | None:
        try:
            return await self._on_master.run(entry, placement)
        except (PromptRefusedError, PeerExecutionError) as exc:
            entry.last_error = self._recovery.after_failure_here(entry, exc) or entry.last_error
            return None

    async def _attempt(
        self, entry: LiveJob, config: BackendConfig, placement: Placement
    ) -> AttemptResult | None:
        try:
            result = await self._sent(entry, config, placement)
        except TakenBackError as exc:
            self._recovery.back_to_the_line(entry, exc)
        except (PeerError, ResultError, LocalDiskError) as exc:
            await self._fail(entry, config, exc)
        else:
            self._note_job(entry.job.backend_id, JobEnd.WELL)
            return result
        return None

    async def _sent(self, entry: LiveJob, config: BackendConfig, placement: Placement) -> AttemptResult:
        """Try it once on this peer."""
        await self._ask_for_earlier(entry, config)
        with on_its_way(entry.ticket, config.name, lambda: self._is_closing() or bool(entry.cancel_reason)):
            run = await self._launch.ready(entry.ticket, config, partial(self._register.say, entry))
        attempt = Attempt(run.prompt_id, config.id, datetime.now(timezone.utc))
        job = cautioned(entry, self._room.preparing.notes(entry.ticket, config)).to(
            JobState.RUNNING,
            backend_id=config.id,
            attempts=(*entry.job.attempts, attempt),
            inputs=run.inputs,
            explanation=placement.explanation,
            expected_s=placement.takes_s,
            progress=0.0,
            progress_text=f"queued on {config.name}",
            started_at=entry.job.started_at or attempt.started_at,
        )
        await self._journal.save_job(job)  # nobody hears of an attempt that a crash could forget
        entry.job = job
        self._register.announce(entry)
        return await self._followed(entry, run, config.name)

    async def _ask_for_earlier(self, entry: LiveJob, config: BackendConfig) -> None:
        """A peer that was away may have it still: then the job is called back to that.

        Raises:
            TakenBackError: it does not say.
        """
        there = [a.prompt_id for a in entry.job.attempts if a.backend_id == config.id]
        if any(map(self._withdrawals.has, there)) and not await self._withdrawals.look_now(
            config.id, ASK_FIRST_S
        ):
            raise TakenBackError(f"{config.name} does not say whether it has the job still.")

    async def _go_on(self, entry: LiveJob, is_back: bool) -> AttemptResult | None:
        """Stay with an attempt of an earlier process, or one whose peer `is_back`."""
        config = self._manager.find(entry.job.backend_id)  # it may be removed meanwhile
        try:
            run = await self._adoption.last_attempt(entry.job, entry.ticket, is_back=is_back)
            return await self._followed(entry, run, self._manager.get(entry.job.backend_id).name)
        except TakenBackError as exc:
            self._recovery.back_to_the_line(entry, exc)
        except (PeerError, ResultError, LocalDiskError) as exc:
            if isinstance(exc, JobLostError) and not (exc.went_away and config):  # perhaps it never was there
                self._recovery.back_to_the_line(entry, exc)
            elif config is None:
                raise
            else:
                await self._fail(entry, config, exc)
        finally:
            entry.ticket.take_back = too_late
            self._room.release(entry.ticket)
        return None

    async def _fail(self, entry: LiveJob, config: BackendConfig, exc: OrchestratorError) -> None:
        entry.last_error = exc
        await self._recovery.after_failure(entry, config, exc)
        if any(attempt.is_victim for attempt in entry.job.attempts):
            await self._journal.save_job(entry.job)  # a crash must not forget what the job may have done

    async def _followed(self, entry: LiveJob, run: AttemptRun, peer: str) -> AttemptResult:
        begun = partial(self._room.begun, entry.ticket)
        report = Reporter(self._register, entry, peer, begun, run.output_nodes, run.seeded_nodes)
        entry.ticket.take_back = run.take_back

        def may_outlive() -> bool:
            is_to_end = entry.job.request.source is Source.NODE or bool(entry.cancel_reason)
            return self._is_closing() and not is_to_end

        first = run.run(
            entry.job.id,
            entry.job.request,
            report.on_event,
            report.on_progress,
            may_outlive,
            report.on_trouble,
            entry.delivery,
            partial(self._launch.may_run_elsewhere, entry.ticket, entry.job),
        )
        result = await self._copies.race(entry, first)
        self._experience.note_run(entry, report)
        return result
