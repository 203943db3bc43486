"""What a server tells of itself at every look: its devices, and which prompts are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..core.models.backend import QueueState, Vitals
from ..errors import (
    AnswerError,
    PeerBusyError,
    PeerError,
    PeerProtocolError,
    PeerRefusedError,
    PeerUnwellError,
)
from . import wire

LONG_READ_S = 0.5
LONG_READ_KEPT_S = 30.0  #: how long a queue that took longer to read is believed while it has as many prompts
_NOT_FOUND = 404


@dataclass(frozen=True)
class _LongQueue:
    """A queue of `remaining` prompts that took long to read, or could not be: it is believed for a while.
    ``note``: see Vitals."""

    remaining: int
    until_s: float
    queue: QueueState
    note: str


class VitalsReader:
    """`get` gives the JSON of a path of the server at `base_url`, `queue` all prompts that are there."""

    def __init__(
        self,
        base_url: str,
        get: Callable[[str], Awaitable[Any]],
        queue: Callable[[], Awaitable[QueueState]],
    ) -> None:
        self._base_url = base_url
        self._get = get
        self._queue = queue
        self._long_queue: _LongQueue | None = None

    async def read(self) -> Vitals:
        """GET /system_stats and how many prompts are there; then which, if there are any. One by one, so that
        an idle peer is looked at over one connection.

        Raises:
            PeerError: of the first two. A queue that cannot be read is one whose prompts nobody can name.
        """
        stats = await self._stats()
        return wire.vitals(stats, *await self._queue_of(await self.remaining()))

    async def remaining(self) -> int:
        """GET /prompt: how many prompts run or wait there.

        Raises:
            PeerError
        """
        return wire.remaining(await self._told("/prompt"))

    async def _stats(self) -> Any:
        try:
            return await self._told("/system_stats")
        except PeerUnwellError as exc:
            refused = exc.__cause__
            if not isinstance(refused, PeerRefusedError) or refused.status != _NOT_FOUND:
                raise
            path = urlsplit(self._base_url).path
            hint = f"Check the port, or leave out {path}." if path else "Check the port."
            raise PeerProtocolError(
                f"{self._base_url} answers and is not ComfyUI: it has no /system_stats there. {hint}"
            ) from refused

    async def _told(self, path: str) -> Any:
        """On these routes what is wrong with an answer is wrong with the machine."""
        try:
            return await self._get(path)
        except PeerBusyError:
            raise
        except AnswerError as exc:
            raise PeerUnwellError(str(exc)) from exc

    async def _queue_of(self, remaining: int) -> tuple[QueueState, str]:
        """The queue, which holds `remaining` prompts, and why they cannot be named, if they cannot."""
        if not remaining:
            return QueueState(), ""
        clock = asyncio.get_running_loop().time
        known = self._long_queue
        if known is None or known.remaining != remaining or clock() > known.until_s:
            began_s = clock()
            try:
                queue, note = await self._queue(), ""
            except PeerError as exc:
                queue, note = QueueState(unnamed=remaining), f"Which prompts wait there is not known: {exc}"
            known = _LongQueue(remaining, clock() + LONG_READ_KEPT_S, queue, note)
            # A short one is asked for with every poll; what takes long costs its peer too.
            self._long_queue = known if note or clock() - began_s > LONG_READ_S else None
        return known.queue, known.note
