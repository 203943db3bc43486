"""What peers are asked before a prompt is refused, and what is said where only they know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.engine.placement.explain import caution
from orchestrator.core.models.job import JobRequest, JobState
from orchestrator.dispatch.recovery import LOOKED_S
from tests.fakes.answers import silence
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import loaded_picture, picture, stock_classes
from tests.fakes.master import Master, started
from tests.fakes.waiting import until

PACK = "custom_nodes.some-pack"


def pack_class(module: str = PACK, **inputs: Any) -> dict[str, Any]:
    return {"input": {"required": {}, "optional": inputs}, "output": ["IMAGE"], "python_module": module}


def loras(*names: str) -> dict[str, Any]:
    return {**pack_class("nodes", lora_name=[list(names), {}]), "output": ["MODEL"]}


def stacked(*names: str) -> dict[str, Any]:
    """A picture of a pack's node that keeps LoRAs in objects."""
    rows = {f"lora_{n}": {"on": True, "lora": name, "strength": 1} for n, name in enumerate(names)}
    return {**picture(), "1": {"class_type": "Stack", "inputs": rows}}


def with_file(name: str) -> dict[str, Any]:
    graph = picture()
    graph["1"] = {"class_type": "Stack", "inputs": {"model": ["5", 0]}}
    graph["5"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
    return graph


def checkpoints(*names: str) -> dict[str, Any]:
    known = stock_classes()["CheckpointLoaderSimple"]
    return {**known, "input": {"required": {"ckpt_name": [list(names), {}]}}}


@pytest.fixture
async def a() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = {
            **stock_classes(),
            "Stack": pack_class(),
            "LoraLoader": loras("styles/ink.safetensors"),
        }
        yield fake


@pytest.fixture
async def b() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        both = loras("styles/ink.safetensors", "people/me.safetensors")
        fake.object_info = {**stock_classes(), "Stack": pack_class(), "LoraLoader": both}
        yield fake


async def knows(master: Master, backend_id: str) -> None:
    await until(lambda: master.runtime.manager.get_object_info(backend_id), "its list is read")


async def test_a_model_that_was_copied_to_a_running_peer_is_there_at_once(
    master: Master, a: FakeComfyUI
) -> None:
    await knows(master, await master.add("gpu", a))
    a.object_info["CheckpointLoaderSimple"] = checkpoints("new.safetensors")
    found = await master.runtime.jobs.check_prompt(with_file("new.safetensors"), None)
    assert (found.error, found.outputs) == (None, ("2",))
    assert (await master.run(with_file("new.safetensors"))).state is JobState.DONE
    assert len(a.asked("/object_info")) == 1


async def test_a_refusal_rests_on_what_the_peer_says_now(master: Master, a: FakeComfyUI) -> None:
    await knows(master, await master.add("gpu", a))
    found = await master.runtime.jobs.check_prompt(with_file("gone.safetensors"), None)
    assert found.error is not None and "gone.safetensors" in found.error["details"]
    assert len(a.asked("/object_info/CheckpointLoaderSimple")) == 1
    job = await master.run(with_file("gone.safetensors"))
    assert job.error is not None and "it lacks the file gone.safetensors" in job.error["message"]
    assert len(a.asked("/object_info/CheckpointLoaderSimple")) == 2


async def test_a_model_that_is_gone_since_the_list_was_read_counts_as_missing(
    master: Master, a: FakeComfyUI
) -> None:
    await knows(master, await master.add("gpu", a))
    a.object_info["CheckpointLoaderSimple"] = checkpoints()
    found = await master.runtime.jobs.check_prompt(with_file("gone.safetensors"), None)
    assert found.error is not None
    again = await master.runtime.jobs.check_prompt(with_file("base.safetensors"), None)
    assert again.error is not None


async def test_while_a_peer_does_not_answer_the_prompt_waits(tmp_path: Path, a: FakeComfyUI) -> None:
    async with started(tmp_path, second_look_s=0.2) as master:
        await knows(master, await master.add("gpu", a))
        a.answers["/object_info/RareNode"] = silence()
        graph = picture(made_by="RareNode")
        found = await master.runtime.jobs.check_prompt(graph, None)
        assert (found.error, found.node_errors) == (None, {})
        job = await master.submit(graph)
        await until(lambda: "waiting for gpu to say" in master.job(job).explanation, "it waits")
        a.object_info.update(stock_classes("RareNode"))
        del a.answers["/object_info/RareNode"]
        assert (await master.end_of(job)).state is JobState.DONE


async def test_a_peer_that_has_all_wins_over_an_idle_one_that_has_not(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await knows(master, await master.add("few", a))
    await knows(master, await master.add("all", b))
    b.on_prompt = "hold"
    graph = stacked("styles\\ink.safetensors", "people\\me.safetensors")
    first, second = await master.submit(graph), await master.submit(graph)
    for job in (first, second):
        await until(lambda job=job: master.job(job).backend_id, "it has a peer")  # type: ignore[misc]
        assert master.runtime.peers.name(master.job(job).backend_id) == "all"
        assert master.job(job).notes == ()
    assert not a.prompts


async def test_what_only_its_node_may_leave_out_is_a_note_that_names_peer_and_file(
    master: Master, a: FakeComfyUI
) -> None:
    await knows(master, await master.add("few", a))
    job = await master.run(stacked("styles\\ink.safetensors", "people\\me.safetensors"))
    assert job.state is JobState.DONE
    assert job.notes == (
        "few: it lacks the LoRA people\\me.safetensors, which node 1 (lora_1) may leave out.",
    )
    assert a.prompts[-1].graph["1"]["inputs"]["lora_0"]["lora"] == "styles/ink.safetensors"


async def test_a_lora_that_was_copied_there_since_raises_no_doubt(master: Master, a: FakeComfyUI) -> None:
    await knows(master, await master.add("few", a))
    a.object_info["LoraLoader"] = loras("people/me.safetensors")
    job = await master.run(stacked("people/me.safetensors"))
    assert (job.state, job.notes) == (JobState.DONE, ())


async def test_the_outlook_says_the_same_before(master: Master, a: FakeComfyUI, b: FakeComfyUI) -> None:
    await knows(master, await master.add("few", a))
    alone = await master.runtime.jobs.explain(JobRequest(prompt=stacked("people/me.safetensors")))
    assert "people/me.safetensors" in caution(alone.peers[0])
    await knows(master, await master.add("all", b))
    both = await master.runtime.jobs.explain(JobRequest(prompt=stacked("people/me.safetensors")))
    assert [peer.eligibility.name for peer in both.peers if peer.eligibility.eligible] == ["all"]


async def test_a_file_for_a_packs_loader_goes_up_whatever_its_list_says(
    master: Master, a: FakeComfyUI
) -> None:
    a.object_info["Video"] = pack_class(video=[["theirs.mp4"], {}])
    await knows(master, await master.add("gpu", a))
    (master.input / "holiday.mp4").write_bytes(b"film")
    graph = {**picture(), "1": {"class_type": "Video", "inputs": {"video": "holiday.mp4"}}}
    assert (await master.runtime.jobs.check_prompt(graph, None)).error is None
    job = await master.run(graph)
    assert (job.state, job.notes) == (JobState.DONE, ())
    assert a.prompts[-1].graph["1"]["inputs"]["video"].startswith("remote-dispatch/")


async def test_a_file_that_nobody_has_is_named(master: Master, a: FakeComfyUI) -> None:
    a.object_info["Video"] = pack_class(video=[["theirs.mp4"], {}])
    await knows(master, await master.add("gpu", a))
    graph = {**picture(), "1": {"class_type": "Video", "inputs": {"video": "nobodys.mp4"}}}
    job = await master.run(graph)
    (note,) = job.notes
    assert note.startswith("gpu: the file nobodys.mp4 of node 1 (video) is neither in this computer's input")


async def test_files_inside_objects_are_sent(master: Master, a: FakeComfyUI) -> None:
    a.object_info["Stage"] = pack_class(image=["LOAD_3D", {}])
    await knows(master, await master.add("gpu", a))
    for name in ("image.png", "mask.png"):
        (master.input / name).write_bytes(name.encode())
    shot = {"image": "image.png", "mask": "mask.png", "camera_info": {"fov": 35}}
    job = await master.run({**picture(), "1": {"class_type": "Stage", "inputs": {"image": shot}}})
    assert job.state is JobState.DONE
    sent = a.prompts[-1].graph["1"]["inputs"]["image"]
    assert sent["camera_info"] == {"fov": 35}
    assert {sent[key].split("/")[0] for key in ("image", "mask")} == {"remote-dispatch"}
    assert sorted(file.name for file in job.inputs) == ["image.png", "mask.png"]


async def test_a_stock_picture_that_nobody_has_is_refused_by_name(master: Master, a: FakeComfyUI) -> None:
    await knows(master, await master.add("gpu", a))
    found = await master.runtime.jobs.check_prompt(loaded_picture("nobodys.png"), None)
    assert found.error is not None and "nobodys.png" in found.error["details"]


async def test_many_doubted_jobs_ask_a_peer_once(master: Master, a: FakeComfyUI) -> None:
    await knows(master, await master.add("few", a))
    clock = asyncio.get_running_loop().time
    began_s = clock()
    graphs = [stacked("people/me.safetensors") for _ in range(20)]
    jobs = await asyncio.gather(*map(master.submit, graphs))
    for job in jobs:
        assert (await master.end_of(job)).notes
    # A slow machine takes longer for them than an answer is believed.
    assert len(a.asked("/object_info/LoraLoader")) <= 1 + (clock() - began_s) / LOOKED_S


async def test_a_folder_of_this_machine_is_told_whoever_decides(master: Master, a: FakeComfyUI) -> None:
    a.object_info["PackFolder"] = pack_class(directory=[["frames_a"], {}])
    a.object_info["StockFolder"] = pack_class("nodes", directory=[["frames_a"], {}])
    await knows(master, await master.add("gpu", a))
    (master.input / "frames_b").mkdir()
    reader = {"class_type": "StockFolder", "inputs": {"directory": "frames_b"}}
    found = await master.runtime.jobs.check_prompt({**picture(), "1": reader}, None)
    assert found.error is not None
    assert "frames_b of node 1 (directory) is a folder on this computer only" in found.error["details"]
    job = await master.run({**picture(), "1": {**reader, "class_type": "PackFolder"}})
    assert [note.split(":")[1] for note in job.notes] == [
        " frames_b of node 1 (directory) is a folder on this computer only"
    ]
