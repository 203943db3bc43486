"""What the peers have, in the host's own answers, behind a real socket and with real peers' sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from orchestrator.backends.client import ComfyUIClient
from orchestrator.host.api.routes import add_routes
from orchestrator.host.doors.guard import Guard
from orchestrator.host.page.merged_nodes import MergedNodes
from orchestrator.host.page.page_events import PageEvent
from tests.e2e.session import until as until_answered
from tests.fakes.answers import answer
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import stock_classes
from tests.fakes.master import Master, started
from tests.fakes.waiting import until

PEER_ONLY = {"input": {"required": {"seed": ["INT", {}]}}, "output": ["IMAGE"]}
CHECKPOINT = "CheckpointLoaderSimple"


def with_checkpoints(*names: str, **more: Any) -> dict[str, Any]:
    classes = stock_classes()
    classes[CHECKPOINT]["input"]["required"]["ckpt_name"] = ["COMBO", {"options": list(names)}]
    return {**classes, **more}


class Page:
    """The host's app as ComfyUI has it, with our middleware in it; and a page that asks."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self.own: Any = with_checkpoints("own.pt")
        self.told: list[tuple[str, Any]] = []
        self.nodes = MergedNodes(master.runtime, lambda event, data: self.told.append((event, data)))
        self.app = web.Application()
        self.nodes.install(self.app)
        routes = web.RouteTableDef()
        add_routes(routes, master.runtime, Guard(self), where=self.nodes.where)
        for prefix in ("", "/api"):
            self.app.router.add_get(f"{prefix}/object_info", self._all)
            self.app.router.add_get(f"{prefix}/object_info/{{node_class}}", self._one)
        self.app.add_routes(routes)
        self.port = 0
        self.session: aiohttp.ClientSession

    async def _all(self, request: web.Request) -> web.Response:
        return web.json_response(self.own)

    async def _one(self, request: web.Request) -> web.Response:
        name = request.match_info["node_class"]
        return web.json_response({name: self.own[name]} if name in self.own else {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str) -> Any:
        async with self.session.get(self.url + path) as answer:
            assert answer.status == 200 and answer.content_type == "application/json"
            return json.loads(await answer.read())

    async def checkpoints(self, path: str = "/object_info") -> list[str]:
        return list((await self.get(path))[CHECKPOINT]["input"]["required"]["ckpt_name"][1]["options"])

    async def until_offered(self, *names: str) -> None:
        async def offered() -> bool:
            return await self.checkpoints() == list(names)

        await until_answered(offered, f"the choices are {names}")


@asynccontextmanager
async def opened(master: Master) -> AsyncIterator[Page]:
    page = Page(master)
    page.nodes.start()
    server = TestServer(page.app)
    await server.start_server()
    page.port = server.port or 0
    async with aiohttp.ClientSession() as page.session:
        yield page
    await server.close()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with started(tmp_path) as master, opened(master) as page:
        yield page


@pytest.fixture
async def peer(page: Page) -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = with_checkpoints("theirs.pt", PeerOnly=PEER_ONLY)
        await page.master.add("gpu", fake)
        await page.until_offered("own.pt", "theirs.pt")
        yield fake


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_page_is_offered_what_only_a_peer_has(page: Page, peer: FakeComfyUI, prefix: str) -> None:
    info = await page.get(f"{prefix}/object_info")
    assert set(info) == {*page.own, "PeerOnly"}
    one = await page.get(f"{prefix}/object_info/PeerOnly")
    assert one == {"PeerOnly": info["PeerOnly"]}
    assert "Not on this computer, but on gpu." in one["PeerOnly"]["description"]
    assert await page.checkpoints(f"{prefix}/object_info/{CHECKPOINT}") == ["own.pt", "theirs.pt"]
    assert await page.get(f"{prefix}/object_info/Nobody") == {}


async def test_a_page_learns_where_things_are(page: Page, peer: FakeComfyUI) -> None:
    await page.get("/object_info")
    where = await page.get("/orchestrator/where")
    places = where["places"]
    assert where["known"] is True
    assert places[where["classes"]["PeerOnly"]] == {"here": False, "peers": ["gpu"]}
    values = where["values"][CHECKPOINT]["ckpt_name"]
    assert places[values["theirs.pt"]] == {"here": False, "peers": ["gpu"]}
    assert places[values["own.pt"]] == {"here": True, "peers": []}


async def test_before_any_page_nothing_is_known(page: Page) -> None:
    where = await page.get("/orchestrator/where")
    assert where == {"known": False, "places": [], "classes": {}, "values": {}}


async def test_switched_off_the_host_answers_for_itself(page: Page, peer: FakeComfyUI) -> None:
    await page.master.runtime.change_settings({"peer_nodes": False})
    assert await page.get("/object_info") == page.own
    assert (await page.get("/orchestrator/where"))["known"] is False


async def test_a_peer_that_is_switched_off_or_gone_offers_nothing(page: Page, peer: FakeComfyUI) -> None:
    peers = page.master.runtime.peers
    (config,) = page.master.runtime.manager.all()
    await peers.update(config.id, {"enabled": False})
    await page.until_offered("own.pt")
    await peers.update(config.id, {"enabled": True})
    await page.until_offered("own.pt", "theirs.pt")
    await peers.remove(config.id)
    await page.until_offered("own.pt")


async def test_another_master_is_told_of_our_own_nodes_alone(page: Page, peer: FakeComfyUI) -> None:
    client = ComfyUIClient(page.url)
    assert await client.object_info() == page.own
    await client.close()


async def test_pages_hear_when_what_the_peers_have_changes(page: Page, peer: FakeComfyUI) -> None:
    await until(lambda: (PageEvent.NODE_LISTS, {"peers": 1}) in page.told, "the peer's list is told of")
    await page.master.runtime.change_settings({"peer_nodes": False})
    await until(
        lambda: page.told[-1] == (PageEvent.NODE_LISTS, {"peers": 0}), "and that it is no longer shown"
    )


async def test_f61_a_peer_that_comes_up_late_is_told_to_pages_that_are_open(page: Page) -> None:
    async with FakeComfyUI() as fake:
        fake.object_info = with_checkpoints("theirs.pt", PeerOnly=PEER_ONLY)
        await fake.go_down()
        await page.master.add("gpu", fake)
        assert set(await page.get("/object_info")) == set(page.own)
        await fake.come_back()
        await until(lambda: (PageEvent.NODE_LISTS, {"peers": 1}) in page.told, "what it has is told")
        assert "PeerOnly" in await page.get("/object_info")


@pytest.mark.parametrize("path", ["/object_info", f"/object_info/{CHECKPOINT}"])
async def test_f61_a_model_copied_to_a_running_peer_is_seen_when_a_page_looks(
    page: Page, peer: FakeComfyUI, path: str
) -> None:
    await until(lambda: page.told, "the peer's list is told of")
    page.told.clear()
    peer.object_info = with_checkpoints("theirs.pt", "copied.pt", PeerOnly=PEER_ONLY)

    async def is_told() -> bool:  # the first looks come when its list has just been read
        await page.checkpoints(path)
        return (PageEvent.NODE_LISTS, {"peers": 1}) in page.told

    await until_answered(is_told, "that there is more is told")
    assert await page.checkpoints(path) == ["own.pt", "theirs.pt", "copied.pt"]


async def until_asked_once_more(page: Page, peer: FakeComfyUI) -> None:
    before = len(peer.asked("/object_info"))

    async def is_asked() -> bool:
        await page.get("/object_info")
        return len(peer.asked("/object_info")) > before

    await until_answered(is_asked, "the peer is asked once more")


async def test_f61_however_many_pages_look_a_peer_is_asked_once_at_a_time(
    page: Page, peer: FakeComfyUI
) -> None:
    told = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await told.wait()
        return web.json_response(peer.object_info)

    peer.answers["/object_info"] = slow
    await until_asked_once_more(page, peer)
    asked = len(peer.asked("/object_info"))
    for _ in range(20):
        assert await page.checkpoints() == ["own.pt", "theirs.pt"], "nobody waits for it"
    assert len(peer.asked("/object_info")) == asked
    told.set()


async def test_f61_a_list_that_cannot_be_read_once_more_stands(page: Page, peer: FakeComfyUI) -> None:
    peer.answers["/object_info"] = answer(status=500)
    await until_asked_once_more(page, peer)
    del peer.answers["/object_info"]
    await until_asked_once_more(page, peer)
    assert await page.checkpoints() == ["own.pt", "theirs.pt"]
    (config,) = page.master.runtime.manager.all()
    assert page.master.runtime.manager.get_status(config.id).reason == ""


@pytest.mark.parametrize("own", ["text", [1], None])
async def test_an_answer_of_the_host_that_we_cannot_read_goes_through(
    page: Page, peer: FakeComfyUI, own: Any, caplog: pytest.LogCaptureFixture
) -> None:
    page.own = own
    assert await page.get("/object_info") == own
    assert "could not be added to the list of nodes" in caplog.text
