"""The HTTP API under /orchestrator: thin handlers between a request and the engine."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from ...core.engine.placement.explain import Outlook
from ...core.models.job import Job, JobRequest, JobState
from ...core.workflow.runs_here import known_classes
from ...dispatch.idempotency import refuse_another
from ...errors import NotFoundError, OrchestratorError
from ...runtime import Runtime
from ..doors.guard import Guard
from ..page.merged_nodes import WhereTable, nothing_known
from ..page.monitor import MonitorPage
from ..page.previews import PICTURE_TYPES
from ..sanitise import sanitise
from .addresses import addresses_view
from .announcer import peer_views, peers_view
from .answers import AcceptedView, KnownClassesView, PeerView, RemovedView, SessionView
from .bodies import Nothing, read, read_object, request_id_of
from .error_answers import INTERNAL, NOT_FOUND, NOT_RUNNING, WRONG_METHOD, error_answer
from .event_stream import stream_events
from .graph_routes import Definitions, GraphRoutes, no_definitions
from .index import index
from .job_actions import JobActions
from .job_bodies import Explained, JobRequests, Move, Retry
from .job_query import JobsQuery
from .openapi import OPENAPI
from .peer_actions import OwnModels, free_peer, interrupt_peer, test_peer
from .peer_bodies import Interruption, NewPeer, PeerChanges
from .report import job_report, report
from .views import dry_run_view, job_view, jobs_view, outlook_view
from .work import WorkQuery, work

log = logging.getLogger(__name__)

PREFIX = "/orchestrator"
Answer = Callable[[web.Request], Awaitable[tuple[int, Any]]]  #: gives the status and the JSON of a request
#: What of a request peers would get, and in words what of it runs on this computer
PartedRequest = Callable[[JobRequest], tuple[JobRequest, str]]


def add_routes(
    routes: web.RouteTableDef,
    runtime: Runtime,
    guard: Guard,
    *,
    own_models: OwnModels = tuple,
    where: WhereTable = nothing_known,
    definitions: Definitions = no_definitions,
    parted: PartedRequest = lambda request: (request, ""),
    web_name: Callable[[], str] = lambda: "remote-dispatch",
) -> None:
    """Add all routes to the host's table, each behind the guard. The host repeats them under /api."""
    api = _Api(runtime, guard, own_models, where, parted)
    graphs = GraphRoutes(runtime, definitions)
    actions = JobActions(runtime)
    table: tuple[tuple[str, str, Answer], ...] = (
        ("GET", "/peers", api.peers),
        ("POST", "/peers", api.add_peer),
        ("PATCH", "/peers/{id}", api.update_peer),
        ("DELETE", "/peers/{id}", api.remove_peer),
        ("POST", "/peers/{id}/check", api.check_peer),
        ("POST", "/peers/{id}/test", api.test_peer),
        ("POST", "/peers/{id}/interrupt", api.interrupt_peer),
        ("POST", "/peers/{id}/free", api.free_peer),
        ("GET", "/jobs", api.jobs),
        ("POST", "/jobs", api.submit),
        ("POST", "/jobs/actions", actions.act),
        ("GET", "/jobs/{id}", api.job),
        ("POST", "/jobs/{id}/edit", actions.edit),
        ("POST", "/jobs/{id}/cancel", api.cancel),
        ("POST", "/jobs/{id}/second_copy", api.second_copy),
        ("POST", "/jobs/{id}/move", api.move),
        ("POST", "/jobs/{id}/retry", api.retry),
        ("GET", "/jobs/{id}/graph", graphs.graph),
        ("GET", "/jobs/{id}/report", api.job_report),
        ("POST", "/inspect", graphs.inspect),
        ("POST", "/variations", graphs.variations),
        ("POST", "/explain", api.explain),
        ("GET", "/work", api.work),
        ("GET", "/settings", api.settings),
        ("PATCH", "/settings", api.change_settings),
        ("GET", "/runs_here", api.runs_here),
        ("GET", "/addresses", api.addresses),
        ("GET", "/report", api.report),
    )
    for method, path, answer in table:
        routes.route(method, PREFIX + path)(guard.protect(answering(_once_ready(runtime, answer))))
    raw = (
        ("/jobs/{id}/outputs/{n}", api.output),
        ("/jobs/{id}/preview", api.preview),
        ("/events", api.events),
        ("/where", api.where),
        ("/monitor", MonitorPage(web_name)),
    )
    for path, handler in raw:
        routes.route("GET", PREFIX + path)(guard.protect(handler))
    routes.route("GET", f"{PREFIX}/openapi.json")(guard.protect(answering(api.openapi)))
    session = guard.protect(answering(api.session), needs_page=True)
    routes.route("GET", f"{PREFIX}/session")(session)
    for path in ("", "/"):
        routes.route("GET", PREFIX + path)(guard.protect(index))
    _refuse_other_methods(routes, guard)


def _refuse_other_methods(routes: web.RouteTableDef, guard: Guard) -> None:
    """With a word: the host would answer an empty 404, as for a path that does not exist."""
    known: dict[str, list[str]] = {}
    for route in routes:
        if isinstance(route, web.RouteDef) and route.path.startswith(PREFIX):
            known.setdefault(route.path, []).append(route.method)
    for path, methods in known.items():
        routes.route("*", path)(guard.protect(_refusing(", ".join(methods)), needs_token=False))


def _refusing(allowed: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        message = f"This path takes {allowed}, not {request.method[:16]}."
        answer = _json(405, {"error": WRONG_METHOD, "message": message})
        answer.headers["Allow"] = allowed
        return answer

    return refuse


class _Api:
    def __init__(
        self,
        runtime: Runtime,
        guard: Guard,
        own_models: OwnModels,
        where: WhereTable,
        parted: PartedRequest,
    ) -> None:
        self._parted = parted
        self._runtime = runtime
        self._guard = guard
        self._own_models = own_models
        self._where = where

    async def session(self, request: web.Request) -> tuple[int, Any]:
        return 200, SessionView(token=self._guard.token)

    async def peers(self, request: web.Request) -> tuple[int, Any]:
        return 200, peers_view(self._runtime)

    async def add_peer(self, request: web.Request) -> tuple[int, Any]:
        config = await self._runtime.peers.add(**read(NewPeer, await read_object(request)).given())
        return 201, self._peer(config.id)

    async def update_peer(self, request: web.Request) -> tuple[int, Any]:
        changes = read(PeerChanges, await read_object(request)).given()
        config = await self._runtime.peers.update(_id(request), changes)
        return 200, self._peer(config.id)

    async def remove_peer(self, request: web.Request) -> tuple[int, Any]:
        read(Nothing, await read_object(request))
        await self._runtime.peers.remove(_id(request))
        return 200, RemovedView(id=_id(request))

    async def check_peer(self, request: web.Request) -> tuple[int, Any]:
        read(Nothing, await read_object(request))
        await self._runtime.peers.check(_id(request))
        return 200, self._peer(_id(request))

    async def test_peer(self, request: web.Request) -> tuple[int, Any]:
        read(Nothing, await read_object(request))
        return 200, await test_peer(self._runtime, _id(request), self._own_models)

    async def interrupt_peer(self, request: web.Request) -> tuple[int, Any]:
        asked = read(Interruption, await read_object(request))
        return 200, await interrupt_peer(
            self._runtime, _id(request), foreign=asked.foreign, prompt_id=asked.prompt_id
        )

    async def free_peer(self, request: web.Request) -> tuple[int, Any]:
        read(Nothing, await read_object(request))
        await free_peer(self._runtime, _id(request))
        return 200, self._peer(_id(request))

    async def jobs(self, request: web.Request) -> tuple[int, Any]:
        query, name = read(JobsQuery, request.rel_url.query), self._runtime.peers.name
        is_wanted = query.wanted(name)
        jobs, line = self._runtime.jobs.all(), self._runtime.queue.jobs()

        def listing() -> bytes:
            view = jobs_view(
                *(tuple(filter(is_wanted, jobs)), tuple(filter(is_wanted, line)), name),
                skip=query.skip,
                limit=query.limit,
                only_line=query.only == "line",
            )
            # One by one: all of them may be more than is made fit at once.
            return json.dumps({**view, "jobs": [sanitise(job) for job in view["jobs"]]}).encode()

        return 200, await asyncio.to_thread(listing)  # thousands are megabytes

    async def submit(self, request: web.Request) -> tuple[int, Any]:
        body = await read_object(request)
        request_id = request_id_of(body, request.headers.get("Idempotency-Key", ""))
        asked = await asyncio.to_thread(read, JobRequests, body)
        requests = await asyncio.to_thread(asked.requests, request_id)
        if asked.dry_run:
            return 200, dry_run_view(requests, await self._runtime.jobs.first_look(requests))
        async with self._runtime.once(request_id) as earlier:
            if earlier:
                refuse_another(earlier, requests)
            else:
                await self._runtime.jobs.first_look(requests)
            return 202, _accepted(earlier or await self._runtime.jobs.submit_all(requests))

    async def retry(self, request: web.Request) -> tuple[int, Any]:
        asked = read(Retry, await read_object(request))
        job = await self._runtime.jobs.retry(
            _id(request), peer=asked.peer, priority=asked.priority, client_id=asked.client_id
        )
        return 202, _accepted((job,))

    async def output(self, request: web.Request) -> web.StreamResponse:
        """The file itself. It is never shown as one of our pages, whatever a peer put into it."""
        try:
            await self._runtime.ready()
            job = await self._runtime.jobs.get(_id(request))
        except OrchestratorError as exc:
            return _json(*error_answer(exc))
        number = request.match_info["n"]
        known = {str(place): each for place, each in enumerate(job.outputs)}
        output = known.get(number)  # a number may have more digits than Python reads
        if output is None or not await asyncio.to_thread(Path(output.path).is_file):
            there = f"it has {len(job.outputs)}" if output is None else "the file is gone"
            message = f"There is no output {number[:20]} of job {job.id}: {there}."
            return _json(404, {"error": NOT_FOUND, "message": message})
        name = urllib.parse.quote(output.filename, errors="replace")
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return web.FileResponse(output.path, headers=headers)

    async def preview(self, request: web.Request) -> web.Response:
        frame = self._runtime.jobs.preview(_id(request))
        if frame is None:
            return _json(404, {"error": NOT_FOUND, "message": "There is no preview: it ended, or none came."})
        kind = frame.image_type if frame.image_type in PICTURE_TYPES else "image/jpeg"
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return web.Response(body=frame.data, content_type=kind, headers=headers)

    async def events(self, request: web.Request) -> web.StreamResponse:
        try:
            await self._runtime.ready()
        except OrchestratorError as exc:
            return _json(*error_answer(exc))
        return await stream_events(request, self._runtime)

    async def where(self, request: web.Request) -> web.StreamResponse:
        """Megabytes on a large fleet: encoded once, off the loop."""
        try:
            await self._runtime.ready()
            body = await self._where()
        except OrchestratorError as exc:
            return _json(*error_answer(exc))
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def openapi(self, request: web.Request) -> tuple[int, Any]:
        return 200, OPENAPI

    async def job(self, request: web.Request) -> tuple[int, Any]:
        return 200, job_view(await self._runtime.jobs.get(_id(request)), self._runtime.peers.name)

    async def cancel(self, request: web.Request) -> tuple[int, Any]:
        read(Nothing, await read_object(request))
        return 200, job_view(await self._runtime.jobs.cancel(_id(request)), self._runtime.peers.name)

    async def second_copy(self, request: web.Request) -> tuple[int, Any]:
        read(Nothing, await read_object(request))
        self._runtime.copies.begin(await self._runtime.jobs.get(_id(request)))
        return 200, job_view(await self._runtime.jobs.get(_id(request)), self._runtime.peers.name)

    async def move(self, request: web.Request) -> tuple[int, Any]:
        before, peer = read(Move, await read_object(request)).asked()
        if before is not None:
            self._runtime.queue.check_move((_id(request),), before)  # what is refused changes nothing
        if peer is not None:
            await self._runtime.queue.pin(_id(request), peer)
        if before is not None:
            await self._runtime.queue.move((_id(request),), before)
        return 200, job_view(await self._runtime.jobs.get(_id(request)), self._runtime.peers.name)

    async def settings(self, request: web.Request) -> tuple[int, Any]:
        return 200, vars(self._runtime.settings)

    async def change_settings(self, request: web.Request) -> tuple[int, Any]:
        return 200, vars(await self._runtime.change_settings(await read_object(request)))

    async def runs_here(self, request: web.Request) -> tuple[int, Any]:
        return 200, KnownClassesView(known=sorted(known_classes()))

    async def addresses(self, request: web.Request) -> tuple[int, Any]:
        return 200, addresses_view(self._runtime.settings.accepted_hosts, self._guard.refused.listed())

    async def report(self, request: web.Request) -> tuple[int, Any]:
        return 200, await report(self._runtime, self._guard.token)

    async def job_report(self, request: web.Request) -> tuple[int, Any]:
        job = await self._runtime.jobs.get(_id(request))
        return 200, await job_report(self._runtime, self._guard.token, job)

    async def work(self, request: web.Request) -> tuple[int, Any]:
        return 200, await work(self._runtime, read(WorkQuery, request.rel_url.query))

    async def explain(self, request: web.Request) -> tuple[int, Any]:
        body = await read_object(request)
        # Large ones are looked through, as in ``submit``.
        wanted = await asyncio.to_thread(lambda: read(Explained, body).request())
        asked, here = self._parted(wanted)
        # Where a value of this computer is handed on as it is, no peer gets anything.
        outlook = await self._runtime.jobs.explain(asked) if asked.prompt or asked.workflow else Outlook()
        return 200, outlook_view(outlook, here)

    def _peer(self, backend_id: str) -> PeerView:
        for view in peer_views(self._runtime):
            if view["id"] == backend_id:
                return view
        raise NotFoundError("The peer was removed in the meantime.")


def _once_ready(runtime: Runtime, answer: Answer) -> Answer:
    async def when_ready(request: web.Request) -> tuple[int, Any]:
        try:
            await runtime.ready()
        except OrchestratorError as exc:
            return 503, {"error": NOT_RUNNING, "message": str(exc)}
        return await answer(request)

    return when_ready


def answering(answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that sends what `answer` gives as JSON, and errors too: the one place that knows how."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            status, body = await answer(request)
        except OrchestratorError as exc:
            status, body = error_answer(exc)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("%s %s failed unexpectedly", request.method, request.path)
            status, body = 500, INTERNAL
        return _json(status, body)

    return handler


def _json(status: int, body: Any) -> web.Response:
    """`body`: JSON that is made already, or what it is made of."""
    if isinstance(body, bytes):
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)
    return web.json_response(sanitise(body), status=status, headers={"Cache-Control": "no-store"})


def _accepted(jobs: Sequence[Job]) -> AcceptedView:
    return {"job_id": jobs[0].id, "state": JobState.WAITING.value, "job_ids": [job.id for job in jobs]}


def _id(request: web.Request) -> str:
    return request.match_info["id"]
