"""Ask ComfyUI's own frontend, in headless Chromium, what prompt it makes of workflows.

    python tests/data/converter/harvest.py --frontend DIR --object-info FILE IN [IN …] OUT

DIR is the ``static`` folder of an unpacked comfyui-frontend-package, FILE a saved GET /object_info
(.json or .json.gz), IN workflow files or a set (.json.gz) whose workflows are taken again, OUT a new set.
A server on loopback plays ComfyUI: it serves the frontend and the definitions and knows nothing else.
Needs aiohttp and playwright (with CHROMIUM or a chromium on the path).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from playwright.async_api import Page, async_playwright

CONVERT = """async (workflow) => {
  const before = performance.now();
  await window.app.loadGraphData(workflow);
  await new Promise((done) => setTimeout(done, 120));
  const loaded = performance.now();
  const { workflow: saved, output } = await window.app.graphToPrompt();
  const converted = performance.now();
  const plain = (value) => JSON.parse(JSON.stringify(value));
  return { saved: plain(saved), api: plain(output), load: loaded - before, time: converted - loaded };
}"""
SETTINGS = {
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "99.0.0",
}


def read(path: Path) -> Any:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def records(paths: list[Path]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in paths:
        content = read(path)
        if isinstance(content, list):
            found += [{"name": r["name"], "workflow_file": r["workflow_file"]} for r in content]
        else:
            found.append({"name": path.name, "workflow_file": content})
    return found


def server(frontend: Path, object_info: Any) -> web.Application:
    answers: dict[str, Any] = {
        "object_info": object_info,
        "settings": SETTINGS,
        "users": {"storage": "server", "migrated": True},
        "system_stats": {
            "system": {"os": "posix", "comfyui_version": "0.3.75", "python_version": "3", "argv": []},
            "devices": [],
        },
        "queue": {"queue_running": [], "queue_pending": []},
        "prompt": {"exec_info": {"queue_remaining": 0}},
        "jobs": {"jobs": [], "pagination": {"offset": 0, "limit": 200, "total": 0, "has_more": False}},
    }
    lists = ("extensions", "embeddings", "history", "experiment", "userdata", "v2", "models")
    lists = (*lists, "workflow_templates")
    objects = ("features", "i18n", "global_subgraphs", "node_replacements", "history")

    async def api(request: web.Request) -> web.Response:
        name = request.match_info["name"].split("/")[0]
        if name in answers:
            return web.json_response(answers[name])
        if name in objects:
            return web.json_response({})
        if name in lists:
            return web.json_response([])
        return web.json_response({}, status=404)

    async def ws(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json(
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "harvest"}}
        )
        async for message in socket:
            if message.type == WSMsgType.CLOSE:
                break
        return socket

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(frontend / "index.html")

    app = web.Application()
    app.router.add_get("/ws", ws)
    app.router.add_get("/api/ws", ws)
    app.router.add_route("*", "/api/{name:.*}", api)
    app.router.add_get("/", index)
    app.router.add_static("/", frontend)
    return app


@asynccontextmanager
async def open_page(frontend: Path, object_info: Any, browser: str | None = None) -> AsyncIterator[Page]:
    """The frontend's page in Chromium, all of `object_info` known to it, on a server that plays ComfyUI."""
    runner = web.AppRunner(server(frontend, object_info), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    program = browser or os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        async with async_playwright() as playwright:
            chromium = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = await chromium.new_page()
            await page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            await page.wait_for_function("window.app && window.app.graph && window.LiteGraph", timeout=90_000)
            await page.wait_for_function(
                f"Object.keys(window.LiteGraph.registered_node_types).length >= {len(object_info)}",
                timeout=90_000,
            )
            yield page
            await chromium.close()
    finally:
        await runner.cleanup()


async def harvest(frontend: Path, object_info: Any, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = set(object_info) | {"PrimitiveNode", "Reroute", "Note", "MarkdownNote"}
    out: list[dict[str, Any]] = []
    async with open_page(frontend, object_info) as page:
        for record in wanted:
            workflow = record["workflow_file"]
            entry: dict[str, Any] = {**record, "flags": [], "unknown_types": sorted(unknown(workflow, known))}
            try:
                made = await page.evaluate(CONVERT, workflow)
            except Exception as exc:
                entry |= {"flags": ["failed"], "api": None, "workflow_frontend": None}
                entry["error"] = str(exc)[:500]
            else:
                entry |= {
                    "workflow_frontend": made["saved"],
                    "frontend": (made["saved"].get("extra") or {}).get("frontendVersion"),
                    "api": made["api"],
                    "t_load_ms": round(made["load"], 1),
                    "t_graphToPrompt_ms": round(made["time"], 1),
                }
                if entry["unknown_types"]:
                    entry["flags"].append("unknown_types")
            out.append(entry)
            print(f"{record['name']}: {entry.get('t_graphToPrompt_ms', 'failed')} ms")
    return out


def unknown(workflow: dict[str, Any], known: set[str]) -> set[str]:
    subgraphs = (workflow.get("definitions") or {}).get("subgraphs") or []
    own = {subgraph.get("id") for subgraph in subgraphs}
    groups = re.compile(r"^workflow[/>]")
    nodes = [node for scope in (workflow, *subgraphs) for node in scope.get("nodes") or []]
    types = {str(node.get("type")) for node in nodes if isinstance(node, dict)}
    return {kind for kind in types if kind not in known and kind not in own and not groups.match(kind)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frontend", type=Path, required=True)
    parser.add_argument("--object-info", type=Path, required=True)
    parser.add_argument("files", type=Path, nargs="+")
    args = parser.parse_args()
    *inputs, output = args.files
    made = asyncio.run(harvest(args.frontend, read(args.object_info), records(inputs)))
    with gzip.open(output, "wt", encoding="utf-8") as file:
        json.dump(made, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
