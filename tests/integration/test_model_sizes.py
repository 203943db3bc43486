"""What scripted peers behind real sockets tell of files, memory and limits, and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends import wire
from orchestrator.core.engine.placement.explain import Forecast, caution, in_full
from orchestrator.core.models.job import Job, JobRequest, JobState, Prompt
from tests.fakes.answers import Handler, announce, answer, endless, login_page, redirect, silence
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import loaded_picture, picture, stock_classes
from tests.fakes.master import HEALTH, Master, outcomes, started
from tests.fakes.waiting import until, until_told

GIB = 1 << 30
FOLDERS = "/experiment/models"


@pytest.fixture
async def other() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        yield fake


def with_model(name: str = "base.safetensors", seed: int = 0) -> Prompt:
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
    return {**picture(seed), "9": loader}


async def told(master: Master, prompt: Prompt | None = None, **request: Any) -> dict[str, Forecast]:
    found = await master.runtime.jobs.explain(JobRequest(prompt=prompt or with_model(), **request))
    return {forecast.eligibility.name: forecast for forecast in found.peers}


async def needs(master: Master, bytes_: float, prompt: Prompt | None = None) -> None:
    """Wait until the graph is known to need so much."""

    async def is_known() -> bool:
        return next(iter((await told(master, prompt)).values())).need_gb == bytes_ / GIB

    await until_told(is_known, f"a need of {bytes_} bytes")


# Sizes of files


async def test_a_peer_is_asked_once_for_the_sizes_of_its_files(master: Master, peer: FakeComfyUI) -> None:
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB, "notes.txt": 5}, "loras": {"sub/x.sft": 7}}
    peer_id = await master.add("peer", peer)
    await needs(master, 6 * GIB)
    assert (await told(master))["peer"].load_s == pytest.approx(6.0)
    for number in range(3):
        await master.runtime.peers.update(peer_id, {"tags": [f"tag {number}"]})
        await master.run(with_model(seed=number))
    paths = (FOLDERS, f"{FOLDERS}/checkpoints", f"{FOLDERS}/loras")
    assert [len(peer.asked(path)) for path in paths] == [1, 1, 1]


async def test_a_peer_that_was_started_again_is_asked_again(master: Master, peer: FakeComfyUI) -> None:
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB}}
    peer_id = await master.add("peer", peer)
    await needs(master, 6 * GIB)
    await peer.go_down()
    await until(lambda: master.runtime.manager.get_status(peer_id).health.value == "down", "it is missed")
    peer.models = {"checkpoints": {"base.safetensors": 4 * GIB}}
    await peer.come_back()
    await needs(master, 4 * GIB)


async def test_of_files_with_one_name_in_two_folders_the_larger_counts(
    master: Master, peer: FakeComfyUI
) -> None:
    peer.models = {
        "a": {"base.safetensors": 1 * GIB},
        "checkpoints": {"base.safetensors": 6 * GIB},
        "z": {"base.safetensors": 2 * GIB},
    }
    await master.add("peer", peer)
    await needs(master, 6 * GIB)


async def test_either_separator_names_the_same_file(master: Master, peer: FakeComfyUI) -> None:
    loader = {"input": {"required": {"ckpt_name": [["sub\\base.safetensors"], {}]}}, "output": ["MODEL"]}
    peer.object_info["CheckpointLoaderSimple"] = loader
    peer.models = {"checkpoints": {"sub\\base.safetensors": 6 * GIB}}
    await master.add("peer", peer)
    await needs(master, 6 * GIB, with_model("sub/base.safetensors"))


async def test_sizes_outlive_a_restart(tmp_path: Path, peer: FakeComfyUI) -> None:
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB, "nobodys.safetensors": 6 * GIB}}
    async with started(tmp_path) as master:
        await master.add("peer", peer)
        await needs(master, 6 * GIB)
    peer.models = None
    async with started(tmp_path) as master:
        rows = await master.runtime.store.load_learned()
        assert [(row.name, row.values) for row in rows if row.topic == "size"] == [
            ("base.safetensors", (6.0,))
        ]


NOT_TOLD: dict[str, Handler] = {
    "404": answer(status=404, content_type="text/plain"),
    "500": answer("boom", status=500),
    "a login": login_page(),
    "elsewhere": redirect("http://127.0.0.1:9/models"),
    "no JSON": answer("<"),
    "no list": answer('{"name": "checkpoints"}'),
    "odd entries": answer('[null, 3, "x", {"name": 7}, {"name": ""}, {"name": ["a"]}]'),
    "no end": endless(b"[" * 65_536),
    "nothing at all": silence(),
}


@pytest.mark.parametrize("handler", NOT_TOLD.values(), ids=NOT_TOLD.keys())
async def test_a_peer_that_does_not_tell_sizes_works_as_ever(
    master: Master, peer: FakeComfyUI, handler: Handler
) -> None:
    peer.answers[FOLDERS] = handler
    peer_id = await master.add("peer", peer)
    await until(lambda: peer.asked(FOLDERS), "it is asked")
    job = await master.run(with_model())
    assert job.state is JobState.DONE
    assert (await told(master))["peer"].need_gb == 0.0
    assert master.runtime.manager.get_status(peer_id).health.value == "up"


BAD_SIZES = ["NaN", "Infinity", "-5", "true", '"6"', "null", "1e400", "0", "[6]", "9" * 4_000]


@pytest.mark.parametrize("size", BAD_SIZES, ids=[size[:8] for size in BAD_SIZES])
async def test_a_size_that_is_none_is_left_out_and_the_others_count(
    master: Master, peer: FakeComfyUI, size: str
) -> None:
    peer.models = {"bad": {}, "gone": {}, "good": {"base.safetensors": 6 * GIB}}
    peer.answers[f"{FOLDERS}/bad"] = answer(
        f'[{{"name": "base.safetensors", "size": {size}}}, {{"size": 3}}]'
    )
    peer.answers[f"{FOLDERS}/gone"] = answer(status=404, content_type="text/plain")
    await master.add("peer", peer)
    await needs(master, 6 * GIB)


async def test_a_folder_whose_name_is_no_text_is_left_out_and_the_others_count(
    master: Master, peer: FakeComfyUI
) -> None:
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB}}
    peer.answers[FOLDERS] = answer('[{"name": "\\ud800"}, {"name": "checkpoints"}]')
    await master.add("peer", peer)
    await needs(master, 6 * GIB)


async def test_what_was_told_before_a_peer_went_silent_counts(master: Master, peer: FakeComfyUI) -> None:
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB}, "loras": {}}
    peer.answers[f"{FOLDERS}/loras"] = announce(100, b"[")
    await master.add("peer", peer)
    await needs(master, 6 * GIB)


async def test_a_peer_that_makes_up_names_does_not_push_out_what_others_told(
    master: Master, peer: FakeComfyUI, other: FakeComfyUI
) -> None:
    names = ["base.safetensors", "told.safetensors", "a0.safetensors"]
    loader = {"input": {"required": {"ckpt_name": [names, {}]}}, "output": ["MODEL"]}
    peer.object_info["CheckpointLoaderSimple"] = loader
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB, "told.safetensors": 2 * GIB}}
    await master.add("peer", peer)
    await needs(master, 2 * GIB, with_model("told.safetensors"))
    other.models = {
        folder: {f"{folder}{number}.safetensors": GIB for number in range(wire.MAX_FILES)}
        for folder in ("a", "b", "c", "d", "e")
    }
    await master.add("other", other)
    await needs(master, GIB, with_model("a0.safetensors"))
    assert (await told(master))["peer"].need_gb == 6.0


async def test_nothing_waits_for_the_sizes(master: Master, peer: FakeComfyUI) -> None:
    peer.models = {"checkpoints": {}}
    peer.answers[f"{FOLDERS}/checkpoints"] = silence()
    await master.add("peer", peer)
    await until(lambda: peer.asked(f"{FOLDERS}/checkpoints"), "it is asked")
    assert (await master.run(with_model())).state is JobState.DONE


# Memory


async def ran_using(master: Master, peer: FakeComfyUI, used: int, seed: int) -> Job:
    """A job during which so much of the peer's memory is in use."""
    peer.on_prompt = "hold"
    peer.vram_free = peer.vram_total - used
    job = await master.submit(with_model(seed=seed))
    prompt_id = await master.running_on(peer, job)
    await peer.send(prompt_id, "executing", node="1")
    asked = len(peer.asked("/system_stats"))
    await until(lambda: len(peer.asked("/system_stats")) > asked + 5, "it was polled during the run")
    await peer.finish(prompt_id)
    return await master.end_of(job)


async def test_what_runs_used_tells_what_such_a_job_needs_and_outlives_a_restart(
    tmp_path: Path, peer: FakeComfyUI, other: FakeComfyUI
) -> None:
    peer.models = {"checkpoints": {"base.safetensors": 6 * GIB}}
    async with started(tmp_path) as master:
        await master.add("peer", peer)
        await needs(master, 6 * GIB)
        for seed, used in enumerate((14, 12, 13)):
            assert (await ran_using(master, peer, used * GIB, seed)).state is JobState.DONE
        await needs(master, 12 * GIB)
    other.vram_total, other.vram_free = 8 * GIB, 7 * GIB
    async with started(tmp_path) as master:
        await master.add("other", other)
        forecast = (await told(master))["other"]
        assert (forecast.eligibility.eligible, caution(forecast)) == (True, "needs about 12 GB, it has 8")
        assert "needs about 12 GB, it has 8" in in_full(forecast)


async def test_a_run_that_was_hardly_polled_tells_nothing_of_its_memory(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path, health=replace(HEALTH, poll_s=600.0)) as master:
        peer_id = await master.add("peer", peer)
        peer.on_prompt = "hold"
        job = await master.submit(with_model())
        prompt_id = await master.running_on(peer, job)
        await peer.send(prompt_id, "executing", node="1")
        await master.runtime.peers.check(peer_id)
        await peer.finish(prompt_id)
        assert (await master.end_of(job)).state is JobState.DONE
        assert (await told(master))["peer"].need_gb == 0.0


async def test_after_one_ran_out_of_memory_the_next_goes_where_there_is_more_from_the_start(
    master: Master, peer: FakeComfyUI, other: FakeComfyUI
) -> None:
    peer.vram_total, peer.vram_free = 8 * GIB, 7 * GIB
    other.vram_free = 6 * GIB  # so that it is the second choice
    await master.add("small", peer)
    await master.add("large", other)
    peer.on_prompt = "hold"
    first = await master.submit(with_model())
    await peer.fail(await master.running_on(peer, first), exception_type="torch.OutOfMemoryError")
    assert outcomes(await master.end_of(first)) == ["out_of_memory", "done"]
    second = await master.run(with_model(seed=1))
    assert outcomes(second) == ["done"]
    assert "small: " in second.explanation
    assert "such a job ran out of memory with 8 GB, it has 8" in second.explanation
    alone = (await told(master, peer="small"))["small"]
    assert alone.eligibility.eligible


# Input files


async def test_an_input_above_a_peers_upload_limit_is_a_reason_beside_the_others(
    master: Master, peer: FakeComfyUI, other: FakeComfyUI
) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"x" * (3 << 20))
    peer.features["max_upload_size"] = 2 << 20
    await master.add("peer", peer)
    await master.add("other", other)
    graph = {
        **loaded_picture("cat.png"),
        "8": {"class_type": "TheirNode", "inputs": {}},
        **with_model("x.ckpt"),
    }
    graph["1"] = loaded_picture("cat.png")["1"]
    graph["2"]["inputs"]["needs"] = ["9", 0]
    reasons = (await told(master, graph))["peer"].eligibility.reason
    assert "it lacks the node TheirNode" in reasons
    assert "it lacks the file x.ckpt" in reasons
    assert "its upload limit of 2 MiB is below cat.png (3 MiB)" in reasons
    found = await told(master, loaded_picture("cat.png"))
    assert (found["peer"].eligibility.eligible, found["other"].eligibility.eligible) == (False, True)


async def test_a_job_never_tries_a_peer_that_does_not_take_its_input(
    master: Master, peer: FakeComfyUI, other: FakeComfyUI
) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"x" * (3 << 20))
    peer.features["max_upload_size"] = 2 << 20
    other.vram_free -= GIB  # so that it is the second choice
    await master.add("peer", peer)
    await master.add("other", other)
    jobs = [await master.run({**loaded_picture("cat.png"), **{"7": picture(n)["1"]}}) for n in range(3)]
    assert [outcomes(job) for job in jobs] == [["done"]] * 3
    assert (peer.prompts, peer.asked("/upload/image")) == ([], [])
    assert (await master.run(picture())).state is JobState.DONE
    assert len(peer.prompts) == 1


async def test_a_peer_whose_limit_was_raised_is_asked_again_before_a_job_is_refused(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await asyncio.to_thread((master.input / "cat.png").write_bytes, b"x" * (3 << 20))
        peer.features["max_upload_size"] = 2 << 20
        await master.add("peer", peer)
        refused = await master.run(loaded_picture("cat.png"))
        assert refused.state is JobState.FAILED and refused.error is not None
        assert "its upload limit of 2 MiB is below cat.png (3 MiB)" in refused.error["message"]
        peer.features["max_upload_size"] = 4 << 20
        assert (await master.run(loaded_picture("cat.png"))).state is JobState.DONE
