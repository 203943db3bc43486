"""An engine in a process of its own, to be killed: `python -m tests.faults.engine HOME JOBS URL…`.

Gives it the jobs that its journal does not know yet, says each job's state as it changes, and ends when all
have ended.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestrator.core.models.job import Job, JobRequest
from tests.fakes.graphs import picture
from tests.fakes.master import started


async def main(home: Path, jobs: int, urls: list[str]) -> None:
    async with started(home) as master:
        runtime = master.runtime
        said: dict[str, str] = {}

        def say(job: Job) -> None:
            if said.get(job.id) != job.state.value:
                said[job.id] = job.state.value
                print(job.id, job.state.value, flush=True)

        runtime.on_job(say)
        known = {config.url for config in runtime.manager.all()}
        for number, url in enumerate(urls):
            if url not in known:
                await master.add(f"peer-{number}", url)
        names = [f"job-{number}" for number in range(jobs)]
        for number, name in enumerate(names):
            if await runtime.store.load_job(name) is None:
                await runtime.submit(JobRequest(prompt=picture(seed=number)), job_id=name)
        for name in names:
            job = await runtime.job(name)
            if not job.state.is_final:
                await runtime.wait(name)
        print("all", *sorted({(await runtime.job(name)).state.value for name in names}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
