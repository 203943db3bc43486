"""What a peer's nodes make arrives or is named: real ComfyUI processes, nodes with the habits of packs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.rig.fleet import Fleet

from .graphs import Graph, node, stamp
from .session import Finished, Session, until

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet_mode(master: Session) -> AsyncIterator[Session]:
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    yield master
    await master.patch("/orchestrator/settings", {"fleet_mode": False})


def saved(class_type: str, seed: int, batch: int = 1, **inputs: Any) -> Graph:
    return {**stamp(seed, batch=batch), "2": node(class_type, images=["1", 0], **inputs)}


async def job_of(master: Session, done: Finished) -> dict[str, Any]:
    job: dict[str, Any] = await master.get(f"/orchestrator/jobs/{done.prompt_id}")
    return job


def files_of(job: dict[str, Any]) -> list[str]:
    return [f"{file['subfolder']}/{file['filename']}".lstrip("/") for file in job["outputs"]]


async def bytes_of(fleet: Fleet, job: dict[str, Any]) -> list[bytes]:
    base = fleet.master.base
    paths = [Path(base, f["type"], f["subfolder"], f["filename"]) for f in job["outputs"]]
    return await asyncio.to_thread(lambda: [path.read_bytes() for path in paths])


@pytest.mark.parametrize("show", ["true", "false"])
async def test_a_saver_that_makes_no_folder_and_one_that_tells_nothing_lose_no_picture(
    fleet_mode: Session, fleet: Fleet, show: str
) -> None:
    prefix = f"reports{show}"
    for first in (0, 2):  # the second run numbers its files on from the first
        graph = saved("ReportPrefixSaver", 801 + first, batch=2, filename_prefix=prefix, show=show)
        done = await fleet_mode.run(graph)
        job = await job_of(fleet_mode, done)
        assert (job["state"], job["notes"]) == ("done", [])
        assert files_of(job) == [f"{prefix}_{first:04}.png", f"{prefix}_{first + 1:04}.png"]
        assert len(set(await bytes_of(fleet, job))) == 2
        shown = [image["filename"] for image in done.images("2")]
        assert shown == (files_of(job) if show == "true" else [])


async def test_a_prefix_with_a_folder_names_that_folder_here_whatever_the_node_makes_of_it(
    fleet_mode: Session,
) -> None:
    graph = saved("ReportPrefixSaver", 805, filename_prefix="%year%/cats/x", show="true")
    job = await job_of(fleet_mode, await fleet_mode.run(graph))
    assert files_of(job) == ["%year%/cats/x_0000.png"]


async def test_frames_told_as_a_pattern_all_come_and_stay_a_sequence(
    fleet_mode: Session, fleet: Fleet
) -> None:
    for number in ("00001", "00002"):
        done = await fleet_mode.run(saved("ReportSequenceSaver", int(number), 3, filename_prefix="film/clip"))
        job = await job_of(fleet_mode, done)
        names = [f"film/clip_{number}{end}.png" for end in ("_001", "_002", "_003", "")]
        assert (job["state"], job["notes"], sorted(files_of(job))) == ("done", [], sorted(names))
        [entry] = done.entry["outputs"]["2"]["gifs"]
        assert (entry["filename"], entry["subfolder"]) == (f"clip_{number}_%03d.png", "film")
        assert entry["workflow"] == f"clip_{number}.png"
        there = str(fleet.master.base / "output" / "film" / f"clip_{number}_%03d.png")
        assert entry["fullpath"] == there


async def test_files_of_nodes_that_an_expansion_made_come_and_are_shown(fleet_mode: Session) -> None:
    graph = saved("ReportExpandSave", 811, filename_prefix="loop", n=3)
    done = await fleet_mode.run({**graph, "3": node("PreviewImage", images=["2", 0])})
    job = await job_of(fleet_mode, done)
    assert (job["state"], job["notes"]) == ("done", [])
    assert [name.partition("/")[2] or name for name in files_of(job)][:3] == [
        f"loop_{number}_00001_.png" for number in range(3)
    ]
    assert len(files_of(job)) == 4
    assert len(done.entry["outputs"]) == 4


async def test_a_model_that_comfyui_saves_without_a_word_is_found(fleet_mode: Session) -> None:
    graph = {
        "1": node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default"),
        "2": node("ModelSave", model=["1", 0], filename_prefix="diffusion_models/tiny"),
    }
    job = await job_of(fleet_mode, await fleet_mode.run(graph))
    assert (job["state"], job["notes"]) == ("done", [])
    assert files_of(job) == ["diffusion_models/tiny_00001_.safetensors"]


async def test_files_that_no_route_lists_are_said_on_the_done_job(fleet_mode: Session) -> None:
    graph = {"1": node("ReportHiddenSaver", text="x", output_path="deep/inside")}
    job = await job_of(fleet_mode, await fleet_mode.run(graph))
    assert (job["state"], job["outputs"]) == ("done", [])
    [note] = job["notes"]
    assert "ReportHiddenSaver (node 1) wrote files that this peer does not list" in note
    assert job["peer"] in note


async def test_a_node_that_waits_for_a_value_brings_the_files_that_were_saved_on_the_way(
    master: Session, fleet: Fleet
) -> None:
    """Only a node that hands its pictures on can be upstream of another."""
    graph = {
        **saved("ReportExpandSave", 821, filename_prefix="onway", n=1),
        "90": node("RemoteDispatch", value=["2", 0]),
        "91": node("SaveImage", images=["90", 0], filename_prefix="e2e"),
    }
    async with master.listening() as (client_id, heard):
        assert (await master.run(graph, client_id=client_id)).succeeded
        await until(lambda: has_ended(heard), "the page hears of the end")
    shown = [event["data"] for event in heard if event["type"] == "executed"]
    assert [data["output"]["images"][0]["filename"] for data in shown if data["display_node"] == "2"] == [
        "onway_0_00001_.png"
    ]
    [job] = [job for job in await master.jobs() if any("onway" in f for f in files_of(job))]
    assert [f["type"] for f in job["outputs"]].count("output") == 1


async def test_a_drawing_keeps_its_ending_and_runs_nothing_where_it_is_shown(fleet_mode: Session) -> None:
    text = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    graph = {"1": node("ReportDrawingSaver", text=text, filename_prefix="art/drawing")}
    done = await fleet_mode.run(graph)
    job = await job_of(fleet_mode, done)
    assert files_of(job) == ["art/drawing_00001_.svg"]
    [path] = done.entry["outputs"]["1"]["files"]
    assert path.endswith("drawing_00001_.svg") and "rd-" not in path
    query = urlencode({"filename": "drawing_00001_.svg", "subfolder": "art", "type": "output"})
    for prefix in ("", "/api"):
        async with fleet_mode.http.get(f"{fleet_mode.url}{prefix}/view?{query}") as answer:
            assert await answer.text() == text
            assert answer.headers["Content-Security-Policy"] == "sandbox"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_prompt_that_queues_itself_again_is_one_job_and_done_with_its_last_round(
    fleet_mode: Session, peers: list[Session]
) -> None:
    graph = saved("ReportRequeue", 831, filename_prefix="batch", rounds=3, done=0, seconds=0.3)
    async with fleet_mode.listening() as (client_id, heard):
        prompt_id = await fleet_mode.queue(graph, client_id=client_id)
        done = await fleet_mode.finished(prompt_id)
        await until(lambda: has_ended(heard), "the page hears of the end")
    job = await job_of(fleet_mode, done)
    assert (job["state"], job["notes"], files_of(job)) == ("done", [], ["batch_00001_.png"])
    assert len(job["attempts"]) == 1
    assert {event["data"].get("prompt_id", prompt_id) for event in heard if "data" in event} == {prompt_id}
    ends = [event for event in heard if event["type"] == "execution_success"]
    assert len(ends) == 1
    assert all([await peer.is_idle() for peer in peers])


async def has_ended(heard: list[dict[str, Any]]) -> bool:
    return any(event["type"] == "executing" and event["data"]["node"] is None for event in heard)


async def test_stopped_in_its_second_round_it_leaves_no_round_behind(
    fleet_mode: Session, peers: list[Session]
) -> None:
    graph = saved("ReportRequeue", 841, filename_prefix="stopped", rounds=500, done=0, seconds=0.5)
    prompt_id = await fleet_mode.queue(graph)

    async def is_in_a_later_round() -> bool:
        queues = [await peer.get("/queue") for peer in peers]
        running = [item for queue in queues for item in queue["queue_running"]]
        return any(item[1] != prompt_id and item[2]["2"]["inputs"]["done"] > 0 for item in running)

    await until(is_in_a_later_round, "it is in a later round")
    await fleet_mode.post("/interrupt", {"prompt_id": prompt_id})
    done = await fleet_mode.finished(prompt_id)
    assert (await job_of(fleet_mode, done))["state"] == "cancelled"

    async def are_idle() -> bool:
        return all([await peer.is_idle() for peer in peers])

    await until(are_idle, "nothing of it is left")


async def test_pictures_that_come_over_the_websocket_alone_are_kept_for_a_job_without_a_page(
    master: Session, fleet: Fleet
) -> None:
    graph = {**stamp(851, batch=8), "2": node("SaveImageWebsocket", images=["1", 0])}
    told = await master.post("/orchestrator/jobs", {"prompt": graph})

    async def has_ended() -> Any:
        job = await master.get(f"/orchestrator/jobs/{told['job_id']}")
        return job if job["state"] in ("done", "failed") else None

    job = await until(has_ended, "it ends")
    assert (job["state"], job["notes"]) == ("done", [])
    assert [f["filename"] for f in job["outputs"]] == [
        f"SaveImageWebsocket_0000{n}_.png" for n in range(1, 9)
    ]
    assert len(set(await bytes_of(fleet, job))) == 8
