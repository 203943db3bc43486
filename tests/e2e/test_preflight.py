"""What is sent, and what is said before, where only a peer's own nodes know: on real ComfyUI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.rig.fleet import Fleet

from .graphs import Graph, node, sampled
from .session import Finished, PromptRejected, Session, until

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet_mode(master: Session) -> AsyncIterator[Session]:
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    yield master
    await master.patch("/orchestrator/settings", {"fleet_mode": False})


def stacked(seed: int) -> Graph:
    """As a LoRA stack of a pack keeps it, on a machine with the other separator."""
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=seed),
        "2": node(
            "ReportLoraDict",
            image=["1", 0],
            lora_1={"on": True, "lora": "styles\\ink.safetensors", "strength": 0.8},
            lora_2={"on": True, "lora": "people\\only_on_master.safetensors", "strength": 0.6},
        ),
        "3": node("PreviewAny", source=["2", 1]),
        "4": node("SaveImage", images=["2", 0], filename_prefix="reports"),
    }


def put(fleet: Fleet, peer: int, path: str, data: bytes = b"weights") -> None:
    target = fleet.peers[peer].base / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


async def job_of(master: Session, done: Finished | str) -> dict[str, Any]:
    job_id = done if isinstance(done, str) else done.prompt_id
    job: dict[str, Any] = await master.get(f"/orchestrator/jobs/{job_id}")
    return job


async def api_job(master: Session, prompt: Graph, **more: Any) -> dict[str, Any]:
    """Through our own HTTP API, to its end."""
    made = await master.post("/orchestrator/jobs", {"prompt": prompt, **more})

    async def ended() -> Any:
        job = await job_of(master, made["job_id"])
        return job if job["ended_at"] else None

    job: dict[str, Any] = await until(ended, "the job ends")
    return job


async def outlook(master: Session, prompt: Graph) -> dict[str, dict[str, Any]]:
    told = await master.post("/orchestrator/explain", {"prompt": prompt})
    return {peer["name"]: peer for peer in told["peers"]}


async def test_a_peer_that_lacks_a_lora_named_in_an_object_runs_it_and_says_so(
    fleet: Fleet, fleet_mode: Session
) -> None:
    put(fleet, 0, "models/loras/styles/ink.safetensors")
    done = await fleet_mode.run(stacked(1), extra_data={"orchestrator": {"peer": "peer-1"}})
    assert done.succeeded and len(done.images("4")) == 1
    assert done.entry["outputs"]["3"]["text"] == [os.path.join("styles", "ink.safetensors")]
    (note,) = (await job_of(fleet_mode, done))["notes"]
    assert note.startswith("peer-1: ") and "only_on_master.safetensors" in note


async def test_a_video_of_the_masters_input_folder_goes_to_a_lenient_loader(
    fleet: Fleet, fleet_mode: Session
) -> None:
    graph = {
        "1": node("ReportLenientVideo", video="holiday.mp4"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="reports"),
    }
    (fleet.master.base / "input" / "holiday.mp4").write_bytes(b"x" * 200)
    done = await fleet_mode.run(graph)
    assert done.succeeded
    picture = await fleet_mode.picture(done.images("2")[0])
    assert picture[0, 0, 0] == 200
    script = await api_job(fleet_mode, graph)
    assert (script["state"], script["notes"], len(script["outputs"])) == ("done", [], 1)


async def test_a_video_that_nobody_has_is_named(fleet_mode: Session) -> None:
    graph = {
        "1": node("ReportLenientVideo", video="nobodys.mp4"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="reports"),
    }
    assert all("nobodys.mp4" in peer["caution"] for peer in (await outlook(fleet_mode, graph)).values())
    job = await api_job(fleet_mode, graph)
    assert job["state"] == "failed"
    assert "nobodys.mp4" in job["error"]["message"] and "No peer" not in job["error"]["message"]


async def test_a_model_copied_to_a_running_peer_is_used_at_once(fleet: Fleet, fleet_mode: Session) -> None:
    graph = {**sampled(5), "7": node("SaveImage", images=["5", 0], filename_prefix="copied")}
    graph["1"]["inputs"]["unet_name"] = "copied-since.safetensors"
    with pytest.raises(PromptRejected, match="copied-since"):
        await fleet_mode.run(graph)
    models = fleet.peers[1].base / "models" / "diffusion_models"
    put(fleet, 1, "models/diffusion_models/copied-since.safetensors", next(models.glob("tiny*")).read_bytes())
    done = await fleet_mode.run(graph)
    assert done.succeeded
    assert (await job_of(fleet_mode, done))["peer"] == "peer-2"


async def test_the_peer_that_has_all_of_it_wins_by_every_way_in(fleet: Fleet, fleet_mode: Session) -> None:
    put(fleet, 0, "models/loras/styles/ink.safetensors")
    for name in ("styles/ink.safetensors", "people/only_on_master.safetensors"):
        put(fleet, 1, f"models/loras/{name}")
    whole = await job_of(fleet_mode, await fleet_mode.run(stacked(2)))
    script = await api_job(fleet_mode, stacked(3))
    behind = {**stacked(4), "90": node("RemoteDispatch", value=["2", 1])}
    behind["91"] = node("PreviewAny", source=["90", 0])
    del behind["3"], behind["4"]
    text = (await fleet_mode.run(behind)).entry["outputs"]["91"]["text"]
    assert [job["peer"] for job in (whole, script)] == ["peer-2", "peer-2"]
    assert [job["notes"] for job in (whole, script)] == [[], []]
    assert "only_on_master" in text[0] and "ink" in text[0]


async def test_an_old_node_runs_on_peers_that_take_it_by_another_name(
    fleet: Fleet, fleet_mode: Session
) -> None:
    graph = {
        "1": node("ReportOldPicture", size=32, colour=0x102030),
        "2": node("SaveImage", images=["1", 0], filename_prefix="renamed"),
    }
    async with fleet_mode.http.get(f"{fleet.peers[0].url}/node_replacements") as answer:
        is_taken = answer.status == 200
    if not is_taken:  # ComfyUI is older than that
        with pytest.raises(PromptRejected, match="it lacks the node ReportOldPicture"):
            await fleet_mode.run(graph)
        return
    done = await fleet_mode.run(graph)
    picture = await fleet_mode.picture(done.images("2")[0])
    assert (picture.shape[:2], tuple(picture[0, 0, :3])) == ((32, 32), (0x10, 0x20, 0x30))
    assert (await api_job(fleet_mode, graph))["state"] == "done"


async def test_each_embedding_that_a_peer_lacks_is_a_caution(fleet: Fleet, master: Session) -> None:
    text = "embedding:badhands_v9, (embedding:easyneg.safetensors:1.2), blurry"
    graph = {"1": node("PrimitiveString", value=text), "2": node("PreviewAny", source=["1", 0])}
    put(fleet, 0, "models/embeddings/easyneg.safetensors")
    job = await api_job(master, graph, peer="peer-1")
    assert [note.split(",")[0] for note in job["notes"]] == ["peer-1: it lacks the embedding badhands_v9"]


async def test_a_folder_of_this_machine_is_said_to_be_only_here(fleet: Fleet, master: Session) -> None:
    graph = {
        "1": node("ReportFolderOfPictures", directory="frames_b"),
        "2": node("PreviewAny", source=["1", 0]),
    }
    (fleet.master.base / "input" / "frames_b").mkdir(exist_ok=True)
    told = await outlook(master, graph)
    assert all("is a folder on this computer only" in peer["caution"] for peer in told.values())
    job = await api_job(master, graph)
    assert job["state"] == "failed" and "frames_b" in job["error"]["message"]


async def test_nodes_on_a_peer_read_the_workflow_and_a_moved_box_runs_nothing_again(master: Session) -> None:
    graph = {
        "1": node("ReportWorkflowReader", seed=7),
        "90": node("RemoteDispatch", value=["1", 0]),
        "91": node("PreviewAny", source=["90", 0]),
    }
    workflow: dict[str, Any] = {"id": "my-graph", "nodes": [], "links": []}
    first = await master.run(graph, extra_data={"extra_pnginfo": {"workflow": workflow}})
    assert first.entry["outputs"]["91"]["text"] == ["7 of my-graph"]
    before = (await master.get("/orchestrator/jobs"))["counts"]
    moved = {**workflow, "nodes": [{"id": 1, "pos": [500, 500]}]}
    again = await master.run(graph, extra_data={"extra_pnginfo": {"workflow": moved}})
    assert again.succeeded
    assert (await master.get("/orchestrator/jobs"))["counts"] == before
