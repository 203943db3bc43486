"""Peers behind a gateway or a proxy: what it shares, forbids and refuses."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.engine.health import HealthPolicy
from orchestrator.core.models.job import JobState
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.gateway import Gateway
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import FOLLOW as QUICK
from tests.fakes.master import started
from tests.fakes.waiting import until

#: Not quite as hasty as other tests: everything passes through a proxy written in Python.
HEALTH = HealthPolicy(poll_s=0.5, timeout_s=10.0)
FOLLOW = replace(QUICK, poll_s=0.2)


@pytest.mark.parametrize("number", [3, 20])
async def test_f44_peers_behind_one_gateway_work_as_with_addresses_of_their_own(
    tmp_path: Path, number: int
) -> None:
    async with AsyncExitStack() as stack:
        peers = {f"gpu-{i}": await stack.enter_async_context(FakeComfyUI()) for i in range(number)}
        gateway = await stack.enter_async_context(Gateway({name: peer.url for name, peer in peers.items()}))
        master = await stack.enter_async_context(started(tmp_path, health=HEALTH, follow=FOLLOW))
        for name, peer in peers.items():
            peer.on_prompt = "hold"
            peer.object_info = stock_classes()
            await master.add(name, gateway.url(name))
        jobs = [await master.submit(picture(seed=seed)) for seed in range(60)]
        # Every one of them works at the same time, each with its event stream.
        await until(lambda: all(peer.running and peer.sockets for peer in peers.values()), deadline_s=30)
        for peer in peers.values():
            peer.on_prompt = "run"
            await peer.finish(str(peer.running))
        ended = await asyncio.gather(*map(master.end_of, jobs))
        assert {job.state for job in ended} == {JobState.DONE}
        assert sum(len(peer.prompts) for peer in peers.values()) == 60
        assert {
            master.runtime.manager.get_status(c.id).health.value for c in master.runtime.manager.all()
        } == {"up"}
