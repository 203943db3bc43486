"""Prompts with Remote Dispatch nodes that wait in the master's queue, on real ComfyUI processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .graphs import dispatched, sleep
from .session import Session, until

pytestmark = pytest.mark.e2e


async def jobs_of(master: Session, seen: set[str]) -> list[dict[str, Any]]:
    """The jobs since `seen`, newest first."""
    return [job for job in await master.jobs() if job["job_id"] not in seen]


async def test_waiting_prompts_are_started_ahead_on_the_other_peer(
    master: Session, peers: list[Session]
) -> None:
    ids = [await master.queue(dispatched(sleep(seed=300 + n, seconds=1.5), ["10", 0])) for n in range(4)]

    async def both_busy() -> bool:
        queues = await asyncio.gather(*[peer.get("/queue") for peer in peers])
        return all(queue["queue_running"] for queue in queues)

    await until(both_busy, "both peers work")
    finished = [await master.finished(prompt_id) for prompt_id in ids]
    assert all(done.succeeded for done in finished)
    for done, seed in zip(finished, range(300, 304), strict=True):
        alone = await master.run(dispatched(sleep(seed=seed, seconds=0.1), ["10", 0]))
        ours, theirs = done.images("91")[0], alone.images("91")[0]
        assert (await master.picture(ours) == await master.picture(theirs)).all()


async def test_each_started_prompt_is_one_job_and_an_unchanged_one_none(
    master: Session, peers: list[Session]
) -> None:
    seen = {job["job_id"] for job in await master.jobs()}
    graphs = [dispatched(sleep(seed=seed, seconds=0.5), ["10", 0]) for seed in (310, 311, 311)]
    for prompt_id in [await master.queue(graph) for graph in graphs]:
        assert (await master.finished(prompt_id)).succeeded
    new = await jobs_of(master, seen)
    assert [job["state"] for job in new] == ["done", "done"]


async def test_deleting_a_waiting_prompt_ends_what_was_started_for_it(
    master: Session, peers: list[Session]
) -> None:
    seen = {job["job_id"] for job in await master.jobs()}
    ids = [await master.queue(dispatched(sleep(seed=320 + n, seconds=4.0), ["10", 0])) for n in range(2)]

    async def both_run() -> bool:
        return [job["state"] for job in await jobs_of(master, seen)] == ["running", "running"]

    await until(both_run, "both jobs run")
    await master.post("/queue", {"delete": [ids[1]]})

    async def ended() -> bool:
        return sorted(job["state"] for job in await jobs_of(master, seen)) == ["cancelled", "running"]

    await until(ended, "the second job is ended")
    assert (await master.finished(ids[0])).succeeded

    async def idle() -> bool:
        return all([await peer.is_idle() for peer in peers])

    await until(idle, "the peers are idle")
