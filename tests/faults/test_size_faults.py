"""F42 of the fault list: results of any size pass through without being held in memory."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.core.models.job import JobState
from orchestrator.dispatch.attempts.transport import hash_file
from tests.fakes.master import outcomes
from tests.faults.rig import Rig

BLOCK = bytes(range(256)) * 4096  #: 1 MiB
SMALL = 20_000  #: bytes
RSS_MAX = 64 << 20


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def small(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest() * (SMALL // 32)


async def highest(of: list[int]) -> None:
    while True:
        of[0] = max(of[0], rss())
        await asyncio.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize(
    ("mib", "files"), [(256, 200), pytest.param(2048, 10_000, marks=pytest.mark.long)], ids=["quick", "whole"]
)
async def test_f42_huge_and_countless_results_are_streamed(rig: Rig, mib: int, files: int) -> None:
    async def view(request: web.Request) -> web.StreamResponse:
        name = request.query["filename"]
        if name != "huge.bin":
            return web.Response(body=small(name))
        answer = web.StreamResponse(headers={"Content-Length": str(mib << 20)})
        await answer.prepare(request)
        for _ in range(mib):
            await answer.write(BLOCK)
        return answer

    job = await rig.submit_to(rig.a)
    prompt = rig.a.prompts[-1]
    folder = str(prompt.graph["2"]["inputs"]["filename_prefix"]).split("/")[0]
    names = ["huge.bin", *(f"part_{number:05d}_.bin" for number in range(files))]
    rig.a.answers["/view"] = view
    told = [{"filename": name, "subfolder": folder, "type": "output"} for name in names]
    before = rss()
    peak = [before]
    watching = asyncio.create_task(highest(peak))
    await rig.a.finish(prompt.id, {"2": {"images": told}})
    await rig.master.runtime.jobs.wait(job.id)
    watching.cancel()
    grown = peak[0] - before
    print(f"F42 {mib} MiB and {files} files: RSS +{grown / 1e6:.0f} MB")
    assert grown <= RSS_MAX
    done = rig.master.job(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["done"]), done.attempts[0].reason
    assert len(done.outputs) == len(names)
    digest = hashlib.sha256()
    for _ in range(mib):
        digest.update(BLOCK)
    assert await asyncio.to_thread(hash_file, Path(done.outputs[0].path)) == digest.hexdigest()
    contents = [await asyncio.to_thread(Path(output.path).read_bytes) for output in done.outputs[1:]]
    assert contents == [small(name) for name in names[1:]]
    rig.good |= set(contents)
    await asyncio.to_thread(Path(done.outputs[0].path).write_bytes, b"")  # the checker would read it whole
    rig.good.add(b"")
