"""Prompts that queue themselves again on their peer: one job, whose rounds are followed to the last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.core.models.job import Job, JobState
from tests.fakes.answers import announce
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import Master, outcomes, started
from tests.fakes.waiting import until

UNFINISHED = {"2": {"unfinished_batch": [True]}}


@pytest.fixture
async def peer(master: Master) -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info, fake.on_prompt = stock_classes("BatchLoader"), "hold"
        await master.add("gpu", fake)
        yield fake


def batch() -> dict[str, Any]:
    return picture(made_by="BatchLoader")


def saved(peer: FakeComfyUI, prompt_id: str, name: str) -> dict[str, Any]:
    folder = peer._prompt(prompt_id).graph["2"]["inputs"]["filename_prefix"].rpartition("/")[0]
    peer.files["output", folder, name] = PNG
    return {"2": {"images": [{"filename": name, "subfolder": folder, "type": "output"}]}}


async def second_round(master: Master, peer: FakeComfyUI, job: Job) -> str:
    """The first one has ended, and the next runs."""
    first = await master.running_on(peer, job)
    second = peer.requeue(first, done=1)
    await peer.finish(first, UNFINISHED)
    assert peer.running == second
    return second


async def test_a_job_is_done_when_its_last_round_is_and_has_the_files_of_all(
    master: Master, peer: FakeComfyUI
) -> None:
    job = await master.submit(batch())
    first = await master.running_on(peer, job)
    second = peer.requeue(first, done=1)
    await peer.finish(first, saved(peer, first, "a.png"))
    third = peer.requeue(second, done=2)
    await peer.finish(second, UNFINISHED)
    await peer.finish(third, saved(peer, third, "b.png"))
    done = await master.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["done"])
    assert [Path(output.path).name for output in done.outputs] == ["a.png", "b.png"]
    assert "unfinished_batch" not in done.shown["2"]


async def test_a_job_goes_on_while_a_round_of_it_waits_or_runs(master: Master, peer: FakeComfyUI) -> None:
    job = await master.submit(batch())
    second = await second_round(master, peer, job)
    asked = len(peer.asked(f"/history/{second}"))
    await until(lambda: len(peer.asked(f"/history/{second}")) > asked, "the second round is followed")
    assert master.job(job).state is JobState.RUNNING
    await peer.finish(second, saved(peer, second, "x.png"))
    assert len((await master.end_of(job)).outputs) == 1


async def test_a_round_that_ended_with_nobody_listening_is_found(master: Master, peer: FakeComfyUI) -> None:
    job = await master.submit(batch())
    first = await master.running_on(peer, job)
    await peer.cut_sockets()
    peer.sockets.clear()
    second = peer.requeue(first, done=1)
    await peer.finish(first, UNFINISHED)
    await peer.finish(second, saved(peer, second, "x.png"))
    assert [Path(output.path).name for output in (await master.end_of(job)).outputs] == ["x.png"]


async def test_what_later_rounds_tell_is_told_of_the_job(master: Master, peer: FakeComfyUI) -> None:
    heard: list[Any] = []
    master.runtime.jobs.on_message(lambda job, message: heard.append((job.id, message)))
    job = await master.submit(batch())
    second = await second_round(master, peer, job)
    await until(lambda: peer.asked(f"/history/{second}"), "it is followed")
    nodes = {"1": {"state": "running", "value": 1, "max": 4, "prompt_id": second}}
    await peer.send(second, "progress_state", nodes=nodes)
    await until(lambda: any(m.type == "progress_state" for _, m in heard), "it is heard")
    job_id, message = next((i, m) for i, m in heard if m.type == "progress_state")
    attempt = master.job(job).attempts[0].prompt_id
    assert (job_id, message.prompt_id, message.data["nodes"]["1"]["prompt_id"]) == (job.id, attempt, attempt)
    await peer.finish(second, saved(peer, second, "x.png"))
    await master.end_of(job)


async def test_stopped_in_a_later_round_it_leaves_the_peers_queue_empty(
    master: Master, peer: FakeComfyUI
) -> None:
    job = await master.submit(batch())
    second = await second_round(master, peer, job)
    peer.requeue(second, done=2)
    await master.runtime.jobs.cancel(job.id)
    assert master.job(job).state is JobState.CANCELLED
    await until(lambda: peer.running is None and not peer.pending, "the peer is idle")


async def deaf(_: web.Request) -> web.Response:
    return web.Response()


async def test_a_round_that_is_queued_after_the_stop_ends_too(master: Master, peer: FakeComfyUI) -> None:
    peer.answers["/interrupt"] = deaf
    job = await master.submit(batch())
    first = await master.running_on(peer, job)
    await master.runtime.jobs.cancel(job.id)
    peer.requeue(first, done=1)
    await until(lambda: not peer.pending, "the further round is taken out")
    del peer.answers["/interrupt"]
    await until(lambda: peer.running is None, "the first one ends as soon as it hears that it shall")


async def test_what_somebody_else_queued_is_none_of_its_rounds(master: Master, peer: FakeComfyUI) -> None:
    job = await master.submit(batch())
    first = await master.running_on(peer, job)
    theirs = peer.requeue(first, client_id="somebody else")
    other = peer.requeue(first, filename_prefix="another")
    await peer.finish(first, saved(peer, first, "x.png"))
    assert (await master.end_of(job)).state is JobState.DONE
    assert {peer.running, *peer.pending} == {theirs, other}


async def test_another_process_goes_on_with_the_round_that_runs(tmp_path: Path) -> None:
    async with FakeComfyUI() as fake:
        fake.object_info, fake.on_prompt = stock_classes("BatchLoader"), "hold"
        async with started(tmp_path) as master:
            await master.add("gpu", fake)
            job = await master.submit(batch())
            second = await second_round(master, fake, job)
        third = fake.requeue(second, done=2)
        await fake.finish(second, saved(fake, second, "a.png"))
        async with started(tmp_path) as master:
            await until(lambda: fake.asked(f"/history/{third}"), "it is found")
            await fake.finish(third, saved(fake, third, "b.png"))
            done = await master.end_of(job)
        assert [Path(output.path).name for output in done.outputs] == ["a.png", "b.png"]
        assert len(fake.asked("/prompt")) == 1


def previewed() -> dict[str, Any]:
    """A graph in which nothing bears the mark of its attempt."""
    shown = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    return {"1": batch()["1"], "2": shown}


def in_temp(peer: FakeComfyUI, name: str) -> dict[str, Any]:
    peer.files["temp", "", name] = PNG
    return {"2": {"images": [{"filename": name, "subfolder": "", "type": "temp"}]}}


async def test_what_an_earlier_process_ran_is_no_round_of_a_like_prompt(tmp_path: Path) -> None:
    async with FakeComfyUI() as fake:
        fake.object_info, fake.on_prompt = stock_classes("BatchLoader"), "hold"
        async with started(tmp_path) as master:
            await master.add("gpu", fake)
            job = await master.submit(previewed())
            await fake.finish(await master.running_on(fake, job), in_temp(fake, "old.png"))
            await master.end_of(job)
        async with started(tmp_path) as master:
            job = await master.submit(previewed())
            mine = await master.running_on(fake, job)
            await fake.cut_sockets()
            await fake.finish(mine, in_temp(fake, "new.png"))
            done = await master.end_of(job)
        assert [Path(output.path).name for output in done.outputs] == ["0000_new.png"]


async def test_a_bad_moment_of_the_peer_after_the_end_costs_no_second_run(
    master: Master, peer: FakeComfyUI
) -> None:
    bad = [web.Response(status=500), web.Response(status=500)]

    async def queue(request: web.Request) -> web.StreamResponse:
        return bad.pop() if bad else await peer._get_queue(request)

    job = await master.submit(batch())
    first = await master.running_on(peer, job)
    folder = saved(peer, first, "x.png")
    peer.answers["/queue"] = queue
    await peer.finish(first, folder)
    done = await master.end_of(job)
    assert (done.state, outcomes(done), len(peer.asked("/prompt"))) == (JobState.DONE, ["done"], 1)
    assert not bad


async def test_a_history_that_is_too_large_to_be_taken_costs_no_second_run(
    master: Master, peer: FakeComfyUI
) -> None:
    async def history(request: web.Request) -> web.StreamResponse:
        if int(request.query["max_items"]) > 8:
            return await announce(1 << 30, b"[")(request)
        return await peer._get_recent_history(request)

    peer.answers["/history"] = history
    job = await master.submit(batch())
    first = await master.running_on(peer, job)
    await peer.cut_sockets()
    await peer.finish(first, saved(peer, first, "x.png"))
    done = await master.end_of(job)
    assert (done.state, outcomes(done), len(done.outputs)) == (JobState.DONE, ["done"], 1)
