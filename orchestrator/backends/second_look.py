"""Asks peers, before a prompt is refused, for exactly what the "no" rests on: they may have got it since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..core.models.backend import BackendConfig, Health
from ..core.prompts.requirements import Doubt
from ..errors import NotFoundError, PeerError, PeerRefusedError
from .client import HTTP_NOT_FOUND, ComfyUIClient
from .health_monitor import shared
from .manager import BackendManager

ANSWER_S = 2.0  #: for all that is asked of all peers; who sends a prompt waits for it
AT_ONCE = 4  #: questions to one peer
CLASSES_MAX = 40  #: of more the whole list would be the shorter answer


class SecondLook:
    """`clients` owns the clients it hands out. What peers answer goes into the `manager`'s lists."""

    def __init__(
        self,
        manager: BackendManager,
        clients: Callable[[BackendConfig], ComfyUIClient],
        answer_s: float,
    ) -> None:
        self._manager = manager
        self._clients = clients
        self._answer_s = answer_s

    async def ask(self, doubts: Mapping[str, Doubt]) -> frozenset[str]:
        """Ask each of these peers, by id, what its doubt is about. Returns those that are up and did not
        answer in time; of one that is away what it told last still counts."""
        asked = {
            backend_id: doubt for backend_id, doubt in doubts.items() if doubt and self._is_up(backend_id)
        }
        tasks = {
            backend_id: asyncio.create_task(self._ask(backend_id, doubt), name=f"second look at {backend_id}")
            for backend_id, doubt in asked.items()
        }
        if not tasks:
            return frozenset()
        try:
            await asyncio.wait(tasks.values(), timeout=self._answer_s)
        finally:
            for task in tasks.values():
                task.cancel()
            found = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return frozenset(
            backend_id for backend_id, answer in zip(tasks, found, strict=True) if answer is not True
        )

    def _is_up(self, backend_id: str) -> bool:
        known = self._manager.find(backend_id)
        return known is not None and self._manager.get_status(backend_id).health is Health.UP

    async def _ask(self, backend_id: str, doubt: Doubt) -> bool:
        """Whether it answered."""
        try:
            before = self._manager.get_object_info(backend_id)
            client = self._clients(self._manager.get(backend_id))
            if before is None:
                return False
            turn = asyncio.Semaphore(AT_ONCE)

            async def one(class_type: str) -> tuple[str, Any]:
                async with turn:
                    return class_type, await _class_info(client, class_type)

            classes = sorted(doubt.classes)[:CLASSES_MAX]
            answers = dict(await asyncio.gather(*map(one, classes)))
            embeddings = await client.embeddings() if doubt.embeddings else None
            gone = {name for name, definition in answers.items() if definition is None}
            definitions = {name: definition for name, definition in answers.items() if name not in gone}
            newer = before.updated(definitions, gone, embeddings)
            known = self._manager.node_lists()
            newer = await asyncio.to_thread(shared, newer, (before, *known))
            if newer is not before:
                self._manager.renew_object_info(backend_id, newer, before)
            if doubt.upload_limit:
                self._manager.set_upload_limit(backend_id, await client.max_upload_bytes())
            return True
        except (PeerError, NotFoundError):
            return False


async def _class_info(client: ComfyUIClient, class_type: str) -> Any:
    try:
        return (await client.object_info(class_type)).get(class_type)
    except PeerRefusedError as exc:
        if exc.status == HTTP_NOT_FOUND:
            return None
        raise
