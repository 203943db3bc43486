"""One sender for each socket of the host: everything in its order, as fast as that client reads."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

import aiohttp

log = logging.getLogger(__name__)

BEHIND = 32  #: messages that wait for a socket: from here on superseded ones are dropped
BACKLOG_MAX_BYTES = 128 << 20  #: of frames that must not be dropped; a client further behind is cut off
ASLEEP_MAX_BYTES = 8 << 20  #: the same for one that has taken nothing for a while
ASLEEP_AFTER_S = 15.0


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


class Outbox:
    """`send_text`, `send_bytes`: the socket's own, which wait for a client that does not read. `cut`: ends
    its connection, so that the page behind it reads all of it when it wakes. `asleep_after_s`: how long
    a message may take to be accepted."""

    def __init__(
        self,
        send_text: Callable[[str], Awaitable[None]],
        send_bytes: Callable[[bytes], Awaitable[None]],
        cut: Callable[[], object],
        asleep_after_s: float = ASLEEP_AFTER_S,
    ) -> None:
        self._asleep_after_s = asleep_after_s
        self._send_text = send_text
        self._send_bytes = send_bytes
        self._cut = cut
        self._is_cut = False
        self._waiting: dict[int, Outgoing] = {}
        self._newest: dict[Hashable, int] = {}
        self._numbers = itertools.count()
        self._bytes = 0
        self._sending_since_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, message: Outgoing) -> None:
        if self._is_cut:
            return
        number = next(self._numbers)
        if message.replaces is not None:
            older = self._newest.get(message.replaces)
            self._newest[message.replaces] = number
            if older in self._waiting and len(self._waiting) >= BEHIND:
                self._take(older)
        self._waiting[number] = message
        self._bytes += message.size
        if self._is_lost():
            self.cut_off()
        elif self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="remote-dispatch events for a client")

    def cut_off(self) -> None:
        """It is too far behind: nothing more is kept for it."""
        log.warning("A client does not read what it is sent; its connection is closed")
        self._is_cut = True
        self._forget()
        self._cut()

    def _is_lost(self) -> bool:
        since_s = self._sending_since_s
        is_asleep = since_s is not None and asyncio.get_running_loop().time() - since_s > self._asleep_after_s
        return self._bytes > (ASLEEP_MAX_BYTES if is_asleep else BACKLOG_MAX_BYTES)

    def _take(self, number: int) -> Outgoing:
        message = self._waiting.pop(number)
        if message.replaces is not None and self._newest.get(message.replaces) == number:
            del self._newest[message.replaces]
        self._bytes -= message.size
        return message

    def _forget(self) -> None:
        self._waiting.clear()
        self._newest.clear()
        self._bytes = 0

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                message = self._take(next(iter(self._waiting)))
                if message.ready is not None:
                    await asyncio.wait([message.ready])
                await self._send(message)
        finally:
            self._task = None

    async def _send(self, message: Outgoing) -> None:
        try:
            made = message.make()
        except Exception:
            log.exception("A message for a client could not be made")
            return
        self._sending_since_s = asyncio.get_running_loop().time()
        try:
            if isinstance(made, str):
                await self._send_text(made)
            elif made is not None:
                await self._send_bytes(made)
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as exc:
            # A client may leave at any moment, as the host itself takes it.
            log.debug("A client is gone: %s", exc)
            self._forget()
        finally:
            self._sending_since_s = None
