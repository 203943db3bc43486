"""Our own routes on a real socket, before a real engine, without the ComfyUI around them."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from orchestrator.dispatch.attempts.transport import Folders
from orchestrator.host.api.routes import add_routes
from orchestrator.host.doors.guard import Guard
from orchestrator.host.page.merged_nodes import MergedNodes
from orchestrator.runtime import EngineConfig, Runtime


class Host:
    """A web server with our routes in it, repeated under /api as ComfyUI does, and a caller of them."""

    def __init__(self, folder: Path, own_models: Callable[[], set[str]] = set) -> None:
        for name in ("output", "temp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        folders = Folders(output=folder / "output", temp=folder / "temp", resolve_input=lambda value: None)
        self.port = 0
        self.guard = Guard(self, find_full_name=lambda: "Render-Box.lan.example")
        self.runtime = Runtime(EngineConfig(folder / "data", folders, self.guard.is_this_machine))
        self.app = web.Application()
        routes, repeated = web.RouteTableDef(), web.RouteTableDef()
        definitions = MergedNodes(self.runtime, lambda *_: None).definitions
        add_routes(routes, self.runtime, self.guard, own_models=own_models, definitions=definitions)
        for route in routes:
            assert isinstance(route, web.RouteDef)
            repeated.route(route.method, "/api" + route.path)(route.handler, **route.kwargs)
        self.app.add_routes(repeated)
        self.app.add_routes(routes)
        self.session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        data: Any = None,
    ) -> tuple[int, Any]:
        """A script's request: with the token and JSON, unless `headers` say otherwise ("" leaves one out)."""
        sent = {
            "X-Orchestrator-Token": self.guard.token,
            "Content-Type": "application/json",
            **(headers or {}),
        }
        sent = {name: value for name, value in sent.items() if value}
        raw = data if data is not None else None if body is None else io.BytesIO(json.dumps(body).encode())
        skip = ("Content-Type",) if "Content-Type" not in sent else ()
        async with self.session.request(
            method, self.url + path, data=raw, headers=sent, skip_auto_headers=skip
        ) as response:
            assert response.content_type == "application/json", await response.text()
            return response.status, await response.json()

    async def add_peer(self, **details: Any) -> dict[str, Any]:
        status, peer = await self.ask("POST", "/orchestrator/peers", {"enabled": False, **details})
        assert status == 201, peer
        return dict(peer)

    async def state(self) -> str:
        jobs = [(job.id, job.state) for job in self.runtime.jobs.all()]
        return repr((self.runtime.manager.all(), jobs, await self.runtime.store.load_peers()))


@asynccontextmanager
async def serving(
    folder: Path, *, start: bool = True, own_models: Callable[[], set[str]] = set
) -> AsyncIterator[Host]:
    host = Host(folder, own_models)
    server = TestServer(host.app, host="127.0.0.1")
    await server.start_server()
    host.port = server.port or 0
    try:
        async with aiohttp.ClientSession() as host.session:
            if start:
                await host.runtime.start()
            yield host
    finally:
        if start:
            await host.runtime.aclose()
        await server.close()
