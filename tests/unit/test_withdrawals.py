"""Copies that nobody waits for are withdrawn until their peer hears it, or the engine closes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

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
