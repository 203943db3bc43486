"""Who hears what over the host's event stream, and that nobody holds up the others."""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from orchestrator.host.doors.guard import Guard
from orchestrator.host.doors.strangers import Strangers
from orchestrator.host.page.outbox import ASLEEP_AFTER_S, Outgoing, event_text
from orchestrator.host.page.page_events import JOBS_BEHIND, PageEvent
from orchestrator.host.page.pages import Pages
from orchestrator.host.page.sockets import Sockets
from tests.fakes.waiting import until, until_told

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
REBOUND = {**BROWSER, "Host": "evil.example:8188", "Origin": "http://evil.example:8188"}


class Host:
    """A server with ComfyUI's websocket route and its way of sending: to one client after the other."""

    def __init__(self, asleep_after_s: float = ASLEEP_AFTER_S) -> None:
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.app = web.Application()
        self.app.router.add_get("/ws", self.socket)
        self.app.router.add_get("/api/ws", self.socket)
        self.length = 3
        Strangers(self, Guard(self), lambda prompt_id: False).install()
        self.all = Sockets(self, lambda: 2, asleep_after_s)
        self.all.install(self.app)
        self.pages = Pages(self.all)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        name = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[name] = socket
        await self.status(socket)
        try:
            async for _ in socket:
                pass
        finally:
            if self.sockets.get(name) is socket:
                del self.sockets[name]
        return socket

    async def status(self, socket: web.WebSocketResponse) -> None:
        data = {"status": {"exec_info": {"queue_remaining": self.length}}}
        await socket.send_json({"type": "status", "data": data})

    async def send_all(self, kind: str, data: Any) -> None:
        for socket in tuple(self.sockets.values()):
            await socket.send_json({"type": kind, "data": data})


@pytest.fixture
async def host() -> Any:
    host = Host()
    async with TestClient(TestServer(host.app)) as client:
        yield host, client


class Listener:
    """A client that reads all it is told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.heard: list[dict[str, Any]] = []
        self.is_cut = False
        self._task = asyncio.create_task(self._read(socket), name="listener")

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.heard.append(json.loads(message.data))
        self.is_cut = True

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.heard]


async def connect(client: Any, name: str, headers: dict[str, str], path: str = "/ws") -> Listener:
    return Listener(await client.ws_connect(f"{path}?clientId={name}", headers=headers, max_msg_size=0))


async def test_pages_hear_our_own_events_and_other_clients_do_not(host: Any) -> None:
    server, client = host
    script = await connect(client, "script", {})
    stranger = await connect(client, "stranger", {**BROWSER, "Origin": "http://elsewhere.example"})
    await until(lambda: script.heard and stranger.heard)
    assert not server.pages.are_open()
    page = await connect(client, "page", BROWSER)
    await until(lambda: page.heard)
    assert server.pages.are_open()
    server.pages.send(PageEvent.SETTINGS, {})
    await server.send_all("end", {})
    await until(lambda: all("end" in one.kinds() for one in (script, stranger, page)))
    assert page.kinds() == ["status", PageEvent.SETTINGS, "end"]
    assert script.kinds() == stranger.kinds() == ["status", "end"]


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
async def test_f56_a_rebound_page_hears_nothing_of_the_fleet_and_a_program_does(host: Any, path: str) -> None:
    server, client = host
    page = await connect(client, "page", REBOUND, path)
    program = await connect(client, "program", {"Host": "render-farm.example:8188"}, path)
    await until(lambda: page.heard and program.heard)
    server.pages.send(PageEvent.SETTINGS, {})
    for name in ("page", "program"):
        server.all.send(name, Outgoing(lambda: event_text("executing", {})))
    server.all.broadcast(Outgoing(lambda: event_text("progress_state", {})))
    await server.send_all("end", {})
    await until(lambda: "end" in page.kinds() and "end" in program.kinds())
    assert page.kinds() == ["status", "end"]
    assert program.kinds() == ["status", "executing", "progress_state", "end"]


async def test_f56_a_rebound_page_is_told_how_long_the_hosts_own_queue_is(host: Any) -> None:
    _, client = host
    page, program = await connect(client, "page", REBOUND), await connect(client, "program", {})
    await until(lambda: page.heard and program.heard)
    told = [one.heard[0]["data"]["status"]["exec_info"]["queue_remaining"] for one in (page, program)]
    assert told == [1, 3]


async def test_a_script_under_the_name_of_a_page_takes_its_place(host: Any) -> None:
    server, client = host
    await until_heard(await connect(client, "one", BROWSER))
    await until_heard(await connect(client, "one", {}))
    assert not server.pages.are_open()


async def until_heard(listener: Listener) -> None:
    await until(lambda: listener.heard)


async def asleep(client: Any, name: str, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
    """A page whose socket is open, and nobody reads it: so its system stops to take what comes."""
    socket: aiohttp.ClientWebSocketResponse = await client.ws_connect(
        f"/ws?clientId={name}", headers=headers, compress=0, max_msg_size=0
    )
    await socket.receive()
    return socket


async def test_f57_a_page_that_sleeps_holds_up_neither_the_host_nor_the_other_pages(host: Any) -> None:
    server, client = host
    await asleep(client, "asleep", BROWSER)
    page = await connect(client, "page", BROWSER)
    await until_heard(page)
    jobs = [{"job_id": str(number), "text": "x" * 10_000} for number in range(100)]
    for number in range(1, 41):  # 40 MB for each of them
        server.pages.send(PageEvent.JOBS, {"jobs": [{**job, "number": number} for job in jobs]})
        await asyncio.wait_for(server.send_all("status", {"number": number}), 30)
        await until(partial(has_heard, page, number))
    last = [message for message in page.heard if message["type"] == PageEvent.JOBS][-1]
    assert {job["number"] for job in last["data"]["jobs"]} == {40}


def has_heard(page: Listener, number: int) -> bool:
    return any(message["data"].get("number") == number for message in page.heard)


async def test_f57_a_page_that_wakes_up_is_told_the_newest_state_of_everything(host: Any) -> None:
    server, client = host
    socket = await asleep(client, "page", BROWSER)
    for number in range(300):
        jobs = [{"job_id": str(number % 50), "text": "x" * 100_000, "number": number}]
        server.pages.send(PageEvent.JOBS, {"jobs": jobs})
        server.pages.send(PageEvent.PEERS, {"peers": [number]})
    page = Listener(socket)
    await server.send_all("end", {})
    await until(lambda: "end" in page.kinds())
    newest = {
        job["job_id"]: job["number"]
        for message in page.heard
        if message["type"] == PageEvent.JOBS
        for job in message["data"]["jobs"]
    }
    assert newest == {str(number): 250 + number for number in range(50)}
    assert [message for message in page.heard if message["type"] == PageEvent.PEERS][-1]["data"] == {
        "peers": [299]
    }
    assert len(page.heard) < 300


async def test_f57_a_page_too_far_behind_is_cut_off_so_that_it_reads_everything_when_it_wakes(
    host: Any,
) -> None:
    server, client = host
    await asleep(client, "page", BROWSER)
    text = "x" * 200_000
    server.pages.send(PageEvent.SETTINGS, {"text": text * 100})  # fills what the system keeps
    for number in range(JOBS_BEHIND + 10):
        server.pages.send(PageEvent.JOBS, {"jobs": [{"job_id": str(number)}]})
    await until(lambda: "page" not in server.sockets)


async def test_f57_a_client_that_takes_nothing_for_a_while_is_cut_off() -> None:
    server = Host(asleep_after_s=0.0)
    async with TestClient(TestServer(server.app)) as client:
        await asleep(client, "script", {})

        async def is_cut() -> bool:
            await server.send_all("executed", {"text": "x" * 1_000_000})
            return "script" not in server.sockets

        await until_told(is_cut)
