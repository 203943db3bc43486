"""Looks for running jobs of which nothing is heard any more, and says so on them. Nothing else is done."""

from __future__ import annotations

import asyncio
import logging

from ..backends.manager import BackendManager
from ..core.engine.silence import SilencePolicy, silent_job
from ..core.models.backend import LOCAL_PEER_ID, BackendConfig
from ..core.models.job import JobState
from .interfaces import Peers
from .queue.registry import JobRegistry, LiveJob

log = logging.getLogger(__name__)


class SilenceWatch:
    """Belongs to one event loop, like the dispatcher whose jobs it watches."""

    def __init__(
        self, manager: BackendManager, peers: Peers, register: JobRegistry, policy: SilencePolicy
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._register = register
        self._policy = policy
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watch = asyncio.create_task(self._run(), name="remote-dispatch silence")

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._policy.look_s)
            try:
                self._look(asyncio.get_running_loop().time())
            except Exception:
                log.exception("Looking for silent jobs failed; it is tried again")

    def _look(self, now_s: float) -> None:
        for entry in self._register:
            silent_s = now_s - entry.heard_at_s
            config = self._peer_of(entry) if silent_s >= self._policy.silent_s else None
            if config is not None:
                self._tell(entry, config, silent_s)

    def _peer_of(self, entry: LiveJob) -> BackendConfig | None:
        """Where a job is at work, if it could be heard from there."""
        job = entry.job
        has_begun = job.state is JobState.RUNNING and job.begun_at is not None
        if not has_begun or job.backend_id == LOCAL_PEER_ID:
            return None
        config = self._manager.find(job.backend_id)
        return config if config and self._peers.events(config).is_connected else None

    def _tell(self, entry: LiveJob, config: BackendConfig, silent_s: float) -> None:
        text = silent_job(entry.job.request.prompt, entry.at_node, config.name, silent_s)
        if not entry.job.is_silent:
            log.warning("Job %s: %s", entry.job.id, text)
        if entry.second is not None and not entry.second.task.done():
            text = entry.job.progress_text  # the second copy has more to say
        if not entry.job.is_silent or text != entry.job.progress_text:
            self._register.update(entry, is_silent=True, progress_text=text)
