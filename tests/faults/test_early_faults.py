"""F49 of the fault list: results that change, or go, between a node's word of them and the end of its job."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.core.models.job import Job, JobState
from tests.fakes.comfyui import PNG
from tests.fakes.graphs import picture
from tests.fakes.master import outcomes
from tests.fakes.waiting import until
from tests.faults.rig import Rig

WHOLE = bytes(range(251)) * 9_000  #: of no kind that could be told from its inside


class Running:
    """A job that runs on peer `a` and whose node says that it has made this file."""

    def __init__(self, rig: Rig, job: Job, name: str) -> None:
        self.rig, self.job = rig, job
        self.prompt = next(p for p in rig.a.prompts if p.id == rig.master.prompt_id(job))
        folder = str(self.prompt.graph["2"]["inputs"]["filename_prefix"]).split("/")[0]
        self.key = ("output", folder, name)
        self.output = {"images": [{"filename": name, "subfolder": folder, "type": "output"}]}

    async def tell(self, data: bytes) -> None:
        """Its node reports it with this content, and it is fetched."""
        self.rig.a.files[self.key] = data
        await self.rig.a.send(self.prompt.id, "executed", node="2", display_node="2", output=self.output)
        await until(lambda: parts(self.rig) == [len(data)], "it was fetched")

    async def end(self) -> Job:
        self.rig.a.on_prompt = "run"
        await self.rig.a.finish(self.prompt.id, {"2": self.output})
        return await self.rig.end_of(self.job)


async def running(rig: Rig, name: str = "x.dat", *, saved_by: str = "PackSave") -> Running:
    rig.good |= {WHOLE}
    return Running(rig, await rig.submit_to(rig.a, picture(saved_by=saved_by)), name)


def parts(rig: Rig) -> list[int]:
    """The sizes of what is being fetched."""
    return [path.stat().st_size for path in rig.master.output.rglob("*.part")]


def cleared(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("etag", ["as it is", "weak", "none", "not looked at"])
async def test_f49_a_file_that_still_grows_when_its_node_reports_it_arrives_whole(
    rig: Rig, etag: str
) -> None:
    async def view(request: web.Request) -> web.StreamResponse:
        if etag == "not looked at":
            request = request.clone(headers={})
        answer = await rig.a._view(request)
        if etag == "weak":
            answer.headers["ETag"] = f"W/{answer.headers['ETag']}"
        if etag == "none":
            del answer.headers["ETag"]
        return answer

    rig.a.answers["/view"] = view
    job = await running(rig)
    await job.tell(WHOLE[: len(WHOLE) // 2])
    rig.a.files[job.key] = WHOLE
    done = await job.end()
    assert (done.state, outcomes(done), rig.posts()) == (JobState.DONE, ["done"], [1, 0])
    assert len(done.outputs) == 1  # the checker compares its bytes


async def test_f49_a_file_that_did_not_change_is_not_sent_again(rig: Rig) -> None:
    job = await running(rig)
    await job.tell(WHOLE)
    assert (await job.end()).state is JobState.DONE
    first, last = rig.a.asked("/view")
    assert "If-None-Match" not in first.headers and "If-None-Match" in last.headers


async def test_f49_a_file_of_comfyuis_own_node_which_is_whole_when_it_is_told_is_asked_for_once(
    rig: Rig,
) -> None:
    job = await running(rig, saved_by="SaveImage")
    await job.tell(WHOLE)
    assert (await job.end()).state is JobState.DONE
    assert len(rig.a.asked("/view")) == 1


async def test_f49_a_file_that_shrank_meanwhile_arrives_as_it_is(rig: Rig) -> None:
    job = await running(rig)
    await job.tell(WHOLE + WHOLE)
    rig.a.files[job.key] = WHOLE
    assert (await job.end()).state is JobState.DONE


async def test_f49_what_was_fetched_stays_when_the_peers_output_folder_is_cleared_afterwards(
    rig: Rig,
) -> None:
    job = await running(rig)
    await job.tell(WHOLE)
    del rig.a.files[job.key]
    done = await job.end()
    assert (done.state, len(done.outputs), rig.posts()) == (JobState.DONE, 1, [1, 0])


async def test_f49_a_listed_preview_that_is_not_there_is_a_note_on_a_done_job(rig: Rig) -> None:
    graph = picture() | {"3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    job = Running(rig, await rig.submit_to(rig.a, graph), "x.png")
    rig.a.files[job.key] = PNG
    gone = {"images": [{"filename": "seen_00001_.png", "subfolder": "", "type": "temp"}]}
    await rig.a.finish(job.prompt.id, {"2": job.output, "3": gone})
    done = await rig.end_of(job.job)
    assert (done.state, len(done.outputs), rig.posts()) == (JobState.DONE, 1, [1, 0])
    assert "seen_00001_.png" in done.notes[0]


async def test_f49_an_output_folder_here_that_is_cleared_in_mid_job_gets_the_result_again(rig: Rig) -> None:
    job = await running(rig)
    await job.tell(WHOLE)
    await asyncio.to_thread(cleared, rig.master.output)
    done = await job.end()
    assert (done.state, outcomes(done), len(done.outputs)) == (JobState.DONE, ["done"], 1)


async def test_f49_a_file_whose_first_part_is_removed_here_on_its_way_is_fetched_from_its_beginning(
    rig: Rig,
) -> None:
    may_go_on = asyncio.Event()

    async def view(request: web.Request) -> web.StreamResponse:
        data = rig.a.files[job.key]
        answer = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await answer.prepare(request)
        await answer.write(data[: 3 << 19])
        await may_go_on.wait()
        await answer.write(data[3 << 19 :])
        return answer

    rig.a.answers["/view"] = view
    job = await running(rig)
    rig.a.files[job.key] = WHOLE
    await rig.a.send(job.prompt.id, "executed", node="2", display_node="2", output=job.output)
    await until(lambda: sum(parts(rig)), "its first part is here")
    await asyncio.to_thread(cleared, rig.master.output)
    may_go_on.set()
    done = await job.end()
    assert (done.state, outcomes(done), len(done.outputs)) == (JobState.DONE, ["done"], 1)
