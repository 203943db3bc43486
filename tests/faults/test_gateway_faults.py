"""Peers behind a gateway or a proxy: what it shares, forbids and refuses."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.job import JobState
from tests.fakes.answers import answer
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.gateway import Gateway
from tests.fakes.graphs import loaded_picture, picture, stock_classes
from tests.fakes.master import FOLLOW as QUICK
from tests.fakes.master import outcomes, started
from tests.fakes.waiting import until

#: Not quite as hasty as other tests: everything passes through a proxy written in Python.
HEALTH = HealthPolicy(poll_s=0.5, timeout_s=10.0)
FOLLOW = replace(QUICK, poll_s=0.2)
AT_ONCE = 2  #: requests that a poll may have under way when the first of them is refused


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


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [
        pytest.param(429, "1"),
        pytest.param(429, "", marks=pytest.mark.long),
        pytest.param(503, "1", marks=pytest.mark.long),
        pytest.param(503, "", marks=pytest.mark.long),  # what nginx's limit_req answers unless it is told
    ],
    ids=str,
)
async def test_f48_a_proxy_that_lets_two_requests_a_second_through_is_asked_less(
    tmp_path: Path, status: int, retry_after: str
) -> None:
    async with FakeComfyUI() as peer, Gateway({"gpu": peer.url}) as gateway, started(tmp_path) as master:
        peer.object_info = stock_classes()
        peer.models = {f"folder-{number}": {"a.safetensors": 1} for number in range(5)}
        gateway.rate, gateway.limit_status, gateway.retry_after = 2.0, status, retry_after
        backend_id = await master.add("gpu", gateway.url("gpu"))
        jobs = [await master.submit(picture(seed=seed)) for seed in range(6)]
        ended = [await master.end_of(job, deadline_s=120) for job in jobs]
        assert [outcomes(job) for job in ended] == [["done"]] * 6
        assert len(peer.prompts) == 6
        conduct = master.runtime.manager.get_status(backend_id).conduct
        assert (conduct.failures, conduct.ejections) == (0, 0)
        # It learns: of what is sent most gets through.
        assert len(gateway.refused) < len(peer.requests)


async def test_f48_a_peer_that_asks_to_wait_is_not_asked_before_and_is_not_down(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, started(tmp_path) as master:
        backend_id = await master.add("gpu", peer)
        health = {master.runtime.manager.get_status(backend_id).health.value}
        master.runtime.manager.subscribe(
            lambda changed: health.add(master.runtime.manager.get_status(changed).health.value)
        )
        peer.answers["*"] = answer(status=429, headers={"Retry-After": "2"})
        refused_from = len(peer.requests)
        await until(lambda: len(peer.requests) > refused_from)
        asked = len(peer.requests)
        clock = asyncio.get_running_loop().time
        asked_at_s = clock()
        del peer.answers["*"]
        await until(lambda: len(peer.requests) > asked + AT_ONCE)
        assert clock() - asked_at_s > 1.5, "it was asked again as soon as two seconds were over, not before"
        assert health == {"up"}


async def test_f47_a_body_that_a_proxy_refuses_is_refused_once_and_says_what_to_set(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, Gateway({"gpu": peer.url}) as gateway:
        peer.object_info = stock_classes()
        gateway.body_max = 1 << 20
        async with started(tmp_path) as master:
            await asyncio.to_thread((master.input / "large.png").write_bytes, b"p" * 3_000_000)
            backend_id = await master.add("gpu", gateway.url("gpu"))
            first = await master.run(loaded_picture("large.png"))
            assert (first.state, outcomes(first)) == (JobState.FAILED, ["body_too_large"])
            assert first.error is not None
            message = first.error["message"]
            assert "A proxy in front of" in message and "client_max_body_size" in message
            conduct = master.runtime.manager.get_status(backend_id).conduct
            assert (conduct.failures, master.runtime.manager.get_status(backend_id).health.value) == (0, "up")
            small = await master.run(picture())
            assert small.state is JobState.DONE
        async with started(tmp_path) as master:  # another process knows it from the journal
            await until(lambda: master.runtime.manager.get_object_info(backend_id))
            again = await master.run(loaded_picture("large.png"))
            assert (again.state, outcomes(again)) == (JobState.FAILED, [])
            assert [status for _, status in gateway.refused] == [413]
            # After raising the limit one presses Test.
            gateway.body_max = 0
            master.runtime.manager.forget_body_limit(backend_id)
            assert (await master.run(loaded_picture("large.png"))).state is JobState.DONE


async def test_f47_a_prompt_that_a_proxy_refuses_runs_on_the_peer_without_one(tmp_path: Path) -> None:
    async with (
        FakeComfyUI() as near,
        FakeComfyUI() as far,
        Gateway({"near": near.url}) as gateway,
        started(tmp_path) as master,
    ):
        near.object_info = stock_classes()
        near.vram_free += 1 << 30  # it is preferred
        gateway.body_max = 1 << 20
        backend_id = await master.add("near", gateway.url("near"))
        await master.add("far", far)
        graph = picture()
        graph["1"]["inputs"]["drawing"] = "x" * 3_000_000
        job = await master.run(graph)
        assert (job.state, outcomes(job)) == (JobState.DONE, ["body_too_large", "done"])
        assert [status for _, status in gateway.refused] == [413]
        assert master.runtime.manager.get_status(backend_id).health.value == "up"


async def test_f47_a_peer_without_a_websocket_is_carried_by_polls_and_says_so(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, Gateway({"gpu": peer.url}) as gateway, started(tmp_path) as master:
        peer.object_info = stock_classes()
        peer.on_prompt = "hold"
        gateway.upgrades = False
        backend_id = await master.add("gpu", gateway.url("gpu"))
        job = await master.submit(picture())
        await until(lambda: peer.running)
        await until(lambda: master.job(job).begun_at, "the queue says that it runs")
        manager = master.runtime.manager
        await until(lambda: "no websocket reaches this peer" in manager.get_status(backend_id).reason)
        assert manager.get_status(backend_id).health.value == "up"
        await peer.finish(master.prompt_id(job))
        done = await master.end_of(job)
        assert (done.state, outcomes(done)) == (JobState.DONE, ["done"])
