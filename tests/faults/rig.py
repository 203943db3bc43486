"""A master with two peers for a fault, and what must be true when it is over, whatever the fault was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.core.models.job import Job, JobState, Prompt
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import pack_saver, picture, stock_classes
from tests.fakes.master import Master, started

KEY = ("X-Api-Key", "k3y-that-nobody-may-see")


class Rig:
    """`a` is preferred to `b`: with the same load it has more free memory. Both ask for the key."""

    def __init__(self, home: Path, master: Master, a: FakeComfyUI, b: FakeComfyUI) -> None:
        self.home, self.master, self.a, self.b = home, master, a, b
        self.ids: dict[str, str] = {}
        self.accepted: list[Job] = []
        self.good = {PNG}  #: what a delivered file may hold

    async def submit(self, prompt: Prompt | None = None, **request: Any) -> Job:
        job = await self.master.submit(prompt or picture(seed=len(self.accepted)), **request)
        self.accepted.append(job)
        return job

    async def submit_to(self, at: FakeComfyUI, prompt: Prompt | None = None, **request: Any) -> Job:
        """A job that runs on this peer and is held there."""
        at.on_prompt = "hold"
        job = await self.submit(prompt, **request)
        await self.master.running_on(at, job)
        return job

    async def end_of(self, job: Job) -> Job:
        return await self.master.end_of(job)

    async def run(self, prompt: Prompt | None = None, **request: Any) -> Job:
        return await self.end_of(await self.submit(prompt, **request))

    def posts(self) -> list[int]:
        return [len(peer.asked("/prompt")) for peer in (self.a, self.b)]

    def health(self, name: str) -> str:
        return self.master.runtime.manager.get_status(self.ids[name]).health.value

    async def check(self) -> None:
        """The checker: each accepted job has one end, each delivery is whole and single, nothing is left."""
        jobs = [self.master.job(job) for job in self.accepted]
        assert all(job.state.is_final for job in jobs), [job.state for job in jobs]
        kept = [await self.master.runtime.store.load_job(job.id) for job in jobs]
        assert [job and job.state for job in kept] == [job.state for job in jobs]
        failed = [job for job in jobs if job.state in (JobState.FAILED, JobState.SET_ASIDE)]
        assert all(job.error and job.error["message"] for job in failed)
        delivered = [output.path for job in jobs for output in job.outputs]
        assert len(set(delivered)) == len(delivered)
        assert all((job.state is JobState.DONE) >= bool(job.outputs) for job in jobs)
        assert await asyncio.to_thread(_contents, delivered) <= self.good
        files = await asyncio.to_thread(_files, self.master.output, self.master.temp)
        assert {path for path in files if ".part" in path.name} == set()
        assert {path.as_posix() for path in files} == set(delivered)

    async def check_afterwards(self, log: str) -> None:
        """What is true when the master is closed."""
        left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("remote-dis")]
        assert left == []
        journal = await asyncio.to_thread((self.home / "data" / "journal.sqlite3").read_bytes)
        assert KEY[1] not in log
        assert KEY[1].encode() not in journal


@asynccontextmanager
async def standing(home: Path, **policies: Any) -> AsyncIterator[Rig]:
    async with FakeComfyUI(key=KEY) as a, FakeComfyUI(key=KEY) as b:
        a.vram_free += 1 << 30
        for peer in (a, b):
            peer.object_info = {**stock_classes(), **pack_saver()}
        async with started(home, **policies) as master:
            rig = Rig(home, master, a, b)
            credentials = {"header": KEY[0], "value": KEY[1]}
            rig.ids = {
                "a": await master.add("a", a, credentials=credentials),
                "b": await master.add("b", b, credentials=credentials),
            }
            yield rig
            await rig.check()


def _contents(paths: Iterable[str]) -> set[bytes]:
    return {Path(path).read_bytes() for path in paths}


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]
