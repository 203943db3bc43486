"""An engine for a process of its own, which is to be killed.

Gives it the jobs that its journal does not know yet, says each job's state as it changes, and ends when all
have ended.
"""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from pathlib import Path

from orchestrator.core.models.job import Job, JobRequest
from tests.fakes.graphs import picture
from tests.fakes.master import started


def run(home: Path, jobs: int, urls: list[str], news: Connection) -> None:
    asyncio.run(_run(home, jobs, urls, news))


async def _run(home: Path, jobs: int, urls: list[str], news: Connection) -> None:
    async with started(home) as master:
        runtime = master.runtime
        said: dict[str, str] = {}

        def say(job: Job) -> None:
            if said.get(job.id) != job.state.value:
                said[job.id] = job.state.value
                news.send((job.id, job.state.value))

        runtime.jobs.on_change(say)
        known = {config.url for config in runtime.manager.all()}
        for number, url in enumerate(urls):
            if url not in known:
                await master.add(f"peer-{number}", url)
        names = [f"job-{number}" for number in range(jobs)]
        for number, name in enumerate(names):
            if await runtime.store.load_job(name) is None:
                await runtime.jobs.submit(JobRequest(prompt=picture(seed=number)), job_id=name)
        for name in names:
            job = await runtime.jobs.get(name)
            if not job.state.is_final:
                await runtime.jobs.wait(name)
        news.send(("all", *sorted({(await runtime.jobs.get(name)).state.value for name in names})))
