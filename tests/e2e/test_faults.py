"""Cases of the fault list on real ComfyUI processes, with nodes that crash, hear nothing or run out."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from orchestrator.dispatch.attempts.transport import hash_file
from tests.fakes.proxy import Proxy
from tests.rig.environment import Setup
from tests.rig.fleet import Fleet

from .graphs import Graph, dispatched, node, sleep, stamp
from .session import Session, until
from .test_saved_files import KINDS

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that the tests of this module may damage; they run in order."""
    with Fleet(Setup(), tmp_path_factory.mktemp("faults")) as running:
        running.register_peers()
        yield running


@pytest.fixture
async def master(fragile: Fleet, http: aiohttp.ClientSession) -> Session:
    master = Session(http, fragile.master.url, fragile.token)
    for peer in fragile.peers:
        if not peer.is_running:
            peer.start()
            peer.wait_ready()
    await until(master.peers_are_up, "the peers are up")
    return master


@pytest.fixture
async def peers(master: Session, fragile: Fleet, http: aiohttp.ClientSession) -> list[Session]:
    return [Session(http, peer.url) for peer in fragile.peers]


def ending(graph: Graph, link: str, seed: int) -> Graph:
    return {
        **graph,
        "9": node("SaveImage", images=[link, 0], filename_prefix=f"faults/{seed}"),
    }


def deaf(seed: int, seconds: float) -> Graph:
    return {**stamp(seed), "10": node("TestDeaf", value=["1", 0], seconds=seconds)}


async def submitted(master: Session, graph: Graph, **options: Any) -> str:
    answer = await master.post("/orchestrator/jobs", {"prompt": graph, **options}, status=202)
    return str(answer["job_id"])


async def job(master: Session, job_id: str) -> dict[str, Any]:
    return dict(await master.get(f"/orchestrator/jobs/{job_id}"))


async def end_of(master: Session, job_id: str, deadline_s: float = 60.0) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        now = await job(master, job_id)
        return now if now["state"] not in ("waiting", "running") else None

    return dict(await until(ended, f"job {job_id} ends", deadline_s))


def outcomes(job: dict[str, Any]) -> list[str]:
    return [attempt["outcome"] for attempt in job["attempts"]]


@pytest.mark.parametrize("batch", [1, 4, 64])
async def test_f26_a_batch_comes_whole_in_order_and_equal(
    master: Session, peers: list[Session], batch: int
) -> None:
    graph = stamp(seed=2600 + batch, size=16, batch=batch)
    direct = await peers[0].run(ending(graph, "1", batch))
    done = await end_of(master, await submitted(master, ending(graph, "1", batch)))
    assert len(done["outputs"]) == batch
    for ours, theirs in zip(done["outputs"], direct.images("9"), strict=True):
        assert np.array_equal(await master.picture(ours), await peers[0].picture(theirs))


async def test_f26_files_of_every_kind_are_those_of_the_peer_and_texts_too(
    master: Session, fragile: Fleet
) -> None:
    graph = {
        **stamp(26, size=64, batch=3),
        "2": node("CreateVideo", images=["1", 0], fps=8.0),
        "3": node("EmptyAudio", duration=1.0, sample_rate=48_000, channels=2),
        "4": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "5": node("SolidMask", value=0.25, width=64, height=64),
        "6": node("JoinImageWithAlpha", image=["1", 0], alpha=["5", 0]),
        "7": node("SaveImage", images=["6", 0], filename_prefix="kinds/rgba"),
        "8": node("PreviewAny", source=["9", 0]),
        "9": node("PrimitiveString", value="2**53+1 ≠ 2**53"),
    }
    for kind, (_, inputs) in KINDS.items():
        graph[kind] = node(kind, filename_prefix=f"kinds/{kind}", **inputs)
    done = await end_of(master, await submitted(master, graph))
    assert done["state"] == "done", done["error"]
    there: dict[str, list[str]] = {}
    folder = next(peer.base for peer in fragile.peers if peer.name == done["peer"]) / "output"
    for path in await asyncio.to_thread(lambda: [p for p in folder.rglob("*") if p.is_file()]):
        there.setdefault(await asyncio.to_thread(hash_file, path), []).append(path.name)
    for output in done["outputs"]:
        path = fragile.master.base / output["type"] / output["subfolder"] / output["filename"]
        names = there.get(await asyncio.to_thread(hash_file, path), [])
        assert path.name.split("_")[0] in {name.split("_")[0] for name in names}, path.name
    endings = {output["filename"].rsplit(".", 1)[1] for output in done["outputs"]}
    assert endings == {ending for ending, _ in KINDS.values()}
    assert any("rgba" in output["filename"] for output in done["outputs"])
    assert done["texts"] == ["2**53+1 ≠ 2**53"]


async def test_f01_a_peer_that_a_node_crashes_is_replaced_at_once_and_used_again_when_it_is_back(
    master: Session, fragile: Fleet, tmp_path: Path
) -> None:
    graph = {**sleep(101, 1.0), "11": node("TestExitOnce", value=["10", 0], mark=str(tmp_path / "done"))}
    job_id = await submitted(master, ending(graph, "11", 101))

    async def has_crashed() -> bool:
        return await asyncio.to_thread((tmp_path / "done").exists)

    await until(has_crashed, "a peer crashes")
    done = await end_of(master, job_id, 15.0)
    assert (done["state"], outcomes(done)) == ("done", ["peer_died", "done"])
    dead = next(peer for peer in fragile.peers if not peer.is_running)
    assert dead.name == done["attempts"][0]["peer"]
    await asyncio.to_thread(dead.restart)
    await until(master.peers_are_up, "it is used again")
    again = await end_of(master, await submitted(master, ending(stamp(102), "1", 102), peer=dead.name))
    assert (again["state"], again["peer"]) == ("done", dead.name)


async def test_f03_too_little_memory_is_tried_elsewhere_and_then_named_with_its_node(master: Session) -> None:
    graph = {**stamp(103), "2": node("TestOutOfMemory", value=["1", 0])}
    failed = await end_of(master, await submitted(master, ending(graph, "2", 103)))
    assert failed["state"] == "failed"
    assert {attempt["peer"] for attempt in failed["attempts"]} == {"peer-1", "peer-2"}
    assert failed["error"]["node_type"] == "TestOutOfMemory"
    assert "memory" in failed["error"]["message"]
    assert {peer["health"] for peer in (await master.peers()).values()} == {"up"}
    assert (await end_of(master, await submitted(master, ending(stamp(104), "1", 104))))["state"] == "done"


def failing_where_broken(seed: int, message: str) -> Graph:
    """It raises `message` on a broken machine and is done on any other."""
    graph = {**stamp(seed), "2": node("ReportFails", images=["1", 0], message=message, nonce=seed)}
    return ending(graph, "2", seed)


@pytest.fixture
def broken_peer(fragile: Fleet) -> Iterator[str]:
    mark = fragile.peers[0].base / "input" / "broken_machine"
    mark.touch()
    yield fragile.peers[0].name
    mark.unlink()


async def ends_of(master: Session, graphs: list[Graph]) -> list[dict[str, Any]]:
    ids = [await submitted(master, graph) for graph in graphs]
    return [await end_of(master, job_id) for job_id in ids]


async def test_f03_memory_in_the_words_of_another_library_is_memory(
    master: Session, fragile: Fleet, broken_peer: str
) -> None:
    words = "MPS backend out of memory (MPS allocated: 18.1 GB, max allowed: 18.1 GB)."
    [other] = [peer.name for peer in fragile.peers if peer.name != broken_peer]
    # Busy, so that the job goes to the broken one first.
    busy = await submitted(master, ending(sleep(304, 4.0), "10", 304), peer=other)

    async def has_begun() -> bool:
        return bool((await job(master, busy))["begun_at"])

    await until(has_begun, f"{other} is busy")
    # Of another kind than the jobs of other tests: where such a one did not fit, the next goes later.
    inverted = {"3": node("ImageInvert", image=["2", 0]), "9": node("PreviewImage", images=["3", 0])}
    [end] = await ends_of(master, [{**failing_where_broken(305, words), **inverted}])
    tried = [(attempt["peer"], attempt["outcome"]) for attempt in end["attempts"]]
    assert tried == [(broken_peer, "out_of_memory"), (other, "done")], end
    assert (await master.peers())[broken_peer]["health"] == "up"
    assert (await end_of(master, busy))["state"] == "done"


@pytest.mark.parametrize("library", ["torch", "numpy", "python"])
async def test_f03_memory_that_a_library_really_cannot_get_is_memory(
    master: Session, broken_peer: str, library: str
) -> None:
    graph = {**stamp(320), "2": node("ReportAllocates", images=["1", 0], library=library)}
    end = await end_of(master, await submitted(master, ending(graph, "2", 320), peer=broken_peer))
    assert (end["state"], end["error"]["code"]) == ("failed", "out_of_memory")
    assert end["error"]["node_type"] == "ReportAllocates"
    assert (await master.peers())[broken_peer]["health"] == "up"


@pytest.mark.parametrize("words", ["No module named 'sageattention'", "the moon is in the wrong house"])
async def test_f59_a_machine_that_fails_what_another_can_do_rests_after_three_jobs(
    master: Session, broken_peer: str, words: str
) -> None:
    seeds = range(590, 600) if "module" in words else range(600, 610)
    ends = await ends_of(master, [failing_where_broken(seed, words) for seed in seeds])
    assert {end["state"] for end in ends} == {"done"}
    tried = [attempt for end in ends for attempt in end["attempts"]]
    lost = [attempt for attempt in tried if attempt["outcome"] not in ("done", "taken_back")]
    assert {attempt["peer"] for attempt in lost} == {broken_peer} and len(lost) <= 3
    peer = (await master.peers())[broken_peer]
    assert peer["health"] == "ejected" and words in peer["reason"]
    await master.patch(f"/orchestrator/peers/{peer['id']}", {"enabled": False})
    await master.patch(f"/orchestrator/peers/{peer['id']}", {"enabled": True})
    await until(master.peers_are_up, "its owner has it used again")


@pytest.mark.parametrize("kind", ["running", "queued", "deaf"])
async def test_f18_an_interrupt_on_the_master_ends_the_node_at_once_and_empties_the_peers(
    master: Session, peers: list[Session], kind: str
) -> None:
    seed = 110 + len(kind)
    graph = deaf(seed, 6.0) if kind == "deaf" else sleep(seed, 30.0)
    foreign = [await peer.queue(ending(sleep(seed, 4.0), "10", seed)) for peer in peers if kind == "queued"]
    prompt_id = await master.queue(dispatched(graph, ["10", 0]))

    async def is_there() -> bool:
        jobs = await master.jobs()
        return bool(jobs and jobs[0]["state"] == "running" and jobs[0]["attempts"][-1]["peer"])

    async def is_withdrawn() -> bool:
        ours = (await master.jobs())[0]["attempts"][-1]["prompt_id"]
        queues = [await peer.get("/queue") for peer in peers]
        return ours not in json.dumps([[q["queue_running"], q["queue_pending"]] for q in queues])

    async def are_idle() -> bool:
        return all([await peer.is_idle() for peer in peers])

    await until(is_there, "it is on a peer")
    if kind == "deaf":

        async def is_deaf() -> bool:
            return (await master.jobs())[0]["begun_at"] is not None

        await until(is_deaf, "the node that hears nothing runs")
    clock = asyncio.get_running_loop().time
    began = clock()
    await master.post("/interrupt", {"prompt_id": prompt_id})
    done = await asyncio.wait_for(master.finished(prompt_id), 2.0)
    returned_s = clock() - began
    await until(is_withdrawn, "the peers do not have it any more", 10.0)
    assert any(kind == "execution_interrupted" for kind, _ in done.entry["status"]["messages"])
    await until(are_idle, "the peers' queues are empty")
    print(f"F18 {kind}: node back after {returned_s:.2f} s, peers idle after {clock() - began:.2f} s")
    assert (await master.jobs())[0]["state"] == "cancelled"
    for foreign_id, peer in zip(foreign, peers, strict=False):
        assert (await peer.finished(foreign_id)).succeeded


@pytest.mark.long
async def test_f02_a_peer_whose_worker_died_is_found_out_and_says_restart(
    master: Session, fragile: Fleet
) -> None:
    graph = {**stamp(120), "2": node("TestWorkerDies", value=["1", 0])}
    victim = "peer-1"
    clock = asyncio.get_running_loop().time
    killer = await submitted(master, ending(graph, "2", 120), peer=victim)

    async def is_there() -> bool:
        return (await job(master, killer))["begun_at"] is not None

    await until(is_there, "the worker dies")
    began = clock()
    normal = [await submitted(master, ending(stamp(seed), "1", seed)) for seed in range(121, 127)]

    async def is_found_out() -> bool:
        return (await master.peers())[victim]["health"] == "zombie"

    await until(is_found_out, "it is found out", 200.0, 0.5)
    print(f"F02: found out after {clock() - began:.0f} s")
    assert "estart" in (await master.peers())[victim]["reason"]
    ends = [await end_of(master, job_id, 30.0) for job_id in normal]
    assert [(end["state"], end["peer"]) for end in ends] == [("done", "peer-2")] * len(ends)
    await master.post(f"/orchestrator/jobs/{killer}/cancel", {})
    fragile.peers[0].kill()


@pytest.mark.long
async def test_f17_ten_kills_of_the_master_lose_no_job_and_deliver_none_twice(
    master: Session, fragile: Fleet, peers: list[Session]
) -> None:
    when = random.Random(17)
    before = await prompts_of(peers)
    ids = [await submitted(master, ending(sleep(seed, 0.4), "10", seed)) for seed in range(1700, 1740)]
    for _ in range(10):
        await asyncio.sleep(when.uniform(0.0, 1.5))  # any moment is as good as another
        fragile.master.kill()
        fragile.master.start()
        fragile.master.wait_ready()
    ends = [await end_of(master, job_id, 120.0) for job_id in ids]
    assert [end["state"] for end in ends] == ["done"] * len(ids)
    names = [output["filename"] for end in ends for output in end["outputs"]]
    saved = {path.name for path in (fragile.master.base / "output" / "faults").glob("17??_*")}
    assert len(names) == len(ids) and set(names) == saved
    seeds = Counter((await prompts_of(peers) - before).elements())
    extra = sum(seeds.values()) - len(ids)
    print(f"F17: 10 kills, {len(ids)} jobs, {extra} executions beyond the first")
    assert set(seeds) == set(range(1700, 1740)) and max(seeds.values()) <= 2


async def prompts_of(peers: list[Session]) -> Counter[int]:
    """How often the peers ran each seed."""
    ran: Counter[int] = Counter()
    for peer in peers:
        for entry in (await peer.get("/history")).values():
            ran.update(
                step["inputs"]["seed"] for step in entry["prompt"][2].values() if "seed" in step["inputs"]
            )
    return ran


@pytest.mark.long
@pytest.mark.parametrize(("seconds", "attempts"), [(20, 1), (120, 2)])
async def test_f08_a_peer_that_stands_still_keeps_its_job_if_it_goes_on_soon(
    master: Session, fragile: Fleet, seconds: int, attempts: int
) -> None:
    job_id = await submitted(master, ending(sleep(800 + seconds, 6.0), "10", 800), peer="")

    async def has_begun() -> dict[str, Any] | None:
        now = await job(master, job_id)
        return now if now["begun_at"] else None

    name = dict(await until(has_begun, "it runs"))["peer"]
    victim = next(peer for peer in fragile.peers if peer.name == name)
    victim.suspend()
    try:
        await asyncio.sleep(seconds)
    finally:
        victim.resume()
    end = await end_of(master, job_id)
    assert (end["state"], len(end["attempts"]), len(end["outputs"])) == ("done", attempts, 1)
    saved = list((fragile.master.base / "output" / "faults").glob("800_*"))
    assert [path.name for path in saved] == [end["outputs"][0]["filename"]]
    saved[0].unlink()
    await until(Session(master.http, victim.url).is_idle, "what came late is not run on")
    await until(master.peers_are_up, "the peers are up")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["cut every 2 s", "stalled one way"])
async def test_f13_polls_carry_a_job_whose_event_stream_brings_nothing(
    master: Session, fragile: Fleet, kind: str
) -> None:
    port = int(fragile.peers[0].url.rsplit(":", 1)[1])
    async with Proxy(port) as proxy:
        peer = await master.post("/orchestrator/peers", {"url": proxy.url, "name": "proxied"}, status=201)
        await until(master.peers_are_up, "the peers are up")
        whole = await end_of(master, await submitted(master, ending(stamp(1300), "1", 1300), peer="proxied"))
        assert whole["state"] == "done"
        if kind == "stalled one way":
            proxy.telling.clear()
        job_id = await submitted(master, ending(sleep(1300 + len(kind), 7.0), "10", 1300), peer="proxied")
        end = asyncio.create_task(end_of(master, job_id, 7.0 + 10.0))
        while not end.done():
            if kind != "stalled one way":
                proxy.reset_sockets()
            await asyncio.wait([end], timeout=2.0)
        assert (end.result()["state"], len(end.result()["attempts"])) == ("done", 1)
        await master.delete(f"/orchestrator/peers/{peer['id']}")
