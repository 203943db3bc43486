"""All retries of the fleet share one budget: one that it cannot pay for waits until it can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ...core.engine.faults.retry_tokens import BudgetPolicy, RetryTokens


class RetryBudget:
    """Belongs to one event loop, whose clock it goes by."""

    def __init__(self, policy: BudgetPolicy) -> None:
        self._policy = policy
        self._budget: RetryTokens | None = None
        self._turn = asyncio.Lock()
        self._paid_in = asyncio.Event()

    def note_job(self) -> None:
        self._budget = self._now().with_job()
        self._paid_in.set()

    async def pay(self, on_wait: Callable[[], None]) -> None:
        """Return when a retry is paid for, first come first served; `on_wait` hears if that takes time."""
        if self._turn.locked():
            on_wait()
        async with self._turn:
            if self._now().wait_s() > 0:
                on_wait()
            while (wait_s := self._now().wait_s()) > 0:
                self._paid_in.clear()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._paid_in.wait(), wait_s)
            self._budget = self._now().with_retry()

    def _now(self) -> RetryTokens:
        now_s = asyncio.get_running_loop().time()
        self._budget = self._budget.at(now_s) if self._budget else RetryTokens.full(self._policy, now_s)
        return self._budget
