"""Results that come in ways of their own: over the websocket, as a pattern, or without a word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.backends.client import ComfyUIClient
from orchestrator.core.models.job import Job, JobState
from orchestrator.core.prompts.output_names import OutputNames
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.dispatch.attempts.gathering import Gathering
from orchestrator.dispatch.attempts.live_outputs import NodeOutput
from tests.fakes.answers import answer
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import Master, outcomes

OUTPUT_NODE = {"input": {}, "output": [], "output_node": True}


@pytest.fixture
async def peer(master: Master) -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        ours = dict.fromkeys(("SaveLive", "OtherSaver", "PlaySound"), OUTPUT_NODE)
        fake.object_info = {**stock_classes(), **ours}
        fake.on_prompt = "hold"
        await master.add("gpu", fake)
        yield fake


def contents_of(job: Job) -> list[bytes]:
    return [Path(output.path).read_bytes() for output in job.outputs]


async def ended_with(master: Master, peer: FakeComfyUI, entries: list[str], files: list[str]) -> Job:
    """A job whose save node tells `entries` and has written `files`, both into the folder of its prefix."""
    job = await master.submit(picture(prefix="film/clip"))
    prompt_id = await master.running_on(peer, job)
    folder = peer.prompts[-1].graph["2"]["inputs"]["filename_prefix"].rpartition("/")[0]
    for name in files:
        peer.files["output", folder, name] = PNG
    told = [{"filename": name, "subfolder": folder, "type": "output"} for name in entries]
    await peer.finish(prompt_id, {"2": {"gifs": told}})
    return await master.end_of(job)


def shown_live() -> dict[str, Any]:
    graph = picture()
    graph["2"] = {"class_type": "SaveLive", "inputs": {"images": ["1", 0]}}
    return graph


@pytest.mark.parametrize("old", [False, True], ids=["event 4", "event 1"])
async def test_pictures_that_an_output_node_sends_over_the_websocket_are_kept_in_order(
    master: Master, peer: FakeComfyUI, old: bool
) -> None:
    job = await master.submit(shown_live())
    prompt_id = await master.running_on(peer, job)
    pictures = [PNG + bytes([number]) for number in range(3)]
    await peer.send(prompt_id, "executing", node="1")
    await peer.send_preview(prompt_id, "1", b"a preview", old=old)
    await peer.send(prompt_id, "executing", node="2")
    for data in pictures:
        await peer.send_preview(prompt_id, "2", data, old=old, kind="image/png")
    await peer.finish(prompt_id, {})
    done = await master.end_of(job)
    assert (done.state, done.notes, contents_of(done)) == (JobState.DONE, (), pictures)
    assert [Path(output.path).name for output in done.outputs] == [
        f"SaveLive_0000{n}_.png" for n in (1, 2, 3)
    ]


async def test_frames_of_a_node_that_told_of_its_files_are_previews(
    master: Master, peer: FakeComfyUI
) -> None:
    peer.files["output", "", "x.png"] = PNG
    job = await master.submit(shown_live())
    prompt_id = await master.running_on(peer, job)
    await peer.send_preview(prompt_id, "2", PNG + b"preview", kind="image/png")
    await peer.finish(prompt_id, {"2": {"images": [{"filename": "x.png", "type": "output"}]}})
    assert contents_of(await master.end_of(job)) == [PNG]


async def test_where_the_connection_was_cut_meanwhile_it_is_said_that_pictures_may_be_missing(
    master: Master, peer: FakeComfyUI
) -> None:
    job = await master.submit(shown_live())
    prompt_id = await master.running_on(peer, job)
    await peer.cut_sockets()
    await peer.finish(prompt_id, {})
    done = await master.end_of(job)
    assert done.state is JobState.DONE
    [note] = done.notes
    assert "connection to gpu was cut" in note and "SaveLive (node 2)" in note


async def test_a_picture_of_another_kind_than_its_ending_says_arrives_and_runs_once(
    master: Master, peer: FakeComfyUI
) -> None:
    """As every browser shows it. Packs save what they were given under the ending that was asked for."""
    jpeg = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
    peer.files["output", "", "x.png"] = jpeg
    job = await master.submit(shown_live())
    await peer.finish(
        await master.running_on(peer, job), {"2": {"images": [{"filename": "x.png", "type": "output"}]}}
    )
    done = await master.end_of(job)
    assert (outcomes(done), contents_of(done), len(peer.prompts)) == (["done"], [jpeg], 1)


# Files that nobody told


async def run_saver(
    master: Master, peer: FakeComfyUI, files: list[str], class_type: str = "OtherSaver", **inputs: Any
) -> Job:
    """A pack's save node writes these files and tells nothing; "{}" in a name: the prefix it was given."""
    graph = {**picture(), "2": {"class_type": class_type, "inputs": {"images": ["1", 0], **inputs}}}
    job = await master.submit(graph)
    prompt_id = await master.running_on(peer, job)
    prefix = peer.prompts[-1].graph["2"]["inputs"].get("filename_prefix", "")
    for name in files:
        peer.files["output", "", name.format(prefix)] = PNG
    await peer.finish(prompt_id, {})
    return await master.end_of(job)


@pytest.mark.parametrize("version", ["0.3.75", "0.33.0"])
async def test_files_that_a_node_did_not_tell_of_are_found_by_their_prefix(
    master: Master, peer: FakeComfyUI, version: str
) -> None:
    peer.version = version
    files = ["{}_00001_.png", "{}_00001_.txt", "somebody_elses.png"]
    job = await run_saver(master, peer, files, filename_prefix="cats/x")
    assert (job.state, job.notes) == (JobState.DONE, ())
    names = [Path(output.path).relative_to(master.output).as_posix() for output in job.outputs]
    assert names == ["cats/x_00001_.png", "cats/x_00001_.txt"]


@pytest.mark.parametrize(
    ("inputs", "listing"),
    [
        ({"filename_prefix": "x"}, True),
        ({"filename_prefix": "x"}, False),
        ({"output_path": "deep/inside"}, True),
        ({"root_dir": "output", "file": "x.txt"}, True),
        ({"filename_prefix": "/abs/x"}, True),
    ],
)
async def test_files_that_cannot_be_found_are_said_on_the_done_job(
    master: Master, peer: FakeComfyUI, inputs: dict[str, Any], listing: bool
) -> None:
    if not listing:
        peer.answers["/internal/files/output"] = answer(status=404)
    job = await run_saver(master, peer, ["elsewhere.png"], **inputs)
    assert (job.state, job.outputs) == (JobState.DONE, ())
    [note] = job.notes
    assert "OtherSaver (node 2) wrote files that this peer does not list" in note


@pytest.mark.parametrize(
    ("class_type", "inputs"), [("PlaySound", {"file": "notify.mp3"}), ("OtherSaver", {"prefix": "Value:"})]
)
async def test_nothing_is_said_of_nodes_that_write_nothing(
    master: Master, peer: FakeComfyUI, class_type: str, inputs: dict[str, Any]
) -> None:
    job = await run_saver(master, peer, [], class_type, **inputs)
    assert (job.state, job.notes) == (JobState.DONE, ())


async def test_a_pattern_in_a_folder_is_followed_frame_by_frame(master: Master, peer: FakeComfyUI) -> None:
    frames = [f"clip_00001_{number:03}.png" for number in range(1, 21)]
    for number in ("00001", "00002"):
        job = await ended_with(master, peer, ["clip_00001_%03d.png"], frames)
        assert (job.state, job.notes) == (JobState.DONE, ())
        names = [Path(output.path).relative_to(master.output).as_posix() for output in job.outputs]
        assert names == [f"film/{frame.replace('00001', number)}" for frame in frames]
        assert job.shown["2"]["gifs"] == [
            {"filename": f"clip_{number}_%03d.png", "subfolder": "film", "type": "output"}
        ]


async def test_a_bad_moment_of_the_peer_does_not_end_a_sequence(master: Master, peer: FakeComfyUI) -> None:
    bad = [web.Response(status=502)]

    async def view(request: web.Request) -> web.StreamResponse:
        is_second = request.query["filename"].endswith("002.png")
        return bad.pop() if bad and is_second else await peer._view(request)

    peer.answers["/view"] = view
    frames = [f"clip_00001_{number:03}.png" for number in range(1, 5)]
    job = await ended_with(master, peer, ["clip_00001_%03d.png"], frames)
    assert not bad
    assert (job.state, len(job.outputs)) == (JobState.DONE, 4)


async def test_a_pattern_without_a_frame_is_a_missing_file(master: Master, peer: FakeComfyUI) -> None:
    job = await ended_with(master, peer, ["here.png", "clip_%03d.png"], ["here.png"])
    [note] = job.notes
    assert len(job.outputs) == 1 and "clip_%03d.png" in note


@pytest.mark.parametrize("subfolder", ["", "film"], ids=["listed", "asked for"])
async def test_of_a_sequence_without_end_the_first_frames_come_and_that_is_said(
    peer: FakeComfyUI, subfolder: str
) -> None:
    for number in range(1, 4):
        peer.files["output", subfolder, f"clip_{number:03d}.png"] = PNG
    told = {"filename": "clip_%03d.png", "subfolder": subfolder, "type": "output"}
    info, names, client = ObjectInfo(stock_classes()), OutputNames("rd-1"), ComfyUIClient(peer.url)
    gathering = Gathering(client, picture(), info, names, frames_max=2)
    try:
        made = await gathering.made({"2": {"gifs": [told]}})
    finally:
        await client.close()
    assert [file.filename for file in made.files] == ["clip_001.png", "clip_002.png"]
    [note] = gathering.notes(made, {}, "gpu")
    assert "made 2 frames or more" in note and "the output folder of gpu" in note


async def test_several_sequences_without_end_share_what_one_may_have(peer: FakeComfyUI) -> None:
    for name in ("a", "b", "c"):
        for number in range(1, 9):
            peer.files["output", "", f"{name}_{number:03d}.png"] = PNG
    told = [{"filename": f"{name}_%03d.png", "subfolder": "", "type": "output"} for name in ("a", "b", "c")]
    info, names, client = ObjectInfo(stock_classes()), OutputNames("rd-1"), ComfyUIClient(peer.url)
    gathering = Gathering(client, picture(), info, names, frames_max=6)
    try:
        made = await gathering.made({"2": {"gifs": told}})
    finally:
        await client.close()
    assert [file.filename[:5] for file in made.files] == [
        "a_001",
        "a_002",
        "b_001",
        "b_002",
        "c_001",
        "c_002",
    ]
    assert "made 2 frames or more" in gathering.notes(made, {}, "gpu")[0]


async def test_two_nodes_of_a_pack_with_one_prefix_are_told_early_of_the_files_that_are_theirs(
    master: Master, peer: FakeComfyUI
) -> None:
    told: dict[str, Any] = {}

    def hear(job: Job, message: object) -> None:
        if isinstance(message, NodeOutput) and message.shown is not None:
            told[message.data["node"]] = message.shown()

    master.runtime.jobs.on_message(hear)
    graph = picture()
    for node_id in ("2", "3"):
        inputs = {"images": ["1", 0], "filename_prefix": "clip"}
        graph[node_id] = {"class_type": "OtherSaver", "inputs": inputs}
    job = await master.submit(graph, client_id="page")
    prompt_id = await master.running_on(peer, job)
    outputs = {}
    for node_id in ("2", "3"):
        name = peer.prompts[-1].graph[node_id]["inputs"]["filename_prefix"] + "_00001.png"
        peer.files["output", "", name] = PNG + node_id.encode()
        outputs[node_id] = {"gifs": [{"filename": name, "subfolder": "", "type": "output"}]}
    await peer.finish(prompt_id, outputs)
    done = await master.end_of(job)
    early = {node_id: shown.result()["gifs"][0]["filename"] for node_id, shown in told.items()}
    assert early == {output.node_id: output.filename for output in done.outputs}
    assert contents_of(done) == [PNG + b"2", PNG + b"3"]
