"""F50 of the fault list: what nobody waits for ends on its peer, however late that can be told so."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.job import Job, JobState
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import Master, outcomes, started
from tests.fakes.proxy import Proxy
from tests.fakes.waiting import until, until_told
from tests.faults.rig import Rig, standing

IMPATIENT = HealthPolicy(poll_s=0.05, timeout_s=0.2)


async def unwanted(master: Master) -> list[str]:
    return [one.prompt_id for one in await master.runtime.store.load_unwanted()]


async def test_f50_a_job_that_is_stopped_while_its_peer_is_out_of_reach_ends_there_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(tmp_path, health=IMPATIENT) as rig:
        job = await rig.submit_to(rig.a)
        rig.a.freeze()
        await rig.master.runtime.jobs.cancel(job.id)
        assert rig.master.job(job).state is JobState.CANCELLED
        assert rig.a.running == rig.master.prompt_id(job)
        rig.a.thaw()
        await until(lambda: rig.a.running is None, "it ends there too")
        await forgotten(rig.master)
    await rig.check_afterwards(caplog.text)


async def forgotten(master: Master) -> None:
    """There is nothing left to end, and the journal knows that."""

    async def nothing_left() -> bool:
        return not await unwanted(master)

    await until_told(nothing_left, "nothing is left to end")


async def test_f50_what_was_stopped_in_vain_is_stopped_by_the_next_process(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer:
        async with started(tmp_path, health=IMPATIENT) as master:
            await master.add("gpu", peer)
            peer.on_prompt = "hold"
            job = await master.submit(picture())
            late = await master.running_on(peer, job)
            peer.freeze()
            await master.runtime.jobs.cancel(job.id)
            assert await unwanted(master) == [late]
        async with started(tmp_path, health=IMPATIENT) as master:
            assert peer.running == late
            peer.thaw()
            await until(lambda: peer.running is None, "it ends")
            await forgotten(master)
            assert master.job(job).state is JobState.CANCELLED


async def test_f50_a_prompt_that_arrives_after_its_job_was_stopped_ends_too(tmp_path: Path) -> None:
    async with standing(tmp_path) as rig:
        late: list[web.Request] = []

        async def hang(request: web.Request) -> web.StreamResponse:
            late.append(request)
            await asyncio.Event().wait()
            raise AssertionError("nobody sets that event")

        rig.a.on_prompt = "hold"
        rig.a.answers["/prompt"] = hang
        job = await rig.submit(peer="a")
        await until(lambda: late, "it was posted")
        await rig.master.runtime.jobs.cancel(job.id)
        asked = len(rig.a.asked("/queue"))
        await until(lambda: len(rig.a.asked("/queue")) > asked + 20, "the peer was asked for a while")
        rig.a.accept(rig.a.asked("/prompt")[0].json)
        assert rig.a.prompts[0].id == rig.master.prompt_id(job)
        await until(lambda: rig.a.running is None and not rig.a.pending, "it ends")


async def test_f50_a_node_that_hears_no_interrupt_is_interrupted_until_it_has_ended(rig: Rig) -> None:
    async def deaf(_: web.Request) -> web.Response:
        return web.Response()

    rig.a.answers["/interrupt"] = deaf
    job = await rig.submit_to(rig.a)
    await rig.master.runtime.jobs.cancel(job.id)
    await until(lambda: len(rig.a.asked("/interrupt")) > 3, "it is asked again and again")
    assert rig.a.running == rig.master.prompt_id(job)
    await rig.a.finish(rig.a.running or "")
    await forgotten(rig.master)
    told = len(rig.a.asked("/interrupt"))
    await rig.run(peer="b")
    assert len(rig.a.asked("/interrupt")) == told


async def test_f50_an_attempt_that_was_given_up_ends_when_its_peer_answers_again(tmp_path: Path) -> None:
    async with standing(tmp_path, health=IMPATIENT) as rig:
        job = await rig.submit_to(rig.a)
        late = rig.master.prompt_id(job)
        rig.a.freeze()
        assert outcomes(await rig.end_of(job)) == ["lost", "done"]
        rig.a.thaw()
        await until(lambda: late not in (rig.a.running, *rig.a.pending), "it ends")
        await forgotten(rig.master)


@pytest.mark.long
async def test_f50_of_a_hundred_jobs_that_are_stopped_none_runs_on_though_peers_were_out_of_reach(
    tmp_path: Path,
) -> None:
    """Two at a time on each of ten peers; three cannot be reached when theirs are stopped: 30 of all."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(FakeComfyUI()) for _ in range(10)]
        proxies = [await stack.enter_async_context(Proxy(peer.port)) for peer in peers]
        master = await stack.enter_async_context(
            started(tmp_path, health=HealthPolicy(poll_s=0.5, timeout_s=3.0))
        )
        manager = master.runtime.manager
        for number, (peer, proxy) in enumerate(zip(peers, proxies, strict=True)):
            peer.object_info, peer.on_prompt = stock_classes(), "hold"
            await master.add(f"gpu-{number}", proxy.url)

        def all_up() -> bool:
            return all(manager.get_status(config.id).health.value == "up" for config in manager.all())

        loop, took_s = asyncio.get_running_loop(), list[float]()
        stopped: list[Job] = []
        while len(stopped) < 100:
            await until(all_up, "all are used", 60.0)
            jobs = [await master.submit(picture(len(stopped) + number)) for number in range(20)]
            await until(lambda: all(peer.running and peer.pending for peer in peers), "all are busy", 60.0)
            for proxy in proxies[:3]:
                proxy.passing.clear()
            await asyncio.gather(*(master.runtime.jobs.cancel(job.id) for job in jobs))
            stopped += jobs
            for proxy in proxies[:3]:
                proxy.passing.set()
            back_s = loop.time()
            await until(lambda: not any(p.running or p.pending for p in peers), "nothing runs on", 60.0)
            took_s.append(loop.time() - back_s)
        await forgotten(master)
        print(f"F50: the last of them ended {max(took_s):.1f} s after the peers were back")
        assert {(await master.runtime.jobs.get(job.id)).state for job in stopped} == {JobState.CANCELLED}
        assert sum(len(peer.prompts) for peer in peers) == 100
