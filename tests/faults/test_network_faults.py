"""F08, F10, F13, F14, F18, F25, F27-F29, F31, F32 of the fault list, quick parts; and the whole of F14."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.client import ComfyUIClient
from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.engine.faults.retry import RetryPolicy
from orchestrator.core.models.job import JobState, RemoteFile
from orchestrator.dispatch.attempts.remote_prompt import FollowPolicy
from orchestrator.errors import PeerError
from tests.fakes.answers import redirect, silence
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import loaded_picture, picture
from tests.fakes.master import outcomes
from tests.fakes.proxy import Proxy
from tests.fakes.waiting import until
from tests.faults.rig import KEY, Rig, standing

CREDENTIALS = {"header": KEY[0], "value": KEY[1]}


async def test_f08_the_late_copy_of_a_peer_that_was_stopped_is_cancelled_and_not_delivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(tmp_path, health=HealthPolicy(poll_s=0.05, timeout_s=0.2)) as rig:
        job = await rig.submit_to(rig.a)
        rig.a.freeze()
        done = await rig.end_of(job)
        assert (done.state, outcomes(done)) == (JobState.DONE, ["lost", "done"])
        rig.a.thaw()
        await until(lambda: rig.a.running is None, "its late copy is stopped")
    await rig.check_afterwards(caplog.text)


async def test_f08_a_short_stop_changes_nothing(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    rig.a.freeze()
    asked = len(rig.a.requests)
    await until(lambda: len(rig.a.requests) > asked, "it was asked meanwhile")
    rig.a.thaw()
    await rig.a.finish(rig.master.prompt_id(job))
    assert outcomes(await rig.end_of(job)) == ["done"]


async def test_f10_a_result_that_was_deleted_on_the_peer_is_made_again(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    gone = {"filename": "gone.png", "subfolder": "", "type": "output"}
    await rig.a.finish(rig.master.prompt_id(job), {"2": {"images": [gone]}})
    assert outcomes(await rig.end_of(job)) == ["bad_result", "done"]


async def test_f13_polls_carry_a_job_whose_websocket_is_cut_again_and_again(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    for _ in range(3):
        await rig.a.cut_sockets()
    for client_id in tuple(rig.a.sockets):
        del rig.a.sockets[client_id]
    await rig.a.finish(rig.master.prompt_id(job))
    assert outcomes(await rig.end_of(job)) == ["done"]


async def test_f14_connections_that_are_slow_and_break_lose_no_job(rig: Rig) -> None:
    async with Proxy(rig.a.port) as proxy:
        for name in ("a", "b"):
            await rig.master.runtime.peers.update(rig.ids[name], {"draining": True})
        rig.ids["proxied"] = await rig.master.add("proxied", proxy.url, credentials=CREDENTIALS)
        proxy.delay_s, proxy.cut_after, proxy.cuts = 0.01, 5_000, 6
        jobs = [await rig.submit() for _ in range(20)]
        ended = [await rig.end_of(job) for job in jobs]
        assert [job.state for job in ended] == [JobState.DONE] * 20
        assert len(rig.a.prompts) <= 20 * 1.3 + 3


@pytest.mark.long
async def test_f14_two_hundred_jobs_end_over_a_network_that_is_slow_and_loses_answers(tmp_path: Path) -> None:
    draw, loop = random.Random(14), asyncio.get_running_loop()
    policies = {"health": HealthPolicy(), "follow": FollowPolicy(), "retry": RetryPolicy()}
    async with standing(tmp_path, **policies) as rig, Proxy(rig.a.port) as to_a, Proxy(rig.b.port) as to_b:
        manager = rig.master.runtime.manager
        ways = [
            await rig.master.add(name, proxy.url, credentials=CREDENTIALS)
            for name, proxy in (("slow-a", to_a), ("slow-b", to_b))
        ]
        for name in ("a", "b"):
            await rig.master.runtime.peers.update(rig.ids[name], {"draining": True})
        await until(lambda: all(manager.get_status(way).health.value == "up" for way in ways), "both are up")
        falls: Counter[str] = Counter()
        last = dict.fromkeys(ways, "up")

        def changed(peer_id: str) -> None:
            if peer_id in last:
                now = manager.get_status(peer_id).health.value
                falls[peer_id] += now == "down" != last[peer_id]
                last[peer_id] = now

        undo = manager.subscribe(changed)
        for proxy in (to_a, to_b):
            proxy.delays = lambda: draw.uniform(0.2, 2.0)
            proxy.cut_requests, proxy.cuts = lambda data: draw.random() < 0.1, 1 << 30
        began = loop.time()
        jobs = [await rig.submit() for _ in range(200)]
        for job in jobs:
            await asyncio.wait_for(rig.master.runtime.jobs.wait(job.id), 1800.0)
        minutes = (loop.time() - began) / 60
        undo()
        for proxy in (to_a, to_b):
            proxy.delays, proxy.cuts = (lambda: 0.0), 0
        runs = len(rig.a.prompts) + len(rig.b.prompts)
        connections = to_a.connections + to_b.connections
        print(f"F14: {minutes:.1f} min, {runs} runs, {connections} connections, down {dict(falls)}")
        assert [rig.master.job(job).state for job in jobs] == [JobState.DONE] * 200
        assert runs <= 200 * 1.3 + 3
        assert max(falls.values(), default=0) <= minutes


async def test_f18_a_cancelled_job_leaves_the_peer_whatever_it_was_doing(rig: Rig) -> None:
    rig.a.on_prompt = rig.b.on_prompt = "hold"
    jobs = [await rig.submit() for _ in range(6)]
    await until(lambda: rig.a.running and rig.b.running and rig.a.pending and rig.b.pending, "all are busy")
    await asyncio.gather(*(rig.master.runtime.jobs.cancel(job.id) for job in jobs))
    assert {rig.master.job(job).state for job in jobs} == {JobState.CANCELLED}
    assert (rig.a.running, rig.a.pending, rig.b.running, rig.b.pending) == (None, [], None, [])


async def test_f18_a_job_that_is_cancelled_while_its_input_is_sent_never_runs(rig: Rig) -> None:
    await asyncio.to_thread((rig.master.input / "cat.png").write_bytes, PNG)
    for peer in (rig.a, rig.b):
        peer.answers["/upload/image"] = silence()
    job = await rig.submit(loaded_picture("cat.png"))
    await until(lambda: rig.a.asked("/upload/image"), "its input is on the way")
    assert "sending input files" in rig.master.job(job).progress_text
    await asyncio.wait_for(rig.master.runtime.jobs.cancel(job.id), 2.0)
    assert (rig.master.job(job).state, rig.posts()) == (JobState.CANCELLED, [0, 0])


@pytest.mark.parametrize("seed", [0, 2**53 + 1, 2**64 - 1])
async def test_f25_a_seed_arrives_exactly(rig: Rig, seed: int) -> None:
    await rig.run(picture(seed=seed))
    assert rig.a.prompts[0].graph["1"]["inputs"]["color"] == seed


async def test_f27_an_input_whose_name_is_taken_there_gets_another(rig: Rig) -> None:
    await asyncio.to_thread((rig.master.input / "cat.png").write_bytes, PNG)
    rig.a.files["input", "", "cat.png"] = b"the peer's own"
    await rig.run(loaded_picture("cat.png"))
    assert rig.a.files["input", "", "cat.png"] == b"the peer's own"
    assert rig.a.prompts[0].graph["1"]["inputs"]["image"] != "cat.png"


async def test_f28_an_input_too_large_for_one_peer_goes_to_another(rig: Rig) -> None:
    await asyncio.to_thread((rig.master.input / "cat.png").write_bytes, PNG + b"x" * 2_000)
    rig.a.features["max_upload_size"] = 1_000
    done = await rig.run(loaded_picture("cat.png"))
    assert (done.state, rig.posts(), len(rig.a.asked("/upload/image"))) == (JobState.DONE, [0, 1], 0)


async def test_f29_a_temporary_output_that_a_restart_took_is_made_again(rig: Rig) -> None:
    graph = picture()
    graph["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    job = await rig.submit_to(rig.a, graph)
    gone = {"filename": "ComfyUI_temp_00001_.png", "subfolder": "", "type": "temp"}
    await rig.a.finish(rig.master.prompt_id(job), {"2": {"images": [gone]}})
    done = await rig.end_of(job)
    assert (outcomes(done), len(done.outputs)) == (["bad_result", "done"], 1)


async def test_f32_a_redirect_leads_nowhere(rig: Rig) -> None:
    async with FakeComfyUI() as elsewhere:
        for path in ("/prompt", "/view", "/queue", "/system_stats", "/ws"):
            rig.a.answers[path] = redirect(elsewhere.url + path, 307)
        await rig.master.runtime.peers.check(rig.ids["a"])
        assert rig.health("a") == "needs_key"
        assert (await rig.run()).state is JobState.DONE
        assert elsewhere.requests == []


OK = b"HTTP/1.1 200 OK\r\n"
STARTS = pytest.mark.parametrize(
    "start", [OK + b"X-Slow: ", OK + b"Content-Length: 9999\r\n\r\n"], ids=["head", "body"]
)


@asynccontextmanager
async def dripping(start: bytes, pause_s: float) -> AsyncIterator[str]:
    """The address of a peer that begins every answer like this and goes on byte by byte."""
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        try:
            while not ended.is_set():
                writer.write(b"x")
                await writer.drain()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), pause_s)
        except ConnectionError:
            pass  # it was given up
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        ended.set()
        server.close()


@STARTS
async def test_f31_a_peer_that_answers_byte_by_byte_is_given_up_and_holds_up_nobody(
    tmp_path: Path, start: bytes
) -> None:
    health = HealthPolicy(poll_s=0.05, timeout_s=0.3)
    async with standing(tmp_path, health=health) as rig, dripping(start, 0.02) as url:
        slow = (await rig.master.runtime.peers.add(name="slow", url=url)).id
        manager = rig.master.runtime.manager
        await until(lambda: manager.get_status(slow).health.value == "down", "it is given up")
        assert "did not answer in time" in manager.get_status(slow).reason
        assert [rig.health(name) for name in "ab"] == ["up", "up"]
        assert outcomes(await rig.run()) == ["done"]


@pytest.mark.long
@STARTS
async def test_f31_whatever_is_asked_of_a_peer_that_answers_byte_by_byte_ends_in_time(
    tmp_path: Path, start: bytes
) -> None:
    source = tmp_path / "input.png"
    source.write_bytes(PNG)

    async with dripping(start, 1.0) as url:
        client = ComfyUIClient(url)

        async def listen() -> None:
            async with client.websocket("c1"):
                pass

        asked = {
            "vitals": client.health_check(),
            "nodes": client.object_info(),
            "limit": client.max_upload_bytes(),
            "prompt": client.submit(picture(), prompt_id="p", client_id="c1"),
            "history": client.history("p"),
            "interrupt": client.interrupt("p"),
            "queue": client.delete_queued("p"),
            "memory": client.free(),
            "upload": client.upload(source, name="input.png"),
            "input": client.has_input("input.png", "", 1),
            "result": client.download(RemoteFile("1", "x.png"), tmp_path / "result.png"),
            "events": listen(),
        }

        async def how_it_ends(name: str, work: Coroutine[Any, Any, Any]) -> str:
            with pytest.raises(PeerError):
                # A list of nodes may take a minute: an honest one is large, and slow disks are asked for it.
                await asyncio.wait_for(work, 61.0 if name == "nodes" else 45.0)
            return name

        ended = await asyncio.gather(*(how_it_ends(name, work) for name, work in asked.items()))
        assert set(ended) == set(asked)
        await client.close()
