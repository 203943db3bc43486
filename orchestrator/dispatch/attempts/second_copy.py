"""A running job runs a second time elsewhere, where a person or the plan wants that.

The first copy goes on. Whichever is done first is delivered, the other one is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...backends.events import Message
from ...backends.manager import BackendManager
from ...clock import utc_now
from ...core.engine.faults.retry import is_victim
from ...core.engine.placement.plan import SecondCopy
from ...core.models.backend import BackendConfig
from ...core.models.job import Attempt, AttemptResult, Job, JobState
from ...core.workflow.outputs import ProgressMeter
from ...errors import (
    IllegalTransitionError,
    LocalDiskError,
    OrchestratorError,
    OvertakenError,
    PeerError,
    ResultError,
)
from ..interfaces import Journal, Peers
from ..queue.job_queue import JobQueue
from ..queue.queued_job import QueuedJob
from ..queue.registry import JobRegistry, LiveJob, RunningCopy
from .launch import Launch

log = logging.getLogger(__name__)


class SecondCopies:
    """Belongs to one event loop, like the dispatcher whose jobs it watches."""

    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        registry: JobRegistry,
        queue: JobQueue,
        launch: Launch,
        journal: Journal,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._registry = registry
        self._queue = queue
        self._launch = launch
        self._journal = journal

    async def race(self, live: LiveJob, first: Coroutine[Any, Any, AttemptResult]) -> AttemptResult:
        """The result of the `first` copy, or of a second one that was begun meanwhile and is through before.

        Raises:
            OrchestratorError: why the first one failed, and there is no other.
        """
        try:
            try:
                return await first
            except (PeerError, ResultError, LocalDiskError, OvertakenError):
                if live.second is None:
                    raise
                await asyncio.wait([live.second.task])
                if live.second.result is None:
                    raise
                return live.second.result
        except asyncio.CancelledError:
            if live.cancel_reason or live.second is None or live.second.result is None:
                raise
            with suppress(AttributeError):  # Python 3.10 keeps no count
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
            return live.second.result  # it was this copy that cancelled the first one
        finally:
            second, live.second = live.second, None
            if second is not None and not second.task.done():
                second.task.cancel()
                await asyncio.gather(second.task, return_exceptions=True)

    def begin(self, job: Job) -> None:
        """Let a running job run on another peer too, because a person asks for it.

        Raises:
            IllegalTransitionError: it does not run on a peer, or runs twice already.
        """
        live, config = self._registry.find(job.id), self._manager.find(job.backend_id)
        is_running = live is not None and live.job.state is JobState.RUNNING
        if live is None or not is_running or live.queued.begun_at_s is None or config is None:
            raise IllegalTransitionError(
                f"Job {job.label} is not at work on a peer, so there is nothing to run a second time."
            )
        if live.second is not None and not live.second.task.done():
            raise IllegalTransitionError(f"Job {job.label} has a second copy already.")
        self._begin(live, config, "a second copy was asked for")

    def begin_on(self, wanted: SecondCopy) -> None:
        """Let a running job run on this peer too, which will be done with it sooner."""
        live = next((known for known in self._registry if known.queued.id == wanted.job_id), None)
        if live is None or live.second or live.has_copy or live.job.state is not JobState.RUNNING:
            return
        config = self._manager.find(live.job.backend_id)
        if config is not None:
            self._begin(live, config, wanted.reason, peer=wanted.backend_id)

    def _begin(self, live: LiveJob, first: BackendConfig, why: str, *, peer: str = "") -> None:
        """`peer`: where; "" for any other one, even if the job was pinned to its first."""
        live.has_copy = live.queued.is_copied = True
        self._queue.fleet.show(live.queued.backend_id)
        self._registry.say(live, f"{why}; it runs a second time where a peer is free")
        work = self._run_copy(live, first, why, peer)
        name = f"remote-dispatch second copy {live.job.id}"
        live.second = RunningCopy(asyncio.create_task(work, name=name))

    async def _run_copy(self, live: LiveJob, first: BackendConfig, why: str, peer: str) -> None:
        request = replace(live.queued.request, peer=peer)
        queued = QueuedJob(
            request,
            tried={**live.queued.tried, first.id: "it has the first copy"},
            asked_at=live.queued.asked_at,
        )
        queued.may_run_here = False
        queued.memory_bytes = live.queued.memory_bytes
        self._queue.enter(queued, front=True)
        try:
            placement = await self._queue.place(queued)
            queued.is_copied = True  # a copy is not copied
            config = self._manager.get(placement.backend_id)
            await self._post_copy(live, queued, first, config, why)
        except OrchestratorError as exc:
            log.info("Job %s has no second copy: %s", live.job.id, exc)
            self._registry.say(live, f"{why}; no second copy was begun: {exc} It goes on on {first.name}.")
        finally:
            self._queue.release(queued)

    async def _post_copy(
        self, live: LiveJob, queued: QueuedJob, first: BackendConfig, config: BackendConfig, why: str
    ) -> None:
        def say(text: str) -> None:
            self._registry.say(live, f"second copy on {config.name}: {text}")

        def hear(message: Message) -> None:  # what it tells is told of the first one already
            if queued.begun_at_s is None:
                self._queue.begun(queued)
                self._registry.update(live, attempts=_with(live.job, attempt, begun_at=utc_now()))

        def on_progress(meter: ProgressMeter) -> None:
            self._registry.update(live, progress=meter.fraction)
            say(meter.text)

        run = await self._launch.ready(queued, config, say)
        attempt = Attempt(run.prompt_id, config.id, utc_now())
        # Before the first one: the last attempt is the one that the job's record speaks of.
        attempts = (*live.job.attempts[:-1], attempt, live.job.attempts[-1])
        self._registry.update(live, attempts=attempts)
        say(why)
        await self._journal.save_job(live.job)
        outcome, reason, went_down = OvertakenError.code, f"{first.name} was done before", False
        try:
            result = await run.run(
                live.job.id,
                live.job.request,
                hear,
                on_progress,
                on_trouble=say,
                delivery=live.delivery,
            )
        except OrchestratorError as exc:
            outcome, reason = exc.code, str(exc)
            went_down = is_victim(exc, queued.begun_at_s is not None)
            raise
        else:
            self._win(live, attempt, config, result, f"on {config.name} because {why}")
        finally:
            if live.second is None or live.second.result is None:
                if live.cancel_reason:
                    outcome, reason = "cancelled", live.cancel_reason
                how = {"outcome": outcome, "reason": reason, "is_victim": went_down}
                closed = _with(live.job, attempt, ended_at=utc_now(), **how)
                self._registry.update(live, attempts=closed)

    def _win(
        self, live: LiveJob, mine: Attempt, config: BackendConfig, result: AttemptResult, why: str
    ) -> None:
        mine = next(known for known in live.job.attempts if known.prompt_id == mine.prompt_id)
        mine = replace(mine, begun_at=mine.begun_at or mine.started_at)  # it may have told nothing
        *others, first = (known for known in live.job.attempts if known.prompt_id != mine.prompt_id)
        reason = f"a second copy on {config.name} was done before"
        overtaken = replace(first, ended_at=utc_now(), outcome=OvertakenError.code, reason=reason)
        attempts = (*others, overtaken, mine)
        self._registry.update(live, attempts=attempts, backend_id=config.id, explanation=why)
        if live.second is not None and live.task is not None:
            live.second.result = result
            live.task.cancel()


def _with(job: Job, attempt: Attempt, **changes: Any) -> tuple[Attempt, ...]:
    return tuple(
        replace(known, **changes) if known.prompt_id == attempt.prompt_id else known for known in job.attempts
    )
