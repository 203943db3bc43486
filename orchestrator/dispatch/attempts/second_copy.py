"""A running job runs a second time elsewhere, where a person or the plan wants that.

The first copy goes on. Whichever is done first is delivered, the other one is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ...backends.events import Message
from ...backends.manager import BackendManager
from ...core.engine.plan import SecondCopy
from ...core.engine.retry import is_victim
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
    """Belongs to one event loop, like the dispatcher whose stories it watches."""

    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        register: JobRegistry,
        room: JobQueue,
        launch: Launch,
        journal: Journal,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._register = register
        self._room = room
        self._launch = launch
        self._journal = journal

    async def race(self, entry: LiveJob, first: Coroutine[Any, Any, AttemptResult]) -> AttemptResult:
        """The result of the `first` copy, or of a second one that was begun meanwhile and is through before.

        Raises:
            OrchestratorError: why the first one failed, and there is no other.
        """
        try:
            try:
                return await first
            except (PeerError, ResultError, LocalDiskError, OvertakenError):
                if entry.second is None:
                    raise
                await asyncio.wait([entry.second.task])
                if entry.second.result is None:
                    raise
                return entry.second.result
        except asyncio.CancelledError:
            if entry.cancel_reason or entry.second is None or entry.second.result is None:
                raise
            with suppress(AttributeError):  # Python 3.10 keeps no count
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
            return entry.second.result  # it was this copy that cancelled the first one
        finally:
            second, entry.second = entry.second, None
            if second is not None and not second.task.done():
                second.task.cancel()
                await asyncio.gather(second.task, return_exceptions=True)

    def begin(self, job: Job) -> None:
        """Let a running job run on another peer too, because a person asks for it.

        Raises:
            IllegalTransitionError: it does not run on a peer, or runs twice already.
        """
        entry, config = self._register.find(job.id), self._manager.find(job.backend_id)
        is_running = entry is not None and entry.job.state is JobState.RUNNING
        if entry is None or not is_running or entry.ticket.begun_at_s is None or config is None:
            raise IllegalTransitionError(
                f"Job {job.label} is not at work on a peer, so there is nothing to run a second time."
            )
        if entry.second is not None and not entry.second.task.done():
            raise IllegalTransitionError(f"Job {job.label} has a second copy already.")
        self._begin(entry, config, "a second copy was asked for")

    def begin_on(self, wanted: SecondCopy) -> None:
        """Let a running job run on this peer too, which will be done with it sooner."""
        entry = next((known for known in self._register if known.ticket.id == wanted.job_id), None)
        if entry is None or entry.second or entry.has_copy or entry.job.state is not JobState.RUNNING:
            return
        config = self._manager.find(entry.job.backend_id)
        if config is not None:
            why = wanted.explanation.partition("because ")[2]
            self._begin(entry, config, why, peer=wanted.backend_id)

    def _begin(self, entry: LiveJob, first: BackendConfig, why: str, *, peer: str = "") -> None:
        """`peer`: where; "" for any other one, even if the job was pinned to its first."""
        entry.has_copy = entry.ticket.is_copied = True
        self._room.fleet.show(entry.ticket.backend_id)
        self._register.say(entry, f"{why}; it runs a second time where a peer is free")
        story = self._story(entry, first, why, peer)
        name = f"remote-dispatch second copy {entry.job.id}"
        entry.second = RunningCopy(asyncio.create_task(story, name=name))

    async def _story(self, entry: LiveJob, first: BackendConfig, why: str, peer: str) -> None:
        request = replace(entry.ticket.request, peer=peer)
        ticket = QueuedJob(request, tried={**entry.ticket.tried, first.id: "it has the first copy"})
        ticket.may_run_here = False
        ticket.memory_bytes = entry.ticket.memory_bytes
        self._room.enter(ticket, front=True)
        try:
            placement = await self._room.place(ticket)
            ticket.is_copied = True  # of this one there is none
            config = self._manager.get(placement.backend_id)
            await self._copy(entry, ticket, first, config, why)
        except OrchestratorError as exc:
            log.info("Job %s has no second copy: %s", entry.job.id, exc)
            self._register.say(entry, f"{why}; it goes on there: {exc}")
        finally:
            self._room.release(ticket)

    async def _copy(
        self, entry: LiveJob, ticket: QueuedJob, first: BackendConfig, config: BackendConfig, why: str
    ) -> None:
        def say(text: str) -> None:
            self._register.say(entry, f"second copy on {config.name}: {text}")

        def hear(message: Message) -> None:  # what it tells is told of the first one already
            if ticket.begun_at_s is None:
                self._room.begun(ticket)
                self._register.update(entry, attempts=_with(entry.job, attempt, begun_at=_now()))

        def on_progress(meter: ProgressMeter) -> None:
            self._register.update(entry, progress=meter.fraction)
            say(meter.text)

        run = await self._launch.ready(ticket, config, say)
        attempt = Attempt(run.prompt_id, config.id, _now())
        # Before the first one: the last attempt is the one that the job's record speaks of.
        attempts = (*entry.job.attempts[:-1], attempt, entry.job.attempts[-1])
        self._register.update(entry, attempts=attempts)
        say(why)
        await self._journal.save_job(entry.job)
        outcome, reason, went_down = OvertakenError.code, f"{first.name} was done before", False
        try:
            result = await run.run(
                entry.job.id,
                entry.job.request,
                hear,
                on_progress,
                on_trouble=say,
                delivery=entry.delivery,
            )
        except OrchestratorError as exc:
            outcome, reason = exc.code, str(exc)
            went_down = is_victim(exc, ticket.begun_at_s is not None)
            raise
        else:
            self._win(entry, attempt, config, result, f"on {config.name} because {why}")
        finally:
            if entry.second is None or entry.second.result is None:
                if entry.cancel_reason:
                    outcome, reason = "cancelled", entry.cancel_reason
                how = {"outcome": outcome, "reason": reason, "is_victim": went_down}
                closed = _with(entry.job, attempt, ended_at=_now(), **how)
                self._register.update(entry, attempts=closed)

    def _win(
        self, entry: LiveJob, mine: Attempt, config: BackendConfig, result: AttemptResult, why: str
    ) -> None:
        mine = next(known for known in entry.job.attempts if known.prompt_id == mine.prompt_id)
        mine = replace(mine, begun_at=mine.begun_at or mine.started_at)  # it may have told nothing
        *others, first = (known for known in entry.job.attempts if known.prompt_id != mine.prompt_id)
        reason = f"a second copy on {config.name} was done before"
        overtaken = replace(first, ended_at=_now(), outcome=OvertakenError.code, reason=reason)
        attempts = (*others, overtaken, mine)
        self._register.update(entry, attempts=attempts, backend_id=config.id, explanation=why)
        if entry.second is not None and entry.task is not None:
            entry.second.result = result
            entry.task.cancel()


def _with(job: Job, attempt: Attempt, **changes: Any) -> tuple[Attempt, ...]:
    return tuple(
        replace(known, **changes) if known.prompt_id == attempt.prompt_id else known for known in job.attempts
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
