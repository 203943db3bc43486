"""For benchmarks: how late the event loop of this ComfyUI is. GET /lag tells, in ms, and begins anew."""

from __future__ import annotations

import asyncio

from aiohttp import web
from server import PromptServer

TICK_S = 0.005
late_ms: list[float] = []


async def measure() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late_ms.append(max(0.0, (loop.time() - due) * 1000))


async def begin(app: web.Application) -> None:
    app["lag probe"] = asyncio.create_task(measure(), name="lag probe")


@PromptServer.instance.routes.get("/lag")
async def tell(request: web.Request) -> web.Response:
    ordered = sorted(late_ms) or [0.0]
    late_ms.clear()
    body = {"samples": len(ordered), "p50": ordered[len(ordered) // 2]}
    body |= {"p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}
    return web.json_response(body)


PromptServer.instance.app.on_startup.append(begin)
NODE_CLASS_MAPPINGS: dict[str, type] = {}
