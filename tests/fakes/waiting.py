"""Waiting for something to become true, with a deadline instead of a guess."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], what: str = "", deadline_s: float = 10.0) -> Any:
    """The first true answer of `condition`, asked every few milliseconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not (answer := condition()):
        if loop.time() > end:
            raise AssertionError(f"Not within {deadline_s} s: {what or 'what the test waits for'}")
        await asyncio.sleep(0.005)
    return answer
