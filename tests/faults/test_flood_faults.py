"""F41 of the fault list: a peer that tells a thousand things a second does not flood the page, nor memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import JobState
from orchestrator.host.api.announcer import Announcer
from orchestrator.host.page.page_events import PageEvent
from tests.fakes.waiting import until
from tests.faults.rig import Rig

PER_S = 1_000
FRAMES_PER_S = 4
RSS_MAX = 32 << 20
NODES = 40_000


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("seconds", [3, pytest.param(600, marks=pytest.mark.long)])
async def test_f41_a_thousand_messages_a_second_become_four_pictures_of_the_job(
    rig: Rig, seconds: int
) -> None:
    frames: list[float] = []
    clock = asyncio.get_running_loop().time

    def send(event: str, data: Any) -> None:
        if event == PageEvent.JOBS:
            frames.append(clock())

    announcer = Announcer(rig.master.runtime, send)
    announcer.start()
    job = await rig.submit_to(rig.a)
    prompt_id = rig.master.prompt_id(job)
    await until(lambda: rig.a.sockets, "its events are heard")
    prompt = next(prompt for prompt in rig.a.prompts if prompt.id == prompt_id)
    total = PER_S * seconds
    before, began = rss(), clock()
    for number in range(total):
        progress = {"value": number, "max": total, "state": "running", "node_id": "1", "display_node_id": "1"}
        await rig.a.send(prompt, "progress_state", nodes={"1": {**progress, "prompt_id": prompt_id}})
        if number % 10_000 == 0:
            rig.a.requests.clear()  # what the scripted peer keeps of polls is not the product's memory
        ahead_s = began + number / PER_S - clock()
        if ahead_s > 0.005:
            await asyncio.sleep(ahead_s)
    last = 0.9 * rig.master.job(job).progress
    await until(lambda: rig.master.job(job).progress > max(last, 0.2), "the last ones were read")
    took_s, grown = clock() - began, rss() - before
    print(f"F41 {total} messages in {took_s:.1f} s: {len(frames)} pictures, RSS {grown / 1e6:+.1f} MB")
    assert 2 <= len(frames) <= FRAMES_PER_S * took_s + 2
    assert grown <= RSS_MAX
    rig.a.on_prompt = "run"
    await rig.a.finish(prompt_id)
    assert (await rig.end_of(job)).state is JobState.DONE
    announcer.stop()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
async def test_f41_a_peer_that_tells_of_ever_new_nodes_fills_no_memory(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    prompt_id = rig.master.prompt_id(job)
    await until(lambda: rig.a.sockets, "its events are heard")
    prompt = next(prompt for prompt in rig.a.prompts if prompt.id == prompt_id)
    before = rss()
    for number in range(NODES):
        await rig.a.send(prompt, "executed", node=f"1.{number}", output={"notes": [f"{number} " * 400]})
    await rig.a.send(prompt, "progress_state", nodes={"1": {"value": 1, "max": 2, "state": "running"}})
    await until(lambda: rig.master.job(job).progress > 0, "the last one was read")
    grown = rss() - before
    print(f"F41 {NODES} nodes: RSS {grown / 1e6:+.1f} MB")
    assert grown <= RSS_MAX
    rig.a.on_prompt = "run"
    await rig.a.finish(prompt_id)
    assert (await rig.end_of(job)).state is JobState.DONE
