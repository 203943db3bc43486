"""Asks every enabled peer how it is, again and again, and keeps its node list fresh."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timezone

from ..core.engine.health import HealthPolicy, after_answer, after_failure
from ..core.models.backend import BackendConfig, BackendStatus, Health
from ..core.workflow.object_info import ObjectInfo
from ..errors import NotFoundError, PeerError, PeerProtocolError, WorkflowError
from .client import ComfyUIClient
from .manager import BackendManager

log = logging.getLogger(__name__)


class HealthMonitor:
    """`client_factory` owns the clients it hands out; the monitor never closes them."""

    def __init__(
        self,
        manager: BackendManager,
        client_factory: Callable[[BackendConfig], ComfyUIClient],
        policy: HealthPolicy | None = None,
    ) -> None:
        self._manager = manager
        self._client_for = client_factory
        self._policy = policy or HealthPolicy()
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._unsubscribe: Callable[[], None] | None = None

    async def run(self) -> None:
        """One sweep: judge the health of all enabled peers at the same time."""
        await asyncio.gather(*(self._judge(config) for config in self._manager.all() if config.enabled))

    async def check(self, backend_id: str) -> BackendStatus:
        """Ask one peer now, and read its node list if that is missing or may be stale.

        Raises:
            NotFoundError: there is no such peer (any more).
        """
        async with self._locks.setdefault(backend_id, asyncio.Lock()):
            config = self._manager.get(backend_id)
            status = await self._judge(config)
            if status.health is Health.UP and self._manager.get_object_info(backend_id) is None:
                await self._read_object_info(config, status.generation)
            return self._manager.get_status(backend_id)

    def start(self) -> None:
        """Watch all peers, those that are added later too."""
        self._unsubscribe = self._manager.subscribe(self._follow)
        for config in self._manager.all():
            self._follow(config.id)

    async def aclose(self) -> None:
        if self._unsubscribe:
            self._unsubscribe()
        tasks = tuple(self._watchers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, backend_id: str) -> None:
        config = self._manager.find(backend_id)
        watched = backend_id in self._watchers
        if config is not None and config.enabled and not watched:
            task = asyncio.create_task(self._watch(backend_id), name=f"remote-dispatch watch {backend_id}")
            self._watchers[backend_id] = task
            task.add_done_callback(lambda _: self._watchers.pop(backend_id, None))

    async def _watch(self, backend_id: str) -> None:
        while True:
            config = self._manager.find(backend_id)
            if config is None or not config.enabled:
                return
            try:
                await self.check(backend_id)
            except NotFoundError:
                return
            except Exception:
                log.exception("Checking peer %s failed", config.name)
            spread = self._policy.jitter * random.uniform(-1, 1)  # noqa: S311
            await asyncio.sleep(self._policy.poll_s * (1 + spread))

    async def _judge(self, config: BackendConfig) -> BackendStatus:
        client = self._client_for(config)
        error: PeerError | None = None
        try:
            if not await client.health_check():
                error = PeerProtocolError(f"{config.url} says that it is not well.")
        except PeerError as exc:
            error = exc
        before = self._manager.get_status(config.id)
        if self._manager.get(config.id).url != config.url:
            return before  # edited meanwhile: this answer is another machine's
        now = datetime.now(timezone.utc)
        if error is None:
            after = after_answer(before, client.latest, now, self._policy)
        else:
            after = after_failure(before, error, now, self._policy)
        _log_transition(config, before, after)
        self._manager.set_status(config.id, after)
        return after

    async def _read_object_info(self, config: BackendConfig, generation: int) -> None:
        try:
            raw = await self._client_for(config).object_info()
            info = await asyncio.to_thread(ObjectInfo, raw)
        except (PeerError, WorkflowError) as exc:
            log.warning("The node list of %s could not be read: %s", config.name, exc)
            return
        self._manager.set_object_info(config.id, info, generation)


def _log_transition(config: BackendConfig, before: BackendStatus, after: BackendStatus) -> None:
    if before.health is after.health:
        return
    if after.health is Health.UP:
        log.info("Peer %s (%s) is up", config.name, config.url)
    else:
        log.warning("Peer %s (%s) is %s: %s", config.name, config.url, after.health.value, after.reason)
