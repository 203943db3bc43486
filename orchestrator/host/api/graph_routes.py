"""What the page asks about a graph: its parameters, variations of them, and what a job was to run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from ...core.workflow.inspector import Parameter, inspect_parameters
from ...core.workflow.object_info import ObjectInfo
from ...errors import ConfigError, NotFoundError
from ...runtime import Runtime
from .bodies import read_object
from .variation_bodies import variations_of

Definitions = Callable[[], Awaitable[ObjectInfo]]


async def no_definitions() -> ObjectInfo:
    return ObjectInfo({})


class GraphRoutes:
    """`definitions`: the nodes of this machine and of all peers, as far as they are known."""

    def __init__(self, runtime: Runtime, definitions: Definitions) -> None:
        self._runtime = runtime
        self._definitions = definitions

    async def inspect(self, request: web.Request) -> tuple[int, Any]:
        body = await read_object(request)
        graph = body.get("prompt") or body.get("workflow")
        if not isinstance(graph, dict):
            raise ConfigError('Send "prompt" (a graph in API format) or "workflow" (as the page saves it).')
        info = await self._definitions()
        found = await asyncio.to_thread(inspect_parameters, graph, info)
        return 200, {"parameters": [parameter_view(parameter) for parameter in found]}

    async def variations(self, request: web.Request) -> tuple[int, Any]:
        found = await asyncio.to_thread(variations_of, await read_object(request))
        return 200, {"count": len(found), "variations": found}

    async def graph(self, request: web.Request) -> tuple[int, Any]:
        """What a job was to run: the workflow its files carry, and the prompt."""
        job = await self._runtime.jobs.get(request.match_info["id"])
        pnginfo = job.request.extra_data.get("extra_pnginfo")
        workflow = pnginfo.get("workflow") if isinstance(pnginfo, Mapping) else None
        workflow = workflow or job.request.workflow
        if not workflow and not job.request.prompt:
            raise NotFoundError(f"The graph of job {job.id} is no longer kept. Its picture may have it.")
        return 200, {"workflow": workflow or None, "prompt": job.request.prompt}


def parameter_view(parameter: Parameter) -> dict[str, Any]:
    choices = parameter.choices
    return {
        "address": parameter.address,
        **asdict(parameter),
        "choices": None if choices is None else list(choices),
    }
