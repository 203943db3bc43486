"""Puts the engine into a ComfyUI that is starting up."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import replace
from functools import partial
from typing import Any

from ..runtime import EngineConfig, Runtime
from . import comfy, current
from .api.addresses import Addresses
from .api.announcer import Announcer
from .api.report import keep_log_lines
from .api.routes import add_routes
from .doors import view_headers
from .doors.guard import Guard
from .doors.strangers import Strangers
from .fleet import assets, early_view
from .fleet.mode import FleetMode
from .fleet.native_queue import NativeQueue
from .fleet.prompt_handlers import PromptHandlers
from .fleet.runs_here import RunsHere
from .log_lines import name_log_lines
from .node.node_peers import NodePeers
from .node.prompt_hook import PromptHook
from .page.merged_nodes import MergedNodes
from .page.pages import Pages
from .page.sockets import Sockets

log = logging.getLogger(__name__)


def install(server: Any) -> None:
    """Add our routes and prompt handlers to `server` (a PromptServer), and start the engine with it.

    Called while ComfyUI loads its node packs: its app takes routes and start-up handlers until it runs.
    """
    name_log_lines()
    keep_log_lines()
    guard = Guard.from_environment(server)
    folders = comfy.folders()
    if assets.are_kept(server):
        folders = replace(folders, with_assets=partial(assets.with_assets, server))
    runtime = Runtime(EngineConfig(comfy.data_dir(), folders, guard.is_this_machine))
    host = current.Host(server, runtime)
    current.set_current(host)
    Strangers(server, guard, partial(_is_job, runtime)).install()
    native = NativeQueue(server)
    sockets = Sockets(server, native.count_ours)
    sockets.install(server.app)
    pages = Pages(sockets)
    nodes = MergedNodes(runtime, pages.send)
    runs_here = RunsHere(runtime, pages.send)
    add_routes(
        server.routes,
        runtime,
        guard,
        own_models=comfy.own_models,
        where=nodes.where,
        definitions=nodes.definitions,
        parted=runs_here.parted,
        web_name=comfy.web_name,
    )
    handlers = PromptHandlers(server, PromptHook(runs_here.stays_here))
    announcer = Announcer(runtime, pages.send, pages.are_open)
    addresses = Addresses(runtime, guard, pages.send)
    node_peers = NodePeers(runtime, pages.send)
    fleet_mode = FleetMode(server, sockets, native, runtime, host.prefetch, runs_here, handlers)
    fleet_mode.install()
    nodes.install(server.app)
    early_view.install(server.app, folders)
    view_headers.install(server.app)

    async def start(app: Any) -> None:
        _spare_the_collector()
        starting = _start(runtime, addresses, announcer, fleet_mode, nodes, node_peers)
        asyncio.create_task(starting, name="remote-dispatch start")  # noqa: RUF006

    async def stop(app: Any) -> None:
        announcer.stop()
        await runtime.aclose()

    server.app.on_startup.append(start)
    server.app.on_cleanup.append(stop)


def _is_job(runtime: Runtime, prompt_id: str) -> bool:
    """Whether a job that has not ended goes by this prompt id."""
    return any(job.prompt_id == prompt_id and not job.state.is_final for job in runtime.jobs.all())


def _spare_the_collector() -> None:
    """What was loaded until now stays until the end: a full collection need not walk through it again.

    With torch and all nodes in memory it stops the server's loop for 0.6 s each time (measured by
    benchmarks/throughput.py on ComfyUI 0.3.75), and many jobs mean many collections.
    """
    gc.collect()
    gc.freeze()


async def _start(
    runtime: Runtime, *listeners: Addresses | Announcer | FleetMode | MergedNodes | NodePeers
) -> None:
    try:
        await runtime.start()
    except Exception:
        log.exception("Remote Dispatch could not start; ComfyUI itself goes on without it")
        return
    peers, mode = len(runtime.manager.all()), "on" if runtime.settings.fleet_mode else "off"
    log.info("ready, with %d %s; fleet mode is %s", peers, "peer" if peers == 1 else "peers", mode)
    for listener in listeners:
        try:
            listener.start()
        except Exception:  # another pack may have changed what it needs; the others go on
            log.exception("A part of Remote Dispatch could not start: %s", type(listener).__name__)
