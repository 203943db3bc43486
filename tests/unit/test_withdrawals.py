"""Copies that nobody waits for are withdrawn until their peer hears it, or the engine closes."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import Any

from orchestrator.dispatch.withdrawals import Withdrawals


class Deaf:
    """A prompt whose peer does not answer, and whose question swallows a cancellation, as Python 3.11 may."""

    prompt_id, peer = "p", "gpu"

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def cancel(self) -> bool:
        self.asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False


async def test_closing_ends_also_where_a_cancellation_gets_lost() -> None:
    withdrawals, deaf = Withdrawals(pause_s=3600, give_up_after_s=3600), Deaf()
    withdrawals.add(deaf)  # type: ignore[arg-type]
    await deaf.asked.wait()
    closing = asyncio.create_task(withdrawals.aclose())
    done, _ = await asyncio.wait({closing}, timeout=10)
    assert done == {closing}


class Tough:
    """A prompt that goes on although it was stopped."""

    prompt_id, peer = "p", "gpu"

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def see_it_end(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_a_prompt_that_does_not_end_is_looked_at_for_a_while_and_then_let_be() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: complaints.append(about))
    withdrawals, tough = Withdrawals(pause_s=3600, give_up_after_s=0.01), Tough()
    withdrawals.watch(tough)  # type: ignore[arg-type]
    await tough.ended.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert not complaints
