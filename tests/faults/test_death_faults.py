"""F45 and F51 of the fault list: who killed whom, judged when the peer is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.engine.faults.retry import RetryPolicy
from orchestrator.core.models.backend import Health
from orchestrator.core.models.job import Job, JobState
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.gateway import Gateway
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import Master, outcomes, started
from tests.fakes.proxy import Proxy
from tests.fakes.waiting import until
from tests.faults.rig import KEY, Rig, standing

IMPATIENT = HealthPolicy(poll_s=0.05, timeout_s=0.3)
DOWN_S = 0.4  #: how long a supervisor takes to start a ComfyUI again


@dataclass
class Victims:
    """``deaths``: the names of the peers that the job took down, in their order."""

    master: Master
    deaths: list[str]


async def _supervise(
    name: str, peer: FakeComfyUI, deaths: list[str], die: Callable[[FakeComfyUI], Awaitable[None]]
) -> None:
    """What runs on this peer takes it down; somebody starts it again."""
    while True:
        await until(lambda: peer.running and peer.sockets, "something runs", 60.0)
        deaths.append(name)
        await die(peer)


async def _restarted(peer: FakeComfyUI) -> None:
    await peer.go_down()
    await asyncio.sleep(DOWN_S)
    await peer.come_back()


async def _frozen(peer: FakeComfyUI) -> None:
    peer.freeze()
    await asyncio.Event().wait()


@asynccontextmanager
async def deadly(
    home: Path, die: Callable[[FakeComfyUI], Awaitable[None]], *, proxied: bool, retry: RetryPolicy
) -> AsyncIterator[Victims]:
    """Four peers that all that runs there takes down, in this way."""
    names = [f"gpu-{number}" for number in range(4)]
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(FakeComfyUI()) for _ in names]
        urls = {name: peer.url for name, peer in zip(names, peers, strict=True)}
        gateway = await stack.enter_async_context(Gateway(urls))
        master = await stack.enter_async_context(started(home, health=IMPATIENT, retry=retry))
        victims = Victims(master, [])
        for name, peer in zip(names, peers, strict=True):
            peer.object_info, peer.on_prompt = stock_classes(), "hold"
            await master.add(name, gateway.url(name) if proxied else peer.url)
        work = [_supervise(n, p, victims.deaths, die) for n, p in zip(names, peers, strict=True)]
        tasks = [asyncio.create_task(one, name="supervisor") for one in work]
        try:
            yield victims
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("proxied", [False, True], ids=["refused", "502"])
async def test_f45_a_job_that_ends_its_comfyui_is_set_aside_after_two_and_names_both(
    tmp_path: Path, proxied: bool
) -> None:
    retry = RetryPolicy(backoff_s=0.02)
    async with deadly(tmp_path, _restarted, proxied=proxied, retry=retry) as victims:
        job = await victims.master.submit(picture())
        await until(lambda: victims.master.job(job).state.is_final, "it comes to its end", 60.0)
        ended = victims.master.job(job)
        assert (ended.state, len(victims.deaths)) == (JobState.SET_ASIDE, 2)
        first, second = victims.deaths
        said = (ended.error or {})["message"]
        assert said.startswith(f"{first} and {second} went away while running this job")
        assert all(attempt.is_victim for attempt in ended.attempts)


async def test_f51_a_job_that_freezes_whole_machines_is_set_aside_after_two(tmp_path: Path) -> None:
    retry = RetryPolicy(backoff_s=0.02, clear_within_s=1.0)
    async with deadly(tmp_path, _frozen, proxied=False, retry=retry) as victims:
        job = await victims.master.submit(picture())
        await until(lambda: victims.master.job(job).state.is_final, "it comes to its end", 60.0)
        ended = victims.master.job(job)
        assert (ended.state, len(victims.deaths)) == (JobState.SET_ASIDE, 2)
        assert all(name in (ended.error or {})["message"] for name in victims.deaths)


async def test_f45_a_job_whose_peers_went_is_given_to_no_third_by_the_next_process_either(
    tmp_path: Path,
) -> None:
    retry = RetryPolicy(backoff_s=0.02)
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(FakeComfyUI()) for _ in range(3)]
        dead: list[FakeComfyUI] = []
        async with started(tmp_path, health=IMPATIENT, retry=retry) as master:
            for number, peer in enumerate(peers):
                peer.object_info, peer.on_prompt = stock_classes(), "hold"
                await master.add(f"gpu-{number}", peer)
            job = await master.submit(picture())
            for _ in range(2):
                await until(lambda: any(peer.running and peer.sockets for peer in peers), "it runs")
                victim = next(peer for peer in peers if peer.running and peer.sockets)
                await until(lambda: master.job(job).begun_at, "it is heard to run")
                await victim.go_down()
                dead.append(victim)
            await until(lambda: "It waits until they answer" in master.job(job).explanation, "it is judged")
        async with started(tmp_path, health=IMPATIENT, retry=retry) as master:
            await until(lambda: "It waits until they answer" in master.job(job).explanation, "as before")
            assert sum(len(peer.prompts) for peer in peers) == 2
            for peer in dead:
                await peer.come_back()
            assert (await master.end_of(job)).state is JobState.SET_ASIDE
        assert sum(len(peer.prompts) for peer in peers) == 2


@dataclass
class Tunnelled:
    """``a`` is reached through the tunnel only, as the peer "far"; b is the peer "b" as ever."""

    rig: Rig
    tunnel: Proxy
    far: str

    async def runs_far(self, **request: object) -> Job:
        self.rig.a.on_prompt = "hold"
        job = await self.rig.submit(**request)
        await self.rig.master.running_on(self.rig.a, job)
        return job

    async def back_far(self, job: Job) -> None:
        def is_there() -> bool:
            now = self.rig.master.job(job)
            return now.state is JobState.RUNNING and now.backend_id == self.far

        await until(is_there, "it goes on where it was", 30.0)


@asynccontextmanager
async def tunnelled(home: Path, *, with_b: bool) -> AsyncIterator[Tunnelled]:
    async with standing(home, health=IMPATIENT) as rig, Proxy(rig.a.port) as tunnel:
        credentials = {"header": KEY[0], "value": KEY[1]}
        await rig.master.runtime.peers.update(rig.ids["a"], {"enabled": False})
        if not with_b:
            await rig.master.runtime.peers.update(rig.ids["b"], {"enabled": False})
        far = await rig.master.add("far", tunnel.url, credentials=credentials)
        yield Tunnelled(rig, tunnel, far)


async def test_f51_a_tunnel_that_refuses_twice_finds_its_job_going_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with tunnelled(tmp_path, with_b=False) as case:
        rig, job = case.rig, await case.runs_far()
        there = rig.a.running
        for _ in range(2):
            await case.tunnel.go_down()
            await until(lambda: rig.master.job(job).state is JobState.WAITING, "it is given up at once", 30.0)
            await case.tunnel.come_back()
            await case.back_far(job)
        assert rig.a.running == there
        await rig.a.finish(there or "")
        done = await rig.end_of(job)
        assert (done.state, outcomes(done), len(rig.a.prompts)) == (JobState.DONE, ["done"], 1)
        assert not any(attempt.is_victim for attempt in done.attempts)
    await rig.check_afterwards(caplog.text)


async def test_f51_a_job_that_was_done_while_its_tunnel_was_down_is_not_run_again(tmp_path: Path) -> None:
    async with tunnelled(tmp_path, with_b=False) as case:
        rig, job = case.rig, await case.runs_far()
        await case.tunnel.go_down()
        await until(lambda: rig.master.job(job).state is JobState.WAITING, "it is given up")
        await rig.a.finish(rig.a.running or "")
        await case.tunnel.come_back()
        done = await rig.end_of(job)
        assert (done.state, outcomes(done), len(rig.a.prompts)) == (JobState.DONE, ["done"], 1)


async def test_f51_the_copy_that_was_begun_meanwhile_ends_when_the_first_one_is_found_again(
    tmp_path: Path,
) -> None:
    async with tunnelled(tmp_path, with_b=True) as case:
        rig, job = case.rig, await case.runs_far()
        rig.b.on_prompt = "hold"
        await case.tunnel.go_down()
        await until(lambda: rig.b.running, "it runs elsewhere")
        await case.tunnel.come_back()
        await case.back_far(job)
        await until(lambda: rig.b.running is None, "the second copy has ended")
        await rig.a.finish(rig.a.running or "")
        done = await rig.end_of(job)
        assert (done.state, outcomes(done)) == (JobState.DONE, ["overtaken", "done"])
        assert [len(rig.a.prompts), len(rig.b.prompts)] == [1, 1]


async def test_f51_what_was_done_elsewhere_meanwhile_is_delivered_once_and_the_first_copy_ends(
    tmp_path: Path,
) -> None:
    async with tunnelled(tmp_path, with_b=True) as case:
        rig, job = case.rig, await case.runs_far()
        await case.tunnel.go_down()
        assert outcomes(await rig.end_of(job)) == ["peer_died", "done"]
        await case.tunnel.come_back()
        await until(lambda: rig.a.running is None, "the first copy ends")


async def test_f51_the_next_process_goes_on_with_a_job_whose_tunnel_is_down(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, Proxy(peer.port) as tunnel:
        peer.object_info, peer.on_prompt = stock_classes(), "hold"
        async with started(tmp_path, health=IMPATIENT) as master:
            await master.add("far", tunnel.url)
            job = await master.submit(picture())
            there = await master.running_on(peer, job)
            await tunnel.go_down()
            await until(lambda: master.job(job).state is JobState.WAITING, "it is given up")
        async with started(tmp_path, health=IMPATIENT) as master:
            await tunnel.come_back()
            await until(lambda: master.job(job).state is JobState.RUNNING, "it is found again")
            await peer.finish(there)
            assert (await master.end_of(job)).state is JobState.DONE
        assert len(peer.prompts) == 1


async def _given_up(case: Tunnelled, job: Job) -> None:
    """Its tunnel is down, and it waits in the queue."""
    await case.tunnel.go_down()
    runtime = case.rig.master.runtime
    await until(lambda: runtime.manager.get_status(case.far).health is Health.DOWN, "its peer is down", 30.0)
    await until(lambda: [one.id for one in runtime.queue.jobs()] == [job.id], "it waits", 30.0)


async def test_a_job_that_was_edited_while_its_tunnel_was_down_runs_what_it_was_given(tmp_path: Path) -> None:
    async with tunnelled(tmp_path, with_b=False) as case:
        rig, job = case.rig, await case.runs_far()
        await _given_up(case, job)
        await rig.master.runtime.queue.edit(job.id, lambda old: replace(old, prompt=picture(777)))
        await case.tunnel.come_back()
        await until(lambda: len(rig.a.prompts) == 2 and rig.a.running == rig.a.prompts[1].id, "it runs", 30.0)
        await rig.a.finish(rig.a.running or "")
        done = await rig.end_of(job)
        assert (done.state, rig.a.prompts[1].graph["1"]["inputs"]["color"]) == (JobState.DONE, 777)
        assert done.attempts[-1].prompt_id == rig.a.prompts[1].id


async def test_the_next_process_does_not_go_on_with_the_graph_of_before_the_edit(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, Proxy(peer.port) as tunnel:
        peer.object_info, peer.on_prompt = stock_classes(), "hold"
        async with started(tmp_path, health=IMPATIENT) as master:
            far = await master.add("far", tunnel.url)
            job = await master.submit(picture())
            await master.running_on(peer, job)
            await tunnel.go_down()
            status = master.runtime.manager.get_status
            await until(lambda: status(far).health is Health.DOWN and master.runtime.queue.jobs(), "it waits")
            await master.runtime.queue.edit(job.id, lambda old: replace(old, prompt=picture(777)))
        async with started(tmp_path, health=IMPATIENT) as master:
            await tunnel.come_back()
            await until(
                lambda: len(peer.prompts) == 2 and peer.running == peer.prompts[1].id, "it runs", 30.0
            )
            await peer.finish(peer.running or "")
            assert (await master.end_of(job)).state is JobState.DONE
        assert [prompt.graph["1"]["inputs"]["color"] for prompt in peer.prompts] == [0, 777]


async def test_f51_a_job_that_was_stopped_while_its_tunnel_was_down_ends_there(tmp_path: Path) -> None:
    async with tunnelled(tmp_path, with_b=False) as case:
        rig, job = case.rig, await case.runs_far()
        await case.tunnel.go_down()
        await until(lambda: rig.master.job(job).state is JobState.WAITING, "it is given up")
        await rig.master.runtime.jobs.cancel(job.id)
        await case.tunnel.come_back()
        await until(lambda: rig.a.running is None, "it ends there too")
        assert rig.master.job(job).state is JobState.CANCELLED
