"""Which peer works on the nodes of a page's graph, as the page is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.host.node.node_peers import NODES_MAX, NodePeers
from orchestrator.host.page.page_events import PageEvent
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import Master, started
from tests.fakes.waiting import until


def listening(master: Master) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []

    def send(event: str, data: Any) -> None:
        assert event == PageEvent.NODE_PEERS
        heard.append(data)

    NodePeers(master.runtime, send).start()
    return heard


def states(kinds: dict[str, str]) -> dict[str, Any]:
    return {
        node_id: {"node_id": node_id, "state": kind, "value": 0, "max": 1} for node_id, kind in kinds.items()
    }


async def test_a_page_hears_once_that_a_node_begins_on_a_peer_and_once_that_it_ended(
    tmp_path: Path,
) -> None:
    async with FakeComfyUI() as peer, started(tmp_path) as master:
        heard = listening(master)
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture(), graph_id="g1")
        prompt_id = await master.running_on(peer, job)
        for _ in range(3):
            await peer.send(prompt_id, "progress_state", nodes=states({"1": "running", "2": "pending"}))
        await peer.send(prompt_id, "progress_state", nodes=states({"1": "finished", "2": "running"}))
        await until(lambda: len(heard) == 2, "both changes are told")
        await peer.finish(prompt_id)
        await master.end_of(job)
        news = {"graph_id": "g1", "job_id": job.id, "peer": "gpu"}
        assert heard == [
            {**news, "nodes": {"1": "running"}},
            {**news, "nodes": {"1": "finished", "2": "running"}},
            {**news, "nodes": {"2": "finished"}},  # nothing stays lit when the job has ended
        ]


async def test_nothing_is_told_of_a_graph_that_no_page_shows(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, started(tmp_path) as master:
        heard = listening(master)
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture())
        prompt_id = await master.running_on(peer, job)
        await peer.send(prompt_id, "progress_state", nodes=states({"1": "running"}))
        await peer.finish(prompt_id)
        await master.end_of(job)
        assert heard == []


async def test_a_peer_that_names_nodes_without_end_fills_no_page(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer, started(tmp_path) as master:
        heard = listening(master)
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture(), graph_id="g1")
        prompt_id = await master.running_on(peer, job)
        many = {str(number): "running" for number in range(NODES_MAX)}
        await peer.send(prompt_id, "progress_state", nodes=states(many))
        await peer.send(prompt_id, "progress_state", nodes=states({"more": "running"}))
        await peer.finish(prompt_id)
        await master.end_of(job)
        assert [len(news["nodes"]) for news in heard] == [NODES_MAX]
