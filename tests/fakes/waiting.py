"""Waiting for something to become true, with a deadline instead of a guess."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(condition: Callable[[], Any], what: str = "", deadline_s: float = 10.0) -> Any:
    """The first true answer of `condition`, asked every few milliseconds."""

    async def ask() -> Any:
        return condition()

    return await until_told(ask, what, deadline_s)


async def until_told(ask: Callable[[], Awaitable[Any]], what: str = "", deadline_s: float = 10.0) -> Any:
    """The same of an answer that takes a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not (answer := await ask()):
        if loop.time() > end:
            raise AssertionError(f"Not within {deadline_s} s: {what or 'what the test waits for'}")
        await asyncio.sleep(0.005)
    return answer
