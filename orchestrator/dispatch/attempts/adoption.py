"""Jobs that an earlier process had handed to a peer: this one goes on with them."""

from __future__ import annotations

import asyncio

from ...backends.manager import BackendManager
from ...clock import utc_now
from ...core.engine.faults.withdrawal import Unwanted
from ...core.models.backend import BackendConfig, Health
from ...core.models.job import Attempt, Job
from ...core.prompts.preparation import Prepared
from ...core.workflow.object_info import ObjectInfo
from ...errors import JobLostError, NotFoundError
from ..interfaces import Peers
from ..queue.job_queue import JobQueue
from ..queue.queued_job import QueuedJob
from .attempt import AttemptContext, AttemptRun


class Adoption:
    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        queue: JobQueue,
        context: AttemptContext,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._queue = queue
        self._context = context

    def expect(self, attempt: Attempt) -> None:
        """Before any is followed, so that none takes another one for a further round of its own."""
        self._context.sent.append(attempt.prompt_id, attempt.backend_id)

    async def last_attempt(self, job: Job, queued: QueuedJob, *, is_back: bool = False) -> AttemptRun:
        """The attempt that the journal says is under way, ready to be followed. `is_back`: its peer was away
        and has answered.

        Raises:
            JobLostError: nobody can be asked about it now. Should it still run there, it is cancelled later.
        """
        attempt = job.attempts[-1]
        config = self._manager.find(attempt.backend_id)
        if config is None:
            raise JobLostError("ComfyUI was restarted, and the peer that had the job is no longer there.")
        client, events = self._peers(config), self._peers.events(config)
        known = await self._definitions(queued, config, attempt.begun_at is not None, is_back)
        if known is None:
            await self.withdraw(attempt)
            raise JobLostError(
                f"ComfyUI was restarted, and {config.name}, which had the job, does not answer."
            )
        self.expect(attempt)
        return AttemptRun(
            self._context,
            client,
            events,
            config,
            *known,
            prompt_id=attempt.prompt_id,
            left_at=queued.left_at,
        )

    async def withdraw(self, attempt: Attempt) -> None:
        """Nobody waits for this attempt any more."""
        was_there = attempt.begun_at is not None
        unwanted = Unwanted(attempt.prompt_id, attempt.backend_id, utc_now(), was_there=was_there)
        await self._context.withdrawals.withdraw(unwanted)

    async def _definitions(
        self, queued: QueuedJob, config: BackendConfig, has_begun: bool, is_back: bool
    ) -> tuple[ObjectInfo, Prepared] | None:
        """Wait until the peer has told its nodes, which at a start it has not yet; None when it does not."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._context.follow.suspect_s
        changed = asyncio.Event()
        undo = self._manager.subscribe(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                known = await self._queue.go_on(queued, config.id, has_begun)
                health = self._manager.get_status(config.id).health
                hopeless = health is Health.NEEDS_KEY or (health is Health.DOWN and not is_back)
                if known is not None or hopeless or clock() > end:
                    return known
                waiting = asyncio.create_task(changed.wait(), name="remote-dispatch wait for definitions")
                try:
                    await asyncio.wait({waiting}, timeout=max(0.0, end - clock()))
                finally:
                    waiting.cancel()
        except NotFoundError:  # it was removed meanwhile
            return None
        finally:
            undo()
