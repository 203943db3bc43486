"""Something is done once nothing has happened for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class QuietTimer:
    """``action`` is called when ``start_over`` was not for ``quiet_s`` seconds. Belongs to one event loop."""

    def __init__(self, quiet_s: float, action: Callable[[], object]) -> None:
        self._quiet_s = quiet_s
        self._action = action
        self._timer: asyncio.TimerHandle | None = None
        self._last_s = 0.0  #: on the loop's clock

    def start_over(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_s = loop.time()
        if self._timer is None:  # hundreds come in a second: one timer for all of them
            self._timer = loop.call_later(self._quiet_s, self._look)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        loop, due_s = asyncio.get_running_loop(), self._last_s + self._quiet_s
        self._timer = None
        if loop.time() < due_s:
            self._timer = loop.call_at(due_s, self._look)
        else:
            self._action()
