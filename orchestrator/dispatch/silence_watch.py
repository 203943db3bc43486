"""Looks for running jobs of which nothing is heard any more, and says so on them. Nothing else is done."""

from __future__ import annotations

import asyncio
import logging

from ..backends.manager import BackendManager
from ..core.engine.faults.silence import SilencePolicy, silent_job
from ..core.models.backend import LOCAL_PEER_ID, BackendConfig
from ..core.models.job import JobState
from .interfaces import Peers
from .queue.registry import JobRegistry, LiveJob

log = logging.getLogger(__name__)


class SilenceWatch:
    """Belongs to one event loop, like the dispatcher whose jobs it watches."""

    def __init__(
        self, manager: BackendManager, peers: Peers, registry: JobRegistry, policy: SilencePolicy
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._registry = registry
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
        for live in self._registry:
            silent_s = now_s - live.heard_at_s
            config = self._peer_of(live) if silent_s >= self._policy.silent_s else None
            if config is not None:
                self._tell(live, config, silent_s)

    def _peer_of(self, live: LiveJob) -> BackendConfig | None:
        """Where a job is at work, if it could be heard from there."""
        job = live.job
        has_begun = job.state is JobState.RUNNING and job.begun_at is not None
        if not has_begun or job.backend_id == LOCAL_PEER_ID:
            return None
        config = self._manager.find(job.backend_id)
        return config if config and self._peers.events(config).is_connected else None

    def _tell(self, live: LiveJob, config: BackendConfig, silent_s: float) -> None:
        text = silent_job(live.job.request.prompt, live.at_node, config.name, silent_s)
        if not live.job.is_silent:
            log.warning("Job %s: %s", live.job.id, text)
        if live.second is not None and not live.second.task.done():
            text = live.job.progress_text  # the second copy has more to say
        if not live.job.is_silent or text != live.job.progress_text:
            self._registry.update(live, is_silent=True, progress_text=text)
