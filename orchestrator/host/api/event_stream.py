"""Server-sent events for scripts: GET /orchestrator/events tells what the page's custom events tell."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from aiohttp import web

from ...core.models.job import Job
from ...runtime import Runtime
from ..sanitise import sanitise
from .announcer import peer_views
from .views import job_view

EVERY_S = 0.25
PING_EVERY_S = 15.0


async def stream_events(request: web.Request, runtime: Runtime) -> web.StreamResponse:
    """Events ``peers``, ``job`` and ``settings``, each as JSON, until the caller hangs up.

    A job that changes often is told at most every quarter of a second, with its newest state; so a slow
    reader misses steps between, never an end.
    """
    answer = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    changed = asyncio.Event()
    jobs: dict[str, Job] = {}
    others: dict[str, bool] = {"peers": True, "settings": True}  # the first picture is whole

    def on_job(job: Job) -> None:
        jobs[job.id] = job
        changed.set()

    def on_other(kind: str) -> None:
        others[kind] = True
        changed.set()

    undo = [
        runtime.jobs.on_change(on_job),
        runtime.manager.subscribe(lambda _: on_other("peers")),
        runtime.on_settings(lambda _: on_other("settings")),
    ]
    numbers = itertools.count(1)
    try:
        await answer.prepare(request)
        while True:
            due = [kind for kind, is_due in others.items() if is_due]
            told = [("job", job_view(job, runtime.peers.name)) for job in jobs.values()]
            jobs.clear()
            for kind in due:
                others[kind] = False
                told.append((kind, _picture(kind, runtime)))
            for kind, data in told:
                await answer.write(_event(next(numbers), kind, data))
            try:
                await asyncio.wait_for(changed.wait(), PING_EVERY_S)
                await asyncio.sleep(EVERY_S)
            except asyncio.TimeoutError:
                await answer.write(b": still here\n\n")
            changed.clear()
    except ConnectionError:
        return answer  # the caller hung up
    finally:
        for take_back in undo:
            take_back()


def _picture(kind: str, runtime: Runtime) -> Any:
    return {"peers": peer_views(runtime)} if kind == "peers" else dict(vars(runtime.settings))


def _event(number: int, kind: str, data: Any) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(sanitise(data))}\n\n".encode()
