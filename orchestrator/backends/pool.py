"""The kept connections: a client and an event stream per peer, new ones when how it is reached changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..background import BackgroundTasks
from ..core.models.backend import BackendConfig
from .client import ComfyUIClient
from .events import EventStream
from .resolver import CheckedResolver

DEAF_AFTER = 3  #: connections for events that were refused in a row


@dataclass
class _Kept:
    key: tuple[str, str, tuple[tuple[str, str], ...]]
    client: ComfyUIClient
    client_id: str  #: of its event stream; "" for a new one
    events: EventStream | None = None


class ClientPool:
    """`make_headers(backend_id)` gives a peer's credentials as headers; `timeout_s` is a client's own.

    ``master_id``: hex digits that are the same after a restart, so that a peer's first event stream hears
    what was posted before it; set before the first stream is asked for.
    """

    master_id = ""

    def __init__(self, make_headers: Callable[[str], Mapping[str, str]], timeout_s: float = 5.0) -> None:
        self._make_headers = make_headers
        self._timeout_s = timeout_s
        self._resolver = CheckedResolver()  # one for all: where a name led first counts for every peer
        self._retired: list[ComfyUIClient] = []
        self._connections: dict[str, _Kept] = {}
        self._closing = BackgroundTasks()

    @property
    def sender(self) -> str:
        """Names this master to others, and tells them nothing that its client ids could be made of."""
        return uuid.uuid5(uuid.UUID(self.master_id), "sender").hex if self.master_id else "1"

    def __call__(self, config: BackendConfig) -> ComfyUIClient:
        return self._connection(config).client

    def events(self, config: BackendConfig) -> EventStream:
        """The peer's event stream; it connects at the first call."""
        connection = self._connection(config)
        if connection.events is None:
            connection.events = EventStream(connection.client, client_id=connection.client_id)
            connection.events.start()
        return connection.events

    def is_deaf(self, config: BackendConfig) -> bool:
        """Whether its event stream, if it was ever asked for one, was refused again and again."""
        known = self._connections.get(config.id)
        return known is not None and known.events is not None and known.events.refusals >= DEAF_AFTER

    async def drop(self, backend_id: str) -> None:
        """Hear no more of a peer. A holder of its client, such as a job there, can go on using it."""
        kept = self._connections.pop(backend_id, None)
        if kept is not None:
            await self._retire(kept)

    async def aclose(self) -> None:
        for backend_id in tuple(self._connections):
            await self.drop(backend_id)
        await self._closing.settled()
        for client in self._retired:
            await client.close()
        self._retired.clear()

    def _connection(self, config: BackendConfig) -> _Kept:
        headers = self._make_headers(config.id)
        key = (config.url, config.tls, tuple(sorted(headers.items())))
        known = self._connections.get(config.id)
        if known is not None and known.key == key:
            return known
        if known is not None:
            self._closing.start(self._retire(known), f"close {config.id}")
        client = ComfyUIClient(
            config.url,
            headers=headers,
            timeout_s=self._timeout_s,
            resolver=self._resolver,
            tls=config.tls,
            sender=self.sender,
        )
        # With two sockets of one id the newer goes deaf, and an earlier one may still be closing.
        stable = self.master_id if known is None else ""
        client_id = stable and uuid.uuid5(uuid.UUID(stable), config.id).hex
        self._connections[config.id] = _Kept(key, client, client_id)
        return self._connections[config.id]

    async def _retire(self, kept: _Kept) -> None:
        self._retired.append(kept.client)
        if kept.events is not None:
            await kept.events.aclose()
