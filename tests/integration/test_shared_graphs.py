"""F58 of the fault list: what many jobs share is in the journal once, and comes back as it was."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobRequest, JobState
from orchestrator.core.workflow.saved_values import with_values

from .test_store import NOW, opened, rescued


def prompt(seed: int, nodes: int = 1_500) -> dict[str, Any]:
    """About 300 KB of them; the seed is in one."""
    graph = {
        str(number): {
            "class_type": "Node",
            "inputs": {"text": f"{number} " * 20, "link": [str(number - 1), 0]},
        }
        for number in range(nodes)
    }
    graph["77"]["inputs"]["seed"] = seed
    return graph


def workflow(seed: int, nodes: int = 1_500) -> dict[str, Any]:
    listed = [{"id": number, "type": "Node", "widgets_values": ["x" * 150]} for number in range(nodes)]
    listed[77]["widgets_values"] = [seed]
    return {"nodes": listed, "links": [[1, 2, 3]], "version": 0.4}


def jobs_of(*requests: JobRequest) -> list[Job]:
    return [
        Job(f"job-{number}", request, NOW + timedelta(seconds=number))
        for number, request in enumerate(requests)
    ]


def batch(count: int) -> list[Job]:
    """As the page's sheet of variations asks for it."""
    graph, page = prompt(0), workflow(0)
    return jobs_of(
        *(
            JobRequest(
                prompt=graph,
                workflow=page,
                changes={"77.seed": seed},
                extra_data={
                    "extra_pnginfo": {
                        "workflow": with_values(page, {"77.seed": ("77", 0)}, {"77.seed": seed})
                    }
                },
                batch_id="b",
                batch_index=seed,
            )
            for seed in range(count)
        )
    )


def apart(count: int) -> list[Job]:
    """Prompts of the Run button, each with objects of its own."""
    return jobs_of(
        *(
            JobRequest(prompt=json.loads(json.dumps(prompt(seed))), extra_data={"client_id": "x"})
            for seed in range(count)
        )
    )


def size_of(path: Path) -> int:
    return path.stat().st_size


@pytest.mark.parametrize(("made", "count"), [(batch, 40), (apart, 8)])
async def test_f58_large_graphs_of_many_jobs_are_kept_once(tmp_path: Path, made: Any, count: int) -> None:
    jobs = made(count)
    [first] = made(1)
    needed = len(json.dumps(dataclasses.asdict(first.request), default=sorted))
    assert needed > 200_000
    path = tmp_path / "journal.sqlite3"
    async with opened(path) as store:
        await store.accept_jobs(jobs, {})
    assert size_of(path) <= 2 * needed
    async with opened(path) as store:
        loaded = await store.load_jobs(limit=count)
        assert list(reversed(loaded)) == jobs
        assert loaded[0].request.prompt["5"] is loaded[-1].request.prompt["5"]  # shared in memory too


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: JobRequest(prompt={"1": {"class_type": "A", "inputs": {"image": "x" * 100_000}}}),
        lambda: JobRequest(
            prompt={str(n): {"class_type": "A", "inputs": {"t": "y" * 3000}} for n in range(70)}
        ),
        lambda: JobRequest(workflow={"nodes": [], "extra": "z" * 100_000}),
        lambda: JobRequest(workflow={"a": {"b": "z" * 100_000}, "c": 1}),
        lambda: JobRequest(extra_data={"extra_pnginfo": {"workflow": ["x" * 100_000]}}),
        lambda: JobRequest(extra_data={"extra_pnginfo": {"workflow": workflow(1, 300), "more": 2}, "o": 3}),
        lambda: JobRequest(
            prompt={"b": {"n": 2**64 - 1}, "a": {"n": float("inf"), "t": "\ud83d" + "k" * 20_000}}
        ),
    ],
)
async def test_f58_a_large_request_comes_back_as_it_was(tmp_path: Path, request_of: Any) -> None:
    [job] = jobs_of(request_of())
    path = tmp_path / "journal.sqlite3"
    async with opened(path) as store:
        await store.accept_jobs([job], {})
        assert await store.load_jobs() == (job,)
        pinned = job.evolve(request=dataclasses.replace(job.request, peer="gpu"))
        await store.save_request(pinned)
        loaded = await store.load_job(job.id)
        assert loaded == pinned and loaded is not None
        assert list(loaded.request.prompt) == list(job.request.prompt)


async def test_f58_what_no_job_has_any_more_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    first, second = apart(2)
    async with opened(path) as store:
        await store.accept_jobs([first, second], {})
        await store.save_job(first.evolve(state=JobState.DONE, ended_at=NOW))
        assert await store.prune(keep=0, before=NOW) == 1
        assert await store.load_jobs() == (second,)
        kept = await asyncio.to_thread(rows, path)
        await store.save_job(second.evolve(state=JobState.DONE, ended_at=NOW))
        assert await store.prune(keep=0, before=NOW) == 1
        assert (kept > 0, await asyncio.to_thread(rows, path)) == (True, 0)


def rows(path: Path) -> int:
    database = sqlite3.connect(path)
    try:
        return int(database.execute("SELECT count(*) FROM graphs").fetchone()[0])
    finally:
        database.close()


async def test_f58_a_rescued_journal_has_its_large_graphs(tmp_path: Path) -> None:
    path, new = tmp_path / "journal.sqlite3", tmp_path / "new.sqlite3"
    jobs = apart(2)
    async with opened(path) as store:
        await store.accept_jobs(jobs, {})
    assert rescued(path, new).jobs == 2
    async with opened(new) as store:
        assert list(reversed(await store.load_jobs())) == jobs
