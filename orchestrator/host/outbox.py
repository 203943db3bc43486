"""What clients of the host's websocket are told of fleet jobs, in order, as fast as each of them reads."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import aiohttp

log = logging.getLogger(__name__)

BEHIND = 32  #: messages that wait for a socket: from here on superseded ones are dropped
BACKLOG_MAX_BYTES = 128 << 20  #: of frames that must not be dropped; a client further behind is cut off


@dataclass(frozen=True)
class Outgoing:
    """One message. ``make`` gives its text or bytes, when its turn has come; None: it is not sent after all.

    ``replaces``: of several that wait with the same key only the newest counts; None: it must not be lost.
    ``ready``: what has to be known before it can be made. ``size``: about how many bytes it holds.
    """

    make: Callable[[], str | bytes | None]
    replaces: Hashable | None = None
    ready: asyncio.Future[Any] | None = None
    size: int = 500


def event_text(kind: str, data: Any) -> str:
    """A JSON message as the host writes it."""
    return json.dumps({"type": kind, "data": data})


class Outboxes:
    """`server` is the PromptServer. A slow client holds up nobody but itself."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._boxes: dict[str, _Outbox] = {}

    def send(self, client_id: str, message: Outgoing) -> None:
        """To one client; nothing where it is not connected."""
        if client_id not in self._server.sockets:
            return
        box = self._boxes.get(client_id)
        if box is None:
            box = _Outbox(self._server, client_id, lambda: self._boxes.pop(client_id, None))
            self._boxes[client_id] = box
        box.add(message)

    def broadcast(self, message: Outgoing) -> None:
        """To every client, as the host does for a prompt that nobody in particular queued."""
        for client_id in tuple(self._server.sockets):
            self.send(client_id, message)


class _Outbox:
    """Ends when it is empty; `on_end` hears so before anything else can be added."""

    def __init__(self, server: Any, client_id: str, on_end: Callable[[], object]) -> None:
        self._server = server
        self._client_id = client_id
        self._on_end = on_end
        self._closing: asyncio.Task[None] | None = None
        self._waiting: dict[int, Outgoing] = {}
        self._newest: dict[Hashable, int] = {}
        self._numbers = itertools.count()
        self._bytes = 0
        self.task = asyncio.create_task(self._run(), name=f"remote-dispatch events for {client_id[:40]}")

    def add(self, message: Outgoing) -> None:
        number = next(self._numbers)
        if message.replaces is not None:
            older = self._newest.get(message.replaces)
            self._newest[message.replaces] = number
            if older in self._waiting and len(self._waiting) >= BEHIND:
                self._take(older)
        self._waiting[number] = message
        self._bytes += message.size
        socket = self._server.sockets.get(self._client_id)
        if self._bytes > BACKLOG_MAX_BYTES and socket is not None and self._closing is None:
            log.warning("A client does not read what it is sent; its connection is closed")
            self._closing = asyncio.create_task(
                _quietly(socket.close(drain=False)), name="remote-dispatch close of a client"
            )

    def _take(self, number: int) -> Outgoing:
        message = self._waiting.pop(number)
        self._bytes -= message.size
        return message

    async def _run(self) -> None:
        try:
            await self._send_all()
        finally:
            self._on_end()

    async def _send_all(self) -> None:
        while self._waiting:
            socket = self._server.sockets.get(self._client_id)
            if socket is None:
                return
            message = self._take(next(iter(self._waiting)))
            if message.ready is not None:
                await asyncio.wait([message.ready])
            try:
                made = message.make()
            except Exception:
                log.exception("A message for a client could not be made")
                continue
            if isinstance(made, str):
                await _quietly(socket.send_str(made))
            elif made is not None:
                await _quietly(socket.send_bytes(made))


async def _quietly(sending: Any) -> None:
    """A client may leave at any moment, as the host itself takes it."""
    try:
        await sending
    except (aiohttp.ClientError, ConnectionError, RuntimeError) as exc:
        log.debug("A client is gone: %s", exc)
