"""F40 of the fault list: thousands of jobs on many peers, each done once.

How fast, and how late the host's loop is meanwhile, is measured by benchmarks/throughput.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.job import JobRequest, JobState
from orchestrator.dispatch.attempts.remote_prompt import FollowPolicy
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import started
from tests.fakes.waiting import until_told

PEERS = 18


@pytest.mark.parametrize("jobs", [400, pytest.param(5_000, marks=pytest.mark.long)])
async def test_f40_thousands_of_jobs_on_many_peers_are_each_done_once(tmp_path: Path, jobs: int) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(FakeComfyUI()) for _ in range(PEERS)]
        policies = {"health": HealthPolicy(), "follow": FollowPolicy()}
        master = await stack.enter_async_context(started(tmp_path, **policies))
        for number, peer in enumerate(peers):
            await master.add(f"peer-{number:02d}", peer)
        clock = asyncio.get_running_loop().time
        began = clock()
        ids = []
        for first in range(0, jobs, 500):
            some = [
                JobRequest(prompt=picture(seed=number)) for number in range(first, min(first + 500, jobs))
            ]
            ids += [job.id for job in await master.runtime.jobs.submit_all(some)]
        for job_id in ids:
            if not (await master.runtime.jobs.get(job_id)).state.is_final:
                await master.runtime.jobs.wait(job_id)
        took_s = clock() - began

        async def all_are_written_down() -> bool:  # the last ends are told a moment before they are on disk
            kept = await master.runtime.store.load_jobs(limit=jobs + 1)
            return Counter(job.state for job in kept) == {JobState.DONE: jobs}

        await until_told(all_are_written_down, "the journal has the end of each")
        runs = Counter(prompt.graph["1"]["inputs"]["color"] for peer in peers for prompt in peer.prompts)
        print(f"F40 {jobs} jobs on {PEERS} peers in {took_s:.1f} s, all in one process with the peers")
        assert runs == dict.fromkeys(range(jobs), 1)
        files = await asyncio.to_thread(lambda: sum(path.is_file() for path in master.output.rglob("*")))
        assert files == jobs
        assert all(peer.prompts for peer in peers)
