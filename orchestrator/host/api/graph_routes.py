"""What the page asks about a graph: its parameters, variations of them, and what a job was to run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ...core.prompts.editing import prompt_of, workflow_of
from ...core.workflow.inspector import Parameter, inspect_parameters
from ...core.workflow.object_info import ObjectInfo
from ...errors import NotFoundError
from ...runtime import Runtime
from ..sanitise import whole_json
from .answers import JobGraphView, ParametersView, ParameterView, VariationsView
from .bodies import read, read_object
from .job_bodies import GraphBody
from .variation_bodies import Axes

Definitions = Callable[[], Awaitable[ObjectInfo]]


async def no_definitions() -> ObjectInfo:
    return ObjectInfo({})


class GraphRoutes:
    """`definitions`: the nodes of this computer and of all peers, as far as they are known."""

    def __init__(self, runtime: Runtime, definitions: Definitions) -> None:
        self._runtime = runtime
        self._definitions = definitions

    async def inspect(self, request: web.Request) -> tuple[int, Any]:
        graph = read(GraphBody, await read_object(request)).graph
        info = await self._definitions()

        def told() -> bytes:
            found = inspect_parameters(graph, info)
            return whole_json(ParametersView(parameters=list(map(parameter_view, found))))

        return 200, await asyncio.to_thread(told)

    async def variations(self, request: web.Request) -> tuple[int, Any]:
        body = await read_object(request)

        def told() -> bytes:
            found = read(Axes, body).changes()
            return whole_json(VariationsView(count=len(found), variations=found))

        return 200, await asyncio.to_thread(told)

    async def graph(self, request: web.Request) -> tuple[int, Any]:
        """What a job was to run: the workflow its files carry, and the prompt."""
        job = await self._runtime.jobs.get(request.match_info["id"])
        workflow = workflow_of(job.request)
        if not workflow and not job.request.prompt:
            raise NotFoundError(f"The graph of job {job.id} is no longer kept. Its picture may have it.")

        def told() -> bytes:
            view = JobGraphView(workflow=dict(workflow) if workflow else None, prompt=prompt_of(job.request))
            return whole_json(view)

        return 200, await asyncio.to_thread(told)


def parameter_view(parameter: Parameter) -> ParameterView:
    choices = parameter.choices
    return {
        "address": parameter.address,
        "node_id": parameter.node_id,
        "input": parameter.input,
        "title": parameter.title,
        "class_type": parameter.class_type,
        "type": parameter.type,
        "value": parameter.value,
        "default": parameter.default,
        "min": parameter.min,
        "max": parameter.max,
        "step": parameter.step,
        "choices": None if choices is None else list(choices),
        "multiline": parameter.multiline,
        "upload": parameter.upload,
    }
