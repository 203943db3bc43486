"""Jobs of Remote Dispatch nodes: in the journal while they run, what goes along, what their boxes show."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobRequest, JobState, ResultLink, Source
from orchestrator.core.workflow.cut import Stash
from orchestrator.host.node.progress import NodeProgress
from orchestrator.host.node.request import AUTOMATIC, FAIL, node_request
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import Master, started
from tests.fakes.waiting import until


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
    job = await master.runtime.jobs.submit(request)
    assert (await master.end_of(job)).state is JobState.DONE
    assert peer.prompts[0].extra_data["extra_pnginfo"] == told
