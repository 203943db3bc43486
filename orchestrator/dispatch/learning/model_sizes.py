"""Asks each peer what its model files weigh, once for each node list that it told; nothing waits for it.

A kind of graph knows its files by name, not by folder. Where two folders have a file of the same name, the
larger one counts: a job that loads sooner than expected, or that fits after all, is the smaller surprise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from ...backends.client import ComfyUIClient
from ...backends.gate import when_let
from ...backends.manager import BackendManager
from ...core.engine.estimates.learned import TOLD_MAX
from ...core.prompts.peer_files import is_model_file
from ...core.workflow.object_info import ObjectInfo
from ...errors import AnswerError, PeerBusyError, PeerError, PeerProtocolError
from ..interfaces import Peers
from ..queue.fleet_view import FleetView

log = logging.getLogger(__name__)

LIMIT_S = 120.0  #: for all of a peer's folders
FILES_MAX = TOLD_MAX // 4  #: of one peer: one that makes up names must not push out what others told


class ModelSizes:
    def __init__(self, manager: BackendManager, peers: Peers, fleet: FleetView) -> None:
        self._manager = manager
        self._peers = peers
        self._fleet = fleet
        self._asked: dict[str, tuple[int, ObjectInfo | None]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = self._manager.subscribe(self._peer_changed)
        for config in self._manager.all():
            self._peer_changed(config.id)

    async def aclose(self) -> None:
        if self._unsubscribe:
            self._unsubscribe()
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _peer_changed(self, backend_id: str) -> None:
        config = self._manager.find(backend_id)
        if config is None or config.id != backend_id:  # removed
            self._asked.pop(backend_id, None)
            return
        info = self._manager.get_object_info(backend_id)
        asked = self._manager.get_status(backend_id).generation, info
        if info is None or asked == self._asked.get(backend_id):
            return
        self._asked[backend_id] = asked
        if before := self._tasks.pop(backend_id, None):
            before.cancel()
        work = self._ask(backend_id, self._peers(config))
        task = asyncio.create_task(work, name=f"remote-dispatch files of {backend_id}")
        self._tasks[backend_id] = task
        task.add_done_callback(lambda done: self._ended(backend_id, done))

    def _ended(self, backend_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(backend_id) is task:
            del self._tasks[backend_id]

    async def _ask(self, backend_id: str, client: ComfyUIClient) -> None:
        sizes: dict[str, int] = {}
        try:
            await asyncio.wait_for(_collect(client, sizes), LIMIT_S)
        except (PeerError, asyncio.TimeoutError) as exc:
            log.debug("Not all files of %s are known: %s", backend_id, exc)
        if sizes and self._manager.find(backend_id) is not None:
            self._fleet.knowledge.note_sizes({name: size / 2**30 for name, size in sizes.items()})
            self._fleet.show(backend_id)


async def _collect(client: ComfyUIClient, sizes: dict[str, int]) -> None:
    """One folder after another: each makes the peer look through its disk."""
    for folder in await when_let(client.model_folders, LIMIT_S):
        try:
            found = await when_let(partial(client.model_sizes, folder), LIMIT_S)
        except PeerBusyError:
            raise
        except (AnswerError, PeerProtocolError):
            continue  # it has it no more, or cannot read it
        for name, size in found.items():
            if is_model_file(name) and (name in sizes or len(sizes) < FILES_MAX):
                sizes[name] = max(size, sizes.get(name, 0))
