"""Remote Split and Remote Gather: what stands between them runs once for each piece, on real ComfyUI."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.rig.fleet import Fleet

from .graphs import Graph, node
from .session import Session, until

pytestmark = pytest.mark.e2e
SIZE = 16


async def batch_of(master: Session, count: int) -> Graph:
    """A graph whose node "in" is a batch of pictures of this computer, each another one."""
    graph: Graph = {}
    for number in range(count):
        picture = io.BytesIO()
        shade = 10 * number
        Image.fromarray(np.full((SIZE, SIZE, 3), (shade, 255 - shade, 7), np.uint8)).save(picture, "PNG")
        await master.upload(f"piece-{number}.png", picture.getvalue())
        graph[f"load{number}"] = node("LoadImage", image=f"piece-{number}.png")
        last: list[Any] = [f"load{number}", 0]
        if number:
            graph[f"batch{number}"] = node("ImageBatch", image1=graph["in"]["inputs"]["image"], image2=last)
            last = [f"batch{number}", 0]
        graph["in"] = node("ImageInvert", image=last)
    return graph


def mapped(graph: Graph, work: Graph, result: list[Any], **split: Any) -> Graph:
    """`work` on each piece of "in"; the master saves the whole (id "out")."""
    return {
        **graph,
        "split": node("RemoteSplit", value=["in", 0], **{"size": 2, "overlap": 0, **split}),
        **work,
        "rd": node("RemoteDispatch", value=result),
        "gather": node("RemoteGather", value=["rd", 0], pieces=["split", 1], blend=-1),
        "out": node("SaveImage", images=["gather", 0], filename_prefix="pieces"),
    }


def plain(graph: Graph) -> Graph:
    """All of it on this computer, without what only peers have."""
    whole = {node_id: each for node_id, each in graph.items() if node_id not in ("rd", "sleep")}
    return {**whole, "gather": node("RemoteGather", value=["invert", 0], pieces=["split", 1], blend=-1)}


async def shades(master: Session, done: Any) -> list[int]:
    return [round(float((await master.picture(file))[0, 0, 0])) for file in done.images("out")]


async def test_pieces_run_on_all_peers_and_come_back_in_their_order(master: Session) -> None:
    graph = mapped(
        await batch_of(master, 7),
        {
            "sleep": node("TestSleep", value=["invert", 0], seconds=0.5),
            "invert": node("ImageInvert", image=["split", 0]),
        },
        ["sleep", 0],
    )
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    assert await shades(master, done) == await shades(master, await master.run(plain(graph)))
    jobs = (await master.jobs())[:4]  # the newest
    assert sorted(job["batch"]["index"] for job in jobs) == [0, 1, 2, 3]
    assert len({job["batch"]["id"] for job in jobs}) == 1
    assert {job["peer"] for job in jobs} == {"peer-1", "peer-2"}


async def test_without_remote_dispatch_the_same_graph_runs_here(master: Session) -> None:
    graph = mapped(
        await batch_of(master, 5), {"invert": node("ImageInvert", image=["split", 0])}, ["invert", 0]
    )
    done = await master.run(plain(graph))
    assert done.succeeded
    ours = await shades(master, done)
    assert len(ours) == 5 and ours == sorted(ours)


async def test_a_piece_that_fails_ends_the_others_and_its_own_node_is_to_blame(master: Session) -> None:
    graph = mapped(
        await batch_of(master, 6),
        {
            "crop": node("ImageCrop", image=["split", 0], width=SIZE, height=SIZE, x=0, y=0),
            "fail": node("TestError", value=["crop", 0]),
        },
        ["fail", 0],
    )
    done = await master.run(graph)
    assert not done.succeeded
    assert done.error["node_id"] == "fail"


async def test_with_no_peer_the_pieces_run_here_each_with_its_own_value(
    master: Session, fleet_without_peers: None
) -> None:
    invert = {"invert": node("ImageInvert", image=["split", 0])}
    graph = mapped(await batch_of(master, 5), invert, ["invert", 0])
    graph["rd"]["inputs"]["if_no_peer"] = "run here"
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    assert await shades(master, done) == await shades(master, await master.run(plain(graph)))


@pytest.fixture
async def fleet_without_peers(master: Session) -> AsyncIterator[None]:
    peers = await master.peers()
    for peer in peers.values():
        await master.patch(f"/orchestrator/peers/{peer['id']}", {"enabled": False})
    yield
    for peer in peers.values():
        await master.patch(f"/orchestrator/peers/{peer['id']}", {"enabled": True})
    await until(master.peers_are_up, "the peers are back")


def tiled(graph: Graph, work: Graph, result: list[Any]) -> Graph:
    """`work` on each tile of the picture "in"; the master tells the whole (id "out")."""
    return {
        **graph,
        "tiles": node("RemoteSplitTiles", value=["in", 0], tile=64, overlap=32),
        **work,
        "rd": node("RemoteDispatch", value=result, precision="exact"),
        "gather": node("RemoteGather", value=["rd", 0], pieces=["tiles", 1], blend=-1),
        "out": node("ReportTell", value=["gather", 0]),
    }


def picture(width: int, height: int) -> Graph:
    noise = node("ImageAddNoise", image=["empty", 0], seed=3, strength=0.4)
    return {
        "empty": node("EmptyImage", width=width, height=height, batch_size=1, color=8_421_504),
        "in": noise,
    }


async def told(master: Session, graph: Graph) -> Any:
    done = await master.run(graph)
    assert done.succeeded, done.error
    value = json.loads(done.entry["outputs"]["out"]["text"][0])
    return np.frombuffer(base64.b64decode(value["data"]), np.float32).reshape(value["shape"])


def on_this_computer(graph: Graph, whole: list[Any]) -> Graph:
    """The same work on the picture as a whole."""
    left = {i: each for i, each in graph.items() if i not in ("tiles", "hints", "rd", "gather")}
    return {**left, "out": node("ReportTell", value=whole)}


async def test_tiles_of_what_looks_around_itself_make_the_picture_that_one_computer_makes(
    master: Session,
) -> None:
    blur = {"blur": node("ImageBlur", image=["tiles", 0], blur_radius=5, sigma=2.0)}
    graph = tiled(picture(200, 120), blur, ["blur", 0])
    plain = on_this_computer(graph, ["blur", 0])
    plain["blur"] = node("ImageBlur", image=["in", 0], blur_radius=5, sigma=2.0)
    one, other = await told(master, graph), await told(master, plain)
    assert one.shape == other.shape == (1, 120, 200, 3)
    assert np.abs(one - other).max() <= 1e-6


async def test_a_hint_of_half_the_size_is_cut_alike_and_larger_tiles_make_a_larger_picture(
    master: Session,
) -> None:
    half = node(
        "ImageScale", image=["in", 0], upscale_method="nearest-exact", width=100, height=60, crop="disabled"
    )
    blend = {"blend_factor": 0.5, "blend_mode": "normal"}
    twice = {"upscale_method": "nearest-exact", "scale_by": 2.0}
    work = {
        "half": half,
        "hints": node("RemoteSplitTiles", value=["half", 0], tile=64, overlap=32, like=["tiles", 1]),
        "large": node("ImageScaleBy", image=["tiles", 0], **twice),
        "hint": node("ImageScaleBy", image=["hints", 0], upscale_method="nearest-exact", scale_by=4.0),
        "blend": node("ImageBlend", image1=["large", 0], image2=["hint", 0], **blend),
    }
    graph = tiled(picture(200, 120), work, ["blend", 0])
    plain = on_this_computer(graph, ["blend", 0])
    plain["large"] = node("ImageScaleBy", image=["in", 0], **twice)
    plain["hint"] = node("ImageScaleBy", image=["half", 0], upscale_method="nearest-exact", scale_by=4.0)
    one, other = await told(master, graph), await told(master, plain)
    assert one.shape == other.shape == (1, 240, 400, 3)
    assert np.abs(one - other).max() <= 1e-6


async def test_of_many_tiles_only_the_one_that_changed_runs_again(master: Session) -> None:
    async def jobs_of(graph: Graph) -> int:
        before = {job["job_id"] for job in await master.jobs()}
        await told(master, graph)
        return len({job["job_id"] for job in await master.jobs()} - before)

    invert = {"invert": node("ImageInvert", image=["tiles", 0])}
    plain = tiled(picture(200, 120), invert, ["invert", 0])
    corner = {
        **plain,
        "dot": node("EmptyImage", width=8, height=8, batch_size=1, color=255),
        "dotted": node(
            "ImageCompositeMasked", destination=["in", 0], source=["dot", 0], x=0, y=0, resize_source=False
        ),
    }
    corner["tiles"] = node("RemoteSplitTiles", value=["dotted", 0], tile=64, overlap=32)
    tiles = await jobs_of(plain)
    assert tiles > 4
    assert await jobs_of(corner) == 1
    assert await jobs_of(plain) == 0
    one, other = await told(master, corner), await told(master, plain)
    assert np.array_equal(one[0, :8, :8], np.broadcast_to(np.float32([1, 1, 0]), (8, 8, 3)))
    assert np.array_equal(one[0, 8:], other[0, 8:])
    always = {**plain, "rd": node("RemoteDispatch", value=["invert", 0], run_again="always")}
    assert await jobs_of(always) == tiles


async def test_after_an_error_only_the_pieces_that_were_not_done_run_again(
    master: Session, tmp_path: Path
) -> None:
    """The first and reddest of four fails as long as a file is not there."""
    file = tmp_path / "there"
    need = node("TestNeedsFile", value=["split", 0], path=str(file), most=250 / 255)
    graph = mapped(await batch_of(master, 4), {"need": need}, ["need", 0], size=1)
    before = {job["job_id"] for job in await master.jobs()}
    assert not (await master.run(graph)).succeeded
    first = [job["state"] for job in await master.jobs() if job["job_id"] not in before]
    assert sorted(first) == ["done", "done", "done", "failed"]
    before = {job["job_id"] for job in await master.jobs()}
    file.touch()
    assert (await master.run(graph)).succeeded
    assert [job["state"] for job in await master.jobs() if job["job_id"] not in before] == ["done"]


def stamps(count: int) -> Graph:
    """A peer's node `count` times, each with another seed; this computer saves the batch (id "out")."""
    return {
        "make": node("TestStamp", width=SIZE, height=SIZE, batch=1, seed=7),
        "rd": node("RemoteDispatch", value=["make", 0], copies=count),
        "out": node("SaveImage", images=["rd", 0], filename_prefix="copies"),
    }


async def test_copies_run_on_all_peers_and_come_back_as_one_batch_in_the_order_of_their_seeds(
    master: Session,
) -> None:
    graph = stamps(6)
    graph["sleep"] = node("TestSleep", value=["make", 0], seconds=0.5)
    graph["rd"]["inputs"]["value"] = ["sleep", 0]
    done = await master.run(graph)
    assert done.succeeded, done.error
    jobs = (await master.jobs())[:6]
    assert sorted(job["batch"]["index"] for job in jobs) == list(range(6))
    assert {job["peer"] for job in jobs} == {"peer-1", "peer-2"}
    alone = stamps(1)
    for number, file in enumerate(done.images("out")):
        alone["make"]["inputs"]["seed"] = 7 + number
        (single,) = (await master.run(alone)).images("out")
        assert np.array_equal(await master.picture(file), await master.picture(single))


async def test_copies_that_make_no_batch_say_so(master: Session) -> None:
    graph: Graph = {
        "text": node("PreviewAny", source="a word"),
        "join": node("StringConcatenate", string_a="a", string_b="b", delimiter=""),
        "rd": node("RemoteDispatch", value=["join", 0], copies=2),
        "out": node("PreviewAny", source=["rd", 0]),
    }
    done = await master.run(graph)
    assert "cannot become one batch" in done.error["exception_message"]


@pytest.mark.parametrize("count", [1, 3])
async def test_with_no_peer_copies_run_here(master: Session, fleet_without_peers: None, count: int) -> None:
    graph: Graph = {
        "make": node("EmptyLatentImage", width=64, height=64, batch_size=2),
        "rd": node("RemoteDispatch", value=["make", 0], copies=count, if_no_peer="run here"),
        "out": node("ReportTell", value=["rd", 0]),
    }
    done = await master.run(graph)
    assert done.succeeded, done.error
    told = json.loads(done.entry["outputs"]["out"]["text"][0])
    assert told["samples"]["shape"] == [2 * count, 4, 8, 8]


async def test_a_peer_that_dies_in_the_middle_costs_no_piece(master: Session, fleet: Fleet) -> None:
    graph = mapped(
        await batch_of(master, 12),
        {
            "sleep": node("TestSleep", value=["invert", 0], seconds=1.0),
            "invert": node("ImageInvert", image=["split", 0]),
        },
        ["sleep", 0],
        size=1,
    )
    prompt_id = await master.queue(graph)

    async def some_are_done() -> bool:
        return sum(job["state"] == "done" for job in (await master.jobs())[:12]) >= 3

    await until(some_are_done, "some pieces are done")
    fleet.peers[0].kill()
    try:
        done = await master.finished(prompt_id)
    finally:
        await asyncio.to_thread(fleet.peers[0].start)
        await asyncio.to_thread(fleet.peers[0].wait_ready)
        await until(master.peers_are_up, "the peers are back")
    assert done.succeeded, done.error
    assert await shades(master, done) == await shades(master, await master.run(plain(graph)))
    assert max(len(job["attempts"]) for job in (await master.jobs())[:12]) == 2


async def test_the_outlook_is_that_of_a_piece_and_says_nothing_of_what_cuts_it(master: Session) -> None:
    invert = {"invert": node("ImageInvert", image=["split", 0])}
    graph = mapped(await batch_of(master, 3), invert, ["invert", 0])
    told = await master.post("/orchestrator/explain", {"prompt": graph, "result": ["invert", 0]})
    assert (told["here"], [peer["eligible"] for peer in told["peers"]]) == ("", [True, True])


async def test_stop_ends_all_pieces(master: Session, peers: list[Session]) -> None:
    sleep = {"sleep": node("TestSleep", value=["split", 0], seconds=60.0)}
    prompt_id = await master.queue(mapped(await batch_of(master, 8), sleep, ["sleep", 0]))

    async def both_work() -> bool:
        return not any([await peer.is_idle() for peer in peers])

    await until(both_work, "both peers have pieces")
    await master.post("/interrupt", {})
    assert not (await master.finished(prompt_id)).succeeded
    for peer in peers:
        await until(peer.is_idle, "nothing is left on the peers")
    assert not [job for job in await master.jobs() if job["ended_at"] is None]
