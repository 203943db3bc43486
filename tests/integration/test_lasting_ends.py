"""What a job is never charged with, and what is always written: an outage, and how the job ended."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.job import Job, JobState
from tests.fakes.comfyui import FakeComfyUI, Handler
from tests.fakes.graphs import picture
from tests.fakes.master import FOLLOW, RETRY, Master, outcomes, started
from tests.fakes.waiting import until

QUICK_TO_TELL = HealthPolicy(poll_s=0.02, timeout_s=0.3, up_after=1)


async def test_an_outage_is_no_failed_attempt_of_the_job_that_was_lost_in_it(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    policies = {"health": QUICK_TO_TELL, "follow": replace(FOLLOW, suspect_s=1.0)}
    async with started(tmp_path, **policies, retry=replace(RETRY, max_attempts=2)) as master:
        await master.add("a", a)
        await master.add("b", b)
        a.on_prompt = "hold"
        job = await master.submit(picture())
        await master.running_on(a, job)
        for peer in (a, b):
            peer.freeze()
        await until(lambda: outcomes(master.job(job)) == ["outage"], "it was lost with most of the fleet")
        refuse_first(a, b)
        a.on_prompt = "run"
        for peer in (a, b):
            peer.forget()  # the power was gone: both have started again
            peer.thaw()
        done = await master.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["outage", "refused", "done"])


def refuse_first(*peers: FakeComfyUI) -> None:
    """Whichever of them gets the next prompt fails to take it."""
    refused = list[str]()

    def handler(peer: FakeComfyUI) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            if not refused:
                refused.append(peer.url)
                return web.Response(status=500)
            return await peer._post_prompt(request)

        return answer

    for peer in peers:
        peer.answers["/prompt"] = handler(peer)


@pytest.mark.parametrize("is_closing", [False, True])
async def test_who_cancels_a_job_that_has_just_ended_waits_until_the_disk_has_its_end(
    tmp_path: Path, a: FakeComfyUI, is_closing: bool
) -> None:
    a.on_prompt = "hold"
    async with started(tmp_path) as master:
        await master.add("a", a)
        job = await master.submit(picture())
        prompt_id = await master.running_on(a, job)
        story = next(task for task in asyncio.all_tasks() if job.id in task.get_name())
        # Another writer keeps the journal busy while the end is to be written down.
        with closing(sqlite3.connect(master.data / "journal.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await a.finish(prompt_id)
            await master.reaches(job, JobState.DONE)
            ending = master.runtime.aclose() if is_closing else master.runtime.jobs.cancel(job.id)
            cancelling = asyncio.create_task(ending)
            for _ in range(100):  # turns of the loop: without the wait it is over by now
                await asyncio.sleep(0)
            assert not story.done() and not cancelling.done()
            other.execute("COMMIT")
        await cancelling
    assert on_disk(master, job) == JobState.DONE.value


def on_disk(master: Master, job: Job) -> str:
    with closing(sqlite3.connect(master.data / "journal.sqlite3")) as journal:
        found = journal.execute("SELECT state FROM jobs WHERE id = ?", (job.id,)).fetchone()
    return str(found[0])
