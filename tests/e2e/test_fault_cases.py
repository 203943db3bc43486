"""Cases of the fault list that leave a fleet of real ComfyUI processes as it was."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from orchestrator.backends.client import HOP_HEADER
from tests.fakes.disks import SmallDisk, small_disk
from tests.fakes.proxy import Proxy
from tests.rig.fleet import Fleet

from .graphs import Graph, dispatched, node, stamp
from .session import Session, until
from .test_faults import deaf, end_of, ending, job, outcomes, submitted

pytestmark = pytest.mark.e2e


async def running_there(master: Session, job_id: str) -> dict[str, Any]:
    async def has_begun() -> dict[str, Any] | None:
        now = await job(master, job_id)
        return now if now["begun_at"] else None

    return dict(await until(has_begun, "it runs on a peer"))


async def times_run(peers: list[Session], seed: int) -> int:
    """How often the peers' histories know a graph with this seed."""
    entries = [entry for peer in peers for entry in (await peer.get("/history")).values()]
    return sum(entry["prompt"][2]["1"]["inputs"].get("seed") == seed for entry in entries)


@pytest.mark.parametrize("policy", [False, True], ids=["it ends", "it goes elsewhere"])
async def test_f06_an_interrupt_by_somebody_on_the_peer_is_said_and_the_setting_followed(
    master: Session, peers: list[Session], policy: bool
) -> None:
    await master.patch("/orchestrator/settings", {"retry_interrupted": policy})
    try:
        graph = {**stamp(600 + policy), "10": node("TestSleep", value=["1", 0], seconds=3.0)}
        job_id = await submitted(master, ending(graph, "10", 600))
        name = (await running_there(master, job_id))["peer"]
        await peers[int(name.removeprefix("peer-")) - 1].post("/interrupt", {})
        end = await end_of(master, job_id)
    finally:
        await master.patch("/orchestrator/settings", {"retry_interrupted": False})
    wanted = ("done", ["interrupted_on_peer", "done"]) if policy else ("failed", ["interrupted_on_peer"])
    assert (end["state"], outcomes(end)) == wanted
    assert f"interrupted on {name}" in end["attempts"][0]["reason"]
    assert {peer["health"] for peer in (await master.peers()).values()} == {"up"}


@pytest.mark.parametrize("when", ["running", "ended"])
async def test_f07_a_queue_or_history_that_somebody_clears_costs_one_more_run_at_most(
    master: Session, peers: list[Session], when: str
) -> None:
    seed = 700 + len(when)
    job_id = await submitted(master, ending(deaf(seed, 2.0), "10", seed))
    name = (await running_there(master, job_id))["peer"]
    peer = peers[int(name.removeprefix("peer-")) - 1]
    await clear(peer)
    while when == "ended" and not await peer.is_idle():  # to hit the moment before the master reads its end
        await clear(peer)
    end = await end_of(master, job_id)
    assert (end["state"], len(end["outputs"])) == ("done", 1)
    assert len(end["attempts"]) <= 2


async def clear(peer: Session) -> None:
    await peer.post("/queue", {"clear": True})
    await peer.post("/history", {"clear": True})


async def test_f09_a_picture_too_large_for_the_peers_disk_is_made_by_the_other_and_the_reason_given(
    master: Session, fleet: Fleet
) -> None:
    with small_disk(fleet.peers[0].base / "output", "32k"):
        jobs = [await submitted(master, ending(stamp(900 + n, 512), "1", 900)) for n in range(2)]
        ends = [await end_of(master, job_id) for job_id in jobs]
    assert [(end["state"], end["peer"]) for end in ends] == [("done", "peer-2")] * len(ends)
    failed = [attempt for end in ends for attempt in end["attempts"] if attempt["outcome"] == "disk_full"]
    assert failed and all("The disk of peer-1 is full" in attempt["reason"] for attempt in failed)
    for end in ends:
        assert (await master.picture(end["outputs"][0])).shape == (512, 512, 3)
    again = await end_of(master, await submitted(master, ending(stamp(902, 512), "1", 900), peer="peer-1"))
    assert again["state"] == "done"


async def test_f10_a_result_that_was_deleted_on_the_peer_is_made_anew_by_the_same_graph(
    master: Session, fleet: Fleet
) -> None:
    graph = ending(stamp(1000), "1", 1000)
    first = await end_of(master, await submitted(master, graph, peer="peer-1"))
    for path in await asyncio.to_thread(lambda: list((fleet.peers[0].base / "output").rglob("*.png"))):
        path.unlink()
    again = await end_of(master, await submitted(master, graph, peer="peer-1"))
    assert (again["state"], outcomes(again)) == ("done", ["done"])
    pictures = [await master.picture(end["outputs"][0]) for end in (first, again)]
    assert np.array_equal(*pictures)


async def test_f19_the_master_is_no_peer_of_its_own_under_any_name(master: Session, fleet: Fleet) -> None:
    before = await master.peers()
    for name in ("127.0.0.1", "localhost", "127.0.0.2", "[::1]", socket.gethostname()):
        url = f"http://{name}:{fleet.master.port}"
        refused = await master.post("/orchestrator/peers", {"name": "me", "url": url}, status=400)
        assert "is this ComfyUI itself" in refused["message"], name
    assert set(await master.peers()) == set(before)


async def test_f19_a_detour_that_leads_back_to_the_master_ends_in_words_and_not_in_a_deadlock(
    master: Session, fleet: Fleet
) -> None:
    graph = {"1": node("EmptyImage", width=16, height=16, batch_size=1, color=19)}
    async with Proxy(fleet.master.port) as detour:
        me = await master.post("/orchestrator/peers", {"name": "me", "url": detour.url}, status=201)
        try:
            await until(master.peers_are_up, "it looks like a peer")
            done = await master.run(dispatched(graph, ["1", 0], peer="me"))
            assert not done.succeeded
            assert "leads back to the master" in done.error["exception_message"]
        finally:
            await master.delete(f"/orchestrator/peers/{me['id']}")


@pytest.fixture
async def other(fleet: Fleet, http: aiohttp.ClientSession, master: Session) -> AsyncIterator[Session]:
    """A second master; each lists the other."""
    process = fleet.new_master("other")
    process.start()
    try:
        await asyncio.to_thread(process.wait_ready)
        other = Session(http, process.url, fleet.token)
        here = await master.post("/orchestrator/peers", {"name": "other", "url": process.url}, status=201)
        await other.post("/orchestrator/peers", {"name": "first", "url": fleet.master.url}, status=201)
        try:
            for each in (master, other):
                await until(each.peers_are_up, "each sees the other")
                await each.patch("/orchestrator/settings", {"fleet_mode": True})
            yield other
        finally:
            await master.patch("/orchestrator/settings", {"fleet_mode": False})
            await master.delete(f"/orchestrator/peers/{here['id']}")
    finally:
        process.stop()


async def test_f20_masters_that_list_each_other_send_nothing_in_a_circle(
    master: Session, other: Session
) -> None:
    graph: Graph = {"1": node("EmptyImage", width=16, height=16, batch_size=1, color=20)}
    saved = {**graph, "9": node("SaveImage", images=["1", 0], filename_prefix="hop")}
    known = {job["job_id"] for job in await master.jobs()}

    whole = await other.run(saved)
    assert whole.succeeded, whole.entry["status"]
    assert (await other.jobs())[0]["peer"] == "first"
    part = await other.run(dispatched({**graph, "1": node("EmptyImage", **graph["1"]["inputs"])}, ["1", 0]))
    assert part.succeeded, part.entry["status"]
    assert (await other.jobs())[0]["peer"] == "first"
    assert {job["job_id"] for job in await master.jobs()} == known  # it ran both itself

    sent = {"prompt": dispatched(graph, ["1", 0])}
    async with master.http.post(f"{master.url}/prompt", json=sent, headers={HOP_HEADER: "x"}) as answer:
        assert answer.status == 400
        assert "came from another master" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("seed", [0, 2**53 + 1, 2**64 - 1])
async def test_f25_a_seed_arrives_exactly_by_every_way(
    master: Session, peers: list[Session], seed: int
) -> None:
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    try:
        assert (await master.run(ending(stamp(seed), "1", 2500))).succeeded
        assert await times_run(peers, seed) == 1
    finally:
        await master.patch("/orchestrator/settings", {"fleet_mode": False})
    assert (await master.run(dispatched(stamp(seed, 16), ["1", 0]))).succeeded
    assert await times_run(peers, seed) == 2
    by_script = ending(stamp(7, 24), "1", 2501)
    done = await end_of(master, await submitted(master, by_script, parameters={"TestStamp.seed": seed}))
    assert done["state"] == "done"
    assert await times_run(peers, seed) == 3


async def test_f27_an_input_whose_name_the_peer_has_with_other_content_leaves_that_one_alone(
    master: Session, fleet: Fleet
) -> None:
    ours, theirs = (one_colour(colour) for colour in ((10, 20, 30), (200, 100, 50)))
    await master.upload("taken.png", ours)
    for peer in fleet.peers:
        await asyncio.to_thread((peer.base / "input" / "taken.png").write_bytes, theirs)
    graph = {"1": node("LoadImage", image="taken.png")}
    done = await end_of(master, await submitted(master, ending(graph, "1", 27)))
    assert (await master.picture(done["outputs"][0]))[0, 0].tolist() == [10, 20, 30]
    for peer in fleet.peers:
        assert await asyncio.to_thread((peer.base / "input" / "taken.png").read_bytes) == theirs


def one_colour(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


FOREIGN: tuple[dict[str, str], ...] = (
    {"Origin": "null"},
    {"Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_f37_another_page_moves_nothing_on_the_fleet_by_the_hosts_own_routes(
    master: Session, headers: dict[str, str]
) -> None:
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    try:
        graph = {**stamp(3700 + FOREIGN.index(headers)), "10": node("TestSleep", value=["1", 0], seconds=2.0)}
        running = await master.queue(ending(graph, "10", 37))
        await running_there(master, running)
        known = [job["job_id"] for job in await master.jobs()]
        local = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=1)}
        wishes: dict[str, Any] = {
            "/prompt": {"prompt": ending(local, "1", 37)},
            "/interrupt": {},
            "/queue": {"clear": True, "delete": [running]},
            f"/jobs/{running}/cancel": {},
            "/jobs/cancel": {"job_ids": [running]},
        }
        for prefix in ("", "/api"):
            for path, body in wishes.items():
                sent = {"Content-Type": "text/plain", **headers}
                url = f"{master.url}{prefix}{path}"
                async with master.http.post(url, data=json.dumps(body), headers=sent) as answer:
                    await answer.read()
        assert [job["job_id"] for job in await master.jobs()] == known
        assert (await master.finished(running)).succeeded
    finally:
        await master.patch("/orchestrator/settings", {"fleet_mode": False})


@pytest.fixture
async def on_small_disk(
    fleet: Fleet, http: aiohttp.ClientSession, master: Session
) -> AsyncIterator[tuple[Session, SmallDisk]]:
    """A master in fleet mode with a peer, and the disk of its journal."""
    process = fleet.new_master("small-disk")
    with small_disk(process.base / "user" / "__remote_dispatch", "4m") as disk:
        process.start()
        try:
            await asyncio.to_thread(process.wait_ready)
            session = Session(http, process.url, fleet.token)
            peer = {"name": "first", "url": fleet.peers[0].url}
            await session.post("/orchestrator/peers", peer, status=201)
            await until(session.peers_are_up, "the peer is up")
            await session.patch("/orchestrator/settings", {"fleet_mode": True})
            yield session, disk
        finally:
            process.stop()


async def test_f52_run_says_that_the_disk_is_full_and_runs_nothing_here(
    on_small_disk: tuple[Session, SmallDisk],
) -> None:
    master, disk = on_small_disk
    graph = {"1": node("EmptyImage", width=16, height=16, batch_size=1, color=52)}
    saved = {**graph, "9": node("SaveImage", images=["1", 0], filename_prefix="full")}
    disk.fill()
    async with master.http.post(f"{master.url}/prompt", json={"prompt": saved}) as answer:
        assert answer.status == 503
        assert "disk is full" in (await answer.json())["error"]["message"]
    assert (await master.get("/history"), (await master.get("/queue"))["queue_running"]) == ({}, [])
    disk.clear()
    done = await master.run(saved)
    assert done.succeeded
    assert [told["peer"] for told in await master.jobs()] == ["first"]
