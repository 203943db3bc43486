"""Which sockets hear our own events."""

from __future__ import annotations

import uuid
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from orchestrator.host.pages import Pages

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


class Host:
    """A server with ComfyUI's websocket route and its way of sending."""

    def __init__(self) -> None:
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.app = web.Application()
        self.app.router.add_get("/ws", self.socket)
        self.told: list[str] = []
        self.pages = Pages(self, lambda request: request.headers.get("Origin") == "http://elsewhere.example")
        self.pages.install(self.app)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[request.query.get("clientId") or uuid.uuid4().hex] = socket
        await socket.send_json({"type": "status"})
        async for _ in socket:
            pass
        return socket

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        self.told.append(f"{event} to {sid}")


@pytest.fixture
async def host() -> Any:
    host = Host()
    async with TestClient(TestServer(host.app)) as client:
        yield host, client


async def connect(client: Any, name: str, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
    socket: aiohttp.ClientWebSocketResponse = await client.ws_connect(f"/ws?clientId={name}", headers=headers)
    await socket.receive()
    return socket


async def test_pages_hear_our_own_events_and_other_clients_do_not(host: Any) -> None:
    server, client = host
    await connect(client, "script", {})
    await connect(client, "stranger", {**BROWSER, "Origin": "http://elsewhere.example"})
    assert not server.pages.are_open()
    await connect(client, "page", BROWSER)
    assert server.pages.are_open()
    server.pages.send("orchestrator.jobs", {})
    assert server.told == ["orchestrator.jobs to page"]


async def test_a_script_under_the_name_of_a_page_takes_its_place(host: Any) -> None:
    server, client = host
    await connect(client, "one", BROWSER)
    await connect(client, "one", {})
    server.pages.send("orchestrator.jobs", {})
    assert not server.told and not server.pages.are_open()
