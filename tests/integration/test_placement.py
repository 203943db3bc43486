"""Where jobs go once something was learned of the peers, on scripted peers behind real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator.core.engine.estimates.knowledge import Origin
from orchestrator.core.models.job import Job, JobRequest, JobState
from orchestrator.journal.store import Store
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import DEADLINE_S, Master, started
from tests.fakes.waiting import until


@pytest.fixture
async def a() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        yield fake


async def told(master: Master, **request: Any) -> dict[str, Any]:
    """What each peer would do with a picture, by its name."""
    found = await master.runtime.jobs.explain(JobRequest(prompt=picture(), **request))
    return {forecast.eligibility.name: forecast for forecast in found.peers}


async def ran(master: Master, peer: FakeComfyUI, number: int) -> Job:
    """A job that took the peer a measurable while."""
    peer.on_prompt = "hold"
    job = await master.submit(picture(number))
    prompt_id = await master.running_on(peer, job)
    await peer.send(prompt_id, "executing", node="1")
    await peer.finish(prompt_id)
    return await master.end_of(job)


async def test_a_peer_that_ran_such_a_job_tells_how_long_it_would_take(
    master: Master, a: FakeComfyUI
) -> None:
    await master.add("a", a)
    assert (await told(master))["a"].origin is Origin.NOTHING
    assert (await ran(master, a, 1)).state is JobState.DONE
    after = (await told(master))["a"]
    assert after.origin is Origin.HERE
    assert after.run_s > 0


async def test_a_run_that_was_answered_from_the_cache_teaches_nothing(master: Master, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    await master.add("a", a)
    job = await master.submit(picture(1))
    await a.finish(await master.running_on(a, job))  # only the saving node ran
    assert (await master.end_of(job)).state is JobState.DONE
    assert (await told(master))["a"].origin is Origin.NOTHING


async def test_a_run_that_found_its_seeds_work_in_the_cache_is_not_taken_for_a_whole_one(
    master: Master, a: FakeComfyUI
) -> None:
    a.object_info = stock_classes("Sampler")
    a.object_info["Sampler"]["input"]["required"]["seed"] = ["INT", {"default": 0}]
    a.on_prompt = "hold"
    await master.add("a", a)
    graph = picture() | {
        "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "color": 0}},
        "sampler": {
            "class_type": "Sampler",
            "inputs": {"width": 64, "seed": 7, "latent_image": ["empty", 0]},
        },
    }
    graph["1"]["inputs"]["after"] = ["sampler", 0]

    async def runs(color: int, *cached: str) -> float:
        graph["1"]["inputs"]["color"] = color
        job = await master.submit(graph)
        prompt_id = await master.running_on(a, job)
        await a.send(prompt_id, "execution_cached", nodes=list(cached))
        await a.send(prompt_id, "executing", node="1")
        await a.finish(prompt_id)
        assert (await master.end_of(job)).state is JobState.DONE
        return (await told(master))["a"].run_s

    whole_s = await runs(1)
    assert await runs(2, "empty", "sampler") == whole_s


async def test_what_was_learned_outlives_a_restart_and_goes_with_its_peer(
    tmp_path: Path, a: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        peer = await master.add("a", a)
        await ran(master, a, 1)
        learned = (await told(master))["a"].run_s
    async with started(tmp_path) as master:
        await until(lambda: master.runtime.manager.get_object_info(peer), "the peer is known again")
        again = (await told(master))["a"]
        assert (again.origin, again.run_s) == (Origin.HERE, pytest.approx(learned))
        await master.runtime.peers.remove(peer)
        await master.add("a", a)
        assert (await told(master))["a"].origin is not Origin.HERE


async def test_nothing_is_kept_of_a_peer_that_was_removed(tmp_path: Path, a: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        peer = await master.add("a", a)
        await ran(master, a, 1)
    async with started(tmp_path) as master:
        assert peer in {row.peer for row in await master.runtime.store.load_learned()}
        await master.runtime.peers.remove(peer)
    async with started(tmp_path) as master:
        rows = await master.runtime.store.load_learned()
        assert {row.peer for row in rows} == {""}
        assert {row.topic for row in rows} >= {"kind", "shape"}


async def test_what_was_learned_of_a_removed_peer_is_off_the_disk_without_a_restart(
    tmp_path: Path, a: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        peer = await master.add("a", a)
        await ran(master, a, 1)
    async with started(tmp_path) as master:
        await master.runtime.peers.remove(peer)
    store = Store(master.data / "journal.sqlite3")
    await store.open()
    assert {row.peer for row in await store.load_learned()} == {""}
    await store.aclose()


async def test_a_job_of_an_earlier_process_whose_peer_is_removed_before_it_answers_runs_elsewhere(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    async with started(tmp_path) as master:
        peer = await master.add("a", a)
        job = await master.submit(picture())
        await master.running_on(a, job)
        await master.add("b", b)
    a.freeze()
    async with started(tmp_path) as master:
        asking = "asking a how far it is"
        await until(lambda: master.job(job).progress_text == asking, "its peer is asked")
        await master.runtime.peers.remove(peer)
        assert where(master, await master.end_of(job)) == "b"
    a.thaw()


async def test_a_job_of_an_earlier_process_whose_peer_is_removed_and_fails_runs_elsewhere(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    async with started(tmp_path) as master:
        peer = await master.add("a", a)
        job = await master.submit(picture())
        prompt_id = await master.running_on(a, job)
        await master.add("b", b)
    async with started(tmp_path) as master:
        await until(lambda: a.sockets and master.runtime.manager.get_object_info(peer), "the peer answers")
        await master.runtime.peers.remove(peer)
        await a.fail(prompt_id, exception_type="torch.OutOfMemoryError")
        assert where(master, await master.end_of(job)) == "b"


async def test_what_keeps_all_jobs_back_is_told_with_where_one_would_run(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    found = await master.runtime.jobs.explain(JobRequest(prompt=picture()))
    assert (found.paused, found.held, found.waiting) == (False, "", 0)
    await master.runtime.change_settings({"paused": True})
    for number in range(3):
        await master.submit(picture(number))
    await until(lambda: len(master.runtime.queue.jobs()) == 3, "they wait")
    found = await master.runtime.jobs.explain(JobRequest(prompt=picture()))
    assert (found.paused, found.held, found.waiting) == (True, "", 3)
    assert [forecast.eligibility.eligible for forecast in found.peers] == [True]
    await master.add("b", b)
    for peer in (a, b):
        await peer.go_down()
    await until(lambda: "2 of 2 peers were lost" in master.runtime.jobs.all()[0].explanation, "they are held")
    found = await master.runtime.jobs.explain(JobRequest(prompt=picture()))
    assert found.held.startswith("2 of 2 peers were lost at once, so jobs are held")


async def test_a_job_says_by_when_it_should_be_done_and_why_there(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    await ran(master, a, 1)
    job = await ran(master, a, 2)
    assert job.explanation.startswith("on a: about ")
    assert job.expected_s is not None


async def test_a_job_avoids_the_peers_it_is_told_to(master: Master, a: FakeComfyUI, b: FakeComfyUI) -> None:
    await master.add("a", a)
    await master.add("b", b)
    jobs = [await master.run(picture(n), avoid=("a",)) for n in range(3)]
    assert {master.runtime.peers.name(job.backend_id) for job in jobs} == {"b"}


async def test_a_peer_of_its_own_takes_only_jobs_that_name_it(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a, exclusive=True)
    await master.add("b", b)
    assert [where(master, await master.run(picture(n))) for n in range(3)] == ["b"] * 3
    assert where(master, await master.run(picture(9), peer="a")) == "a"


async def test_a_peer_for_idle_times_gets_nothing_while_somebody_else_uses_it(
    master: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    theirs = await posted_by_somebody(a)
    await master.add("a", a, only_idle=True)
    job = await master.submit(picture())
    await until(lambda: "somebody else uses it" in master.job(job).explanation, "the job says why it waits")
    assert len(a.asked("/prompt")) == 1
    a.on_prompt = "run"
    await a.finish(theirs)
    assert (await master.end_of(job)).state is JobState.DONE


async def test_outside_its_hours_a_peer_gets_nothing(master: Master, a: FakeComfyUI) -> None:
    now = datetime.now().astimezone()
    later = [now + timedelta(hours=hours) for hours in (2, 3)]
    hours = "-".join(f"{moment:%H:%M}" for moment in later)
    peer = await master.add("a", a, hours=hours)
    job = await master.submit(picture())
    await until(lambda: "outside its hours" in master.job(job).explanation, "the job says why it waits")
    await master.runtime.peers.update(peer, {"hours": ""})
    assert (await master.end_of(job)).state is JobState.DONE


@pytest.mark.parametrize("began_at", [1_600_000_000_000, 10**400], ids=["usual", "huge"])
async def test_what_ran_there_for_others_is_warm_too(master: Master, a: FakeComfyUI, began_at: int) -> None:
    a.on_prompt = "hold"
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}}
    graph = {**picture(), "9": loader}
    theirs = await posted_by_somebody(a, graph)
    await master.add("a", a)

    (before,) = (await master.runtime.jobs.explain(JobRequest(prompt=graph))).peers
    assert before.cold == ("base.safetensors",)
    a.prompts[-1].messages[:] = [["execution_start", {"timestamp": began_at}]]
    await a.finish(theirs)
    deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
    while (await master.runtime.jobs.explain(JobRequest(prompt=graph))).peers[0].cold:
        assert asyncio.get_running_loop().time() < deadline_s, "the model counts as cold"
        await asyncio.sleep(0)


async def posted_by_somebody(peer: FakeComfyUI, graph: dict[str, Any] | None = None) -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{peer.url}/prompt", json={"prompt": graph or picture(77), "client_id": "somebody"}
        ) as answer,
    ):
        return str((await answer.json())["prompt_id"])


def where(master: Master, job: Job) -> str:
    return master.runtime.peers.name(job.backend_id)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the place of a clock cannot be changed here")
async def test_a_job_that_waits_for_a_peers_hours_starts_when_they_begin(
    master: Master, a: FakeComfyUI, place_of_the_clock: Callable[[int], None]
) -> None:
    now = datetime.now(timezone.utc)
    await master.add("a", a, hours=f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=6):%H:%M}")
    job = await master.submit(picture())
    await until(lambda: "outside its hours" in master.job(job).explanation, "the job says why it waits")
    place_of_the_clock(4)  # nothing else changes: not the peer, and no other job comes or goes
    assert (await master.end_of(job)).state is JobState.DONE


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the place of a clock cannot be changed here")
async def test_after_its_hours_a_peer_that_had_nothing_to_do_gets_nothing(
    master: Master, a: FakeComfyUI, b: FakeComfyUI, place_of_the_clock: Callable[[int], None]
) -> None:
    now = datetime.now(timezone.utc)
    await master.add("b", b, exclusive=True)
    await master.add("a", a, hours=f"{now - timedelta(hours=2):%H:%M}-{now + timedelta(hours=2):%H:%M}")
    await master.run(picture(1))
    place_of_the_clock(4)
    job = await master.submit(picture(2))
    await until(lambda: "outside its hours" in master.job(job).explanation, "the job says why it waits")
    await master.run(picture(3), peer="b")  # time enough for a job to go to a peer
    assert len(a.asked("/prompt")) == 1


@pytest.fixture
def place_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets the time zone of this process, in hours ahead of UTC."""

    def move(hours: int) -> None:
        monkeypatch.setenv("TZ", f"<ahead>{-hours}")
        time.tzset()

    move(0)
    yield move
    monkeypatch.undo()
    time.tzset()
