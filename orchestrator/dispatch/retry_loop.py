"""The retry loop: runs a job on one peer after another until one has done it; see also recovery.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from ..backends.manager import BackendManager
from ..clock import utc_now
from ..core.engine.faults.health import JobEnd
from ..core.engine.placement.plan import Placement
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
from .interfaces import Journal, Monitor
from .learning.run_observer import RunObserver
from .local_run import LocalRun
from .queue.job_queue import JobQueue
from .queue.queued_job import NOT_HELD
from .queue.registry import JobRegistry, LiveJob
from .recovery import Recovery

ASK_FIRST_S = 10.0  #: how long a job waits to hear whether the peer it goes to has it still


class RetryLoop:
    """Runs every job of one engine. `is_closing`: whether that engine is shutting down."""

    def __init__(
        self,
        manager: BackendManager,
        registry: JobRegistry,
        queue: JobQueue,
        journal: Journal,
        *,
        launch: Launch,
        adoption: Adoption,
        recovery: Recovery,
        copies: SecondCopies,
        local_run: LocalRun,
        observer: RunObserver,
        withdrawals: Withdrawals,
        monitor: Monitor,
        is_closing: Callable[[], bool],
    ) -> None:
        self._manager = manager
        self._registry = registry
        self._queue = queue
        self._journal = journal
        self._launch = launch
        self._adoption = adoption
        self._recovery = recovery
        self._copies = copies
        self._local_run = local_run
        self._observer = observer
        self._withdrawals = withdrawals
        self._monitor = monitor
        self._is_closing = is_closing

    async def run(self, live: LiveJob) -> AttemptResult:
        """Run the job to its end; return what the attempt that succeeded brought.

        Raises:
            OrchestratorError: how it ended otherwise.
        """
        while True:
            live.may_recall = True
            try:
                result = await self._one_attempt(live)
            except asyncio.CancelledError:
                if self._is_closing() or not is_called_back(live):
                    raise
                back = OvertakenError("The peer of an earlier attempt is back, and the job goes on there.")
                self._recovery.back_to_the_queue(live, back)
            else:
                if result is not None:
                    return result
            finally:
                live.may_recall = False

    async def _one_attempt(self, live: LiveJob) -> AttemptResult | None:
        """One attempt; None when there is to be another."""
        is_back = bool(live.recalled)
        if is_back:
            reopened(live)
            await self._journal.save_job(live.job)
            live.recalled = ""
            self._registry.announce(live)
        if live.job.state is JobState.RUNNING:
            return await self._resume_attempt(live, is_back)
        await self._recovery.pay_for_retry(live)
        await self._recovery.clear_suspicion(live)
        try:
            placement = await self._queue.place(live.queued)
        except NoEligiblePeerError:
            if await self._recovery.ask_again(live, self._queue.variants.doubts(live.queued)):
                return None
            if live.last_error is None or not live.queued.tried:
                raise
            await self._recovery.when_nobody_is_left(live, live.last_error)
            return None
        try:
            if placement.backend_id == LOCAL_PEER_ID:
                return await self._run_locally(live, placement)
            config = self._manager.find(placement.backend_id)
            # It may be removed this very moment.
            return await self._attempt_on(live, config, placement) if config else None
        finally:
            live.queued.hold = NOT_HELD
            self._queue.release(live.queued)

    async def _run_locally(self, live: LiveJob, placement: Placement) -> AttemptResult | None:
        try:
            return await self._local_run.run(live, placement)
        except (PromptRefusedError, PeerExecutionError) as exc:
            live.last_error = self._recovery.after_failure_here(live, exc) or live.last_error
            return None

    async def _attempt_on(
        self, live: LiveJob, config: BackendConfig, placement: Placement
    ) -> AttemptResult | None:
        try:
            result = await self._post_and_follow(live, config, placement)
        except TakenBackError as exc:
            self._recovery.back_to_the_queue(live, exc)
        except (PeerError, ResultError, LocalDiskError) as exc:
            await self._fail(live, config, exc)
        else:
            self._monitor.note_job(live.job.backend_id, JobEnd.WELL)
            return result
        return None

    async def _post_and_follow(
        self, live: LiveJob, config: BackendConfig, placement: Placement
    ) -> AttemptResult:
        """Try it once on this peer."""
        await self._ask_for_earlier(live, config)
        with on_its_way(live.queued, config.name, lambda: self._is_closing() or bool(live.cancel_reason)):
            run = await self._launch.ready(live.queued, config, partial(self._registry.say, live))
        attempt = Attempt(run.prompt_id, config.id, utc_now())
        job = cautioned(live, self._queue.variants.notes(live.queued, config)).to(
            JobState.RUNNING,
            backend_id=config.id,
            attempts=(*live.job.attempts, attempt),
            inputs=run.inputs,
            explanation=placement.explanation,
            expected_s=placement.takes_s,
            progress=0.0,
            progress_text=f"queued on {config.name}",
            started_at=live.job.started_at or attempt.started_at,
        )
        await self._journal.save_job(job)  # nobody hears of an attempt that a crash could forget
        live.job = job
        self._registry.announce(live)
        return await self._follow(live, run, config.name)

    async def _ask_for_earlier(self, live: LiveJob, config: BackendConfig) -> None:
        """If this peer was away, an earlier attempt may still be there; then the job goes on with that one.

        Raises:
            TakenBackError: the peer did not answer in time.
        """
        await self._withdrawals.resumed()
        there = [a.prompt_id for a in live.job.own_attempts if a.backend_id == config.id]
        if any(map(self._withdrawals.has, there)) and not await self._withdrawals.look_now(
            config.id, ASK_FIRST_S
        ):
            raise TakenBackError(f"{config.name} does not say whether it has the job still.")

    async def _resume_attempt(self, live: LiveJob, is_back: bool) -> AttemptResult | None:
        """Stay with an attempt of an earlier process, or one whose peer `is_back`."""
        config = self._manager.find(live.job.backend_id)  # it may be removed meanwhile
        try:
            run = await self._adoption.last_attempt(live.job, live.queued, is_back=is_back)
            return await self._follow(live, run, self._manager.get(live.job.backend_id).name)
        except TakenBackError as exc:
            self._recovery.back_to_the_queue(live, exc)
        except (PeerError, ResultError, LocalDiskError) as exc:
            if isinstance(exc, JobLostError) and not (exc.went_away and config):  # perhaps it never was there
                self._recovery.back_to_the_queue(live, exc)
            elif config is None:
                raise
            else:
                await self._fail(live, config, exc)
        finally:
            live.queued.hold = NOT_HELD
            self._queue.release(live.queued)
        return None

    async def _fail(self, live: LiveJob, config: BackendConfig, exc: OrchestratorError) -> None:
        live.last_error = exc
        await self._recovery.after_failure(live, config, exc)
        if any(attempt.is_victim for attempt in live.job.attempts):
            await self._journal.save_job(live.job)  # a crash must not forget what the job may have done

    async def _follow(self, live: LiveJob, run: AttemptRun, peer: str) -> AttemptResult:
        begun = partial(self._queue.begun, live.queued)
        report = Reporter(self._registry, live, peer, begun, run.output_nodes, run.seeded_nodes)
        live.queued.hold = run

        def may_outlive() -> bool:
            is_to_end = live.job.request.source is Source.NODE or bool(live.cancel_reason)
            return self._is_closing() and not is_to_end

        first = run.run(
            live.job.id,
            live.job.request,
            report.on_event,
            report.on_progress,
            may_outlive,
            report.on_trouble,
            live.delivery,
            partial(self._launch.may_run_elsewhere, live.queued, live.job),
        )
        result = await self._copies.race(live, first)
        self._observer.note_run(live, report)
        return result
