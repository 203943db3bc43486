"""Makes an attempt ready: its prompt for this peer, its inputs there, its events heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping

from ...core.models.backend import BackendConfig, Health
from ...core.models.job import Job
from ...core.prompts.requirements import Doubt
from ...errors import ResultError, TakenBackError
from ..interfaces import Peers
from ..queue.job_queue import JobQueue
from ..queue.queued_job import NOT_HELD, Hold, QueuedJob
from .attempt import AttemptContext, AttemptRun

EVENTS_WAIT_S = 0.5  #: for a peer that was away; without its events a job is followed by polls


class _OnItsWay(Hold):
    """`task` makes the attempt ready; `is_ending`: whether it is being cancelled for good."""

    def __init__(self, task: asyncio.Task[object] | None, is_ending: Callable[[], bool]) -> None:
        self._task = task
        self._is_ending = is_ending
        self.is_called_off = False

    def call_off(self) -> bool:
        if self._task is None or self._is_ending():
            return False
        self.is_called_off = self.is_called_off or self._task.cancel()
        return self.is_called_off

    def undo(self) -> bool:
        """Whether it was this that cancelled the task, which may go on then."""
        if self._task is None or not self.is_called_off or self._is_ending():
            return False
        with contextlib.suppress(AttributeError):  # Python 3.10 keeps no count
            self._task.uncancel()
        return True


@contextlib.contextmanager
def on_its_way(queued: QueuedJob, peer: str, is_ending: Callable[[], bool]) -> Iterator[None]:
    """Within it the job can be called off, which interrupts the present task. `is_ending`: whether that
    task is being cancelled for good.

    Raises:
        TakenBackError: it was called off.
    """
    queued.hold = hold = _OnItsWay(asyncio.current_task(), is_ending)
    try:
        yield
    except asyncio.CancelledError:
        if not hold.undo():
            raise
    finally:
        queued.hold = NOT_HELD
    if hold.is_called_off:
        raise TakenBackError(f"It was called off before {peer} had it, and another peer is to run it.")


class Launch:
    """`look_twice`: see Recovery."""

    def __init__(
        self,
        queue: JobQueue,
        peers: Peers,
        context: AttemptContext,
        look_twice: Callable[[Mapping[str, Doubt]], Awaitable[bool]],
    ) -> None:
        self._look_twice = look_twice
        self._queue = queue
        self._peers = peers
        self._context = context

    def may_run_elsewhere(self, queued: QueuedJob, job: Job) -> bool:
        """Whether another peer could take the job, and none has lost its results before."""
        if any(attempt.outcome == ResultError.code for attempt in job.attempts):
            return False
        request, not_there = (
            queued.request,
            {job.backend_id, *queued.tried, *self._queue.variants.lacking(queued)},
        )
        return any(
            peer.status.health is Health.UP and peer.config.id not in not_there
            for peer in self._queue.fleet.snapshots()
            if not request.peer and set(request.tags) <= set(peer.config.tags)
        )

    async def ready(self, queued: QueuedJob, config: BackendConfig, say: Callable[[str], None]) -> AttemptRun:
        """`say` hears what takes time.

        Raises:
            TakenBackError: the peer's nodes are not known just now. WorkflowError, PeerError: see
            ``AttemptRun.send_inputs``.
        """
        known = self._queue.prepared(queued, config.id)
        if known is None:
            raise TakenBackError(f"{config.name} is being asked for its nodes again.")
        variants = self._queue.variants
        if variants.cautions(queued, config.id) and await self._look_twice(variants.doubts(queued)):
            raise TakenBackError(f"{config.name}, or another peer, has other nodes or files by now.")
        events = self._peers.events(config)
        node_s = self._queue.fleet.knowledge.node_times.of(queued.kind)
        run = AttemptRun(
            *(self._context, self._peers(config), events, config, *known),
            left_at=queued.left_at,
            node_s=node_s,
        )
        if run.has_inputs:
            say(f"sending input files to {config.name}")
            await run.send_inputs()
        await events.wait_connected(EVENTS_WAIT_S)
        self._context.sent.append(run.prompt_id, config.id)
        return run
