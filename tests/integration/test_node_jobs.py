"""Jobs of Remote Dispatch nodes: in the journal while they run, and begun when their prompt is accepted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobRequest, JobState, Prompt, ResultLink, Source
from orchestrator.core.workflow.cut import DISPATCH_CLASS, Stash
from orchestrator.host.node_request import AUTOMATIC, FAIL, node_request
from orchestrator.host.prefetch import Prefetch
from orchestrator.host.progress import NodeProgress
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import Master, started
from tests.fakes.waiting import until


@pytest.fixture
async def peer() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        yield fake


@pytest.fixture
async def master(tmp_path: Path, peer: FakeComfyUI) -> AsyncIterator[Master]:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        yield master


# The journal


async def test_the_attempt_of_a_node_is_in_the_journal_before_its_peer_hears_of_it(
    master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    job = await master.submit(picture(), source=Source.NODE)
    await until(lambda: peer.prompts, "the peer has it")
    with closing(sqlite3.connect(master.data / "journal.sqlite3")) as journal:
        stored = journal.execute("SELECT prompt_id FROM attempts WHERE job_id = ?", (job.id,)).fetchall()
    assert stored == [(peer.prompts[0].id,)]


async def test_a_node_says_once_that_it_waits_and_for_what() -> None:
    said: list[str] = []
    server = SimpleNamespace(client_id="page", send_progress_text=lambda text, *where: said.append(text))
    progress = NodeProgress(
        server=server,
        registry=None,
        node_loop=asyncio.get_running_loop(),
        node_id="7",
        node_ids=frozenset(),
        peer_name=str,
    )
    for reason in ("", "waiting for b, which is down. b: off.", "No peer can run this."):
        progress(Job("j", JobRequest(), datetime.now(timezone.utc), explanation=reason))
    assert said == [
        "waiting for a peer",
        "waiting for b, which is down. b: off.",
        "waiting: No peer can run this.",
    ]


async def test_what_nodes_show_that_were_sent_away_stands_on_their_own_boxes() -> None:
    heard: list[tuple[str, dict[str, Any], str]] = []
    server = SimpleNamespace(
        client_id="page",
        send_sync=lambda *event: heard.append(event),
        send_progress_text=lambda *text: None,
    )
    progress = NodeProgress(
        server=server,
        registry=SimpleNamespace(prompt_id="p1"),
        node_loop=asyncio.get_running_loop(),
        node_id="7",
        node_ids=frozenset({"2", "5"}),
        peer_name=str,
    )
    text = {"text": ["a lighthouse", float("nan")]}
    running = Job("j", JobRequest(), datetime.now(timezone.utc)).to(JobState.RUNNING)
    progress(running.to(JobState.DONE, shown={"2": text}))  # whoever waits for the job tells it, once
    progress.show_outputs({"2": text, "5.0.0.1": text, "rd-result": {"images": []}, "9": {}, "5": "odd"})
    told = {"output": {"text": ["a lighthouse", None]}, "prompt_id": "p1"}
    assert heard == [
        ("executed", {"node": "2", "display_node": "2", **told}, "page"),
        ("executed", {"node": "5.0.0.1", "display_node": "5", **told}, "page"),
    ]


# What goes along


@pytest.mark.parametrize("link", [ResultLink("1", 0), None])
async def test_the_workflow_and_what_else_a_page_tells_goes_along_beside_the_stash(
    master: Master, peer: FakeComfyUI, link: ResultLink | None
) -> None:
    told = {"workflow": {"nodes": []}, "mine": 1}
    stash = Stash(prompt=picture(), link=link)
    options: dict[str, Any] = {"node_id": "8", "overrides": "", "peer": AUTOMATIC, "if_no_peer": FAIL}
    request = node_request(stash, stash.prompt, extra_pnginfo=told, **options)
    job = await master.runtime.submit(request)
    assert (await master.end_of(job)).state is JobState.DONE
    assert peer.prompts[0].extra_data["extra_pnginfo"] == told


async def test_a_node_that_wrote_into_the_workflow_makes_no_second_job(master: Master) -> None:
    queue = HostQueue()
    prefetch = Prefetch(queue, master.runtime)
    queue.running = [item("p1", seed=1)]
    await prefetch.begin("p1")
    (job,) = master.runtime.jobs()
    written = replace(wanted(1), extra_data={"extra_pnginfo": {"workflow": {"nodes": ["a text"]}}})
    assert prefetch.claim("p1", "8", written) == job.id


# What is started ahead


class HostQueue:
    """ComfyUI's prompt queue, as far as it is read."""

    def __init__(self) -> None:
        self.running: list[tuple[Any, ...]] = []
        self.waiting: list[tuple[Any, ...]] = []

    def get_current_queue_volatile(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        return list(self.running), list(self.waiting)


def stash_of(seed: int) -> Stash:
    graph = picture(seed=seed)
    return Stash(prompt={"1": graph["1"]}, link=ResultLink("1", 0))


def item(prompt_id: str, seed: int, outputs: tuple[str, ...] = ("8",)) -> tuple[Any, ...]:
    """As the host keeps an accepted prompt with one dispatch node, 8, cut already."""
    prompt: Prompt = {
        "8": {"class_type": DISPATCH_CLASS, "inputs": {"value": stash_of(seed).to_input()}},
        "9": {"class_type": "PreviewAny", "inputs": {"source": "something else"}},
    }
    return (1, prompt_id, prompt, {}, list(outputs), {})


def wanted(seed: int) -> JobRequest:
    stash = stash_of(seed)
    return node_request(
        stash,
        stash.prompt,
        node_id="8",
        overrides="",
        peer=AUTOMATIC,
        if_no_peer=FAIL,
        extra_pnginfo=None,
    )


async def test_the_node_of_a_prompt_that_runs_at_once_finds_its_job_begun(master: Master) -> None:
    queue = HostQueue()
    prefetch = Prefetch(queue, master.runtime)
    queue.running = [item("p1", seed=1)]
    await prefetch.begin("p1")
    (job,) = master.runtime.jobs()
    assert prefetch.claim("p1", "8", wanted(1)) == job.id
    assert (await master.end_of(job)).state is JobState.DONE


async def test_a_node_that_was_quicker_gets_no_second_job(master: Master) -> None:
    queue = HostQueue()
    prefetch = Prefetch(queue, master.runtime)
    queue.running = [item("p1", seed=1)]
    assert prefetch.claim("p1", "8", wanted(1)) is None
    await prefetch.begin("p1")
    assert master.runtime.jobs() == ()


async def test_what_the_host_may_remember_is_not_begun_for_a_prompt_that_runs_already(
    master: Master,
) -> None:
    queue = HostQueue()
    prefetch = Prefetch(queue, master.runtime)
    for number, seed in enumerate((1, 2, 1)):
        queue.running = [item(f"p{number}", seed)]
        await prefetch.begin(f"p{number}")
    assert len(master.runtime.jobs()) == 2


async def test_a_node_that_was_not_asked_for_is_not_begun(master: Master) -> None:
    queue = HostQueue()
    prefetch = Prefetch(queue, master.runtime)
    queue.waiting = [item("p1", seed=1, outputs=("9",))]
    await prefetch.begin("p1")
    assert master.runtime.jobs() == ()


async def test_no_peer_is_said_once_for_a_prompt_that_runs_already(tmp_path: Path) -> None:
    async with started(tmp_path) as lonely:
        queue = HostQueue()
        prefetch = Prefetch(queue, lonely.runtime)
        queue.running = [item("p1", seed=1)]
        await prefetch.begin("p1")
        (job,) = lonely.runtime.jobs()
        assert (await lonely.end_of(job)).state is JobState.FAILED
        assert prefetch.claim("p1", "8", wanted(1)) == job.id


async def test_no_peer_is_no_answer_for_a_prompt_that_had_to_wait(tmp_path: Path) -> None:
    async with started(tmp_path) as lonely:
        queue = HostQueue()
        prefetch = Prefetch(queue, lonely.runtime)
        queue.waiting = [item("p1", seed=1)]
        await prefetch.begin("p1")
        (job,) = lonely.runtime.jobs()
        await lonely.end_of(job)
        assert prefetch.claim("p1", "8", wanted(1)) is None
