"""Of several copies of a job one is delivered."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.dispatch.queue.registry import Delivery
from orchestrator.errors import LocalDiskError, OvertakenError


async def test_who_comes_after_a_delivery_is_told_so() -> None:
    delivery = Delivery()
    async with delivery:
        late = asyncio.create_task(delivery.__aenter__())
        await asyncio.sleep(0)
        assert not late.done()
    with pytest.raises(OvertakenError, match="was done before"):
        await late


async def test_after_a_delivery_that_failed_the_next_one_may_try() -> None:
    delivery = Delivery()
    with pytest.raises(LocalDiskError):
        async with delivery:
            raise LocalDiskError("the disk is full")
    async with delivery:
        pass
    with pytest.raises(OvertakenError):
        async with delivery:
            pass
