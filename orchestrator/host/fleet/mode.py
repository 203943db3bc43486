"""Owns POST /prompt while fleet mode is on, and the routes that act on its jobs. All else passes untouched.

Whatever goes wrong in here, the host's own handler answers: nobody is kept from running locally.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from ...background import BackgroundTasks
from ...core.models.job import Job, JobRequest
from ...core.prompts.validation import Validation
from ...errors import ConfigError, OrchestratorError, StoreError
from ...runtime import Runtime
from .. import comfy
from ..doors import strangers
from ..doors.hops import came_from_a_master, has_dispatch_node, refuse_further_hop, sender_of
from ..doors.prompt_body import object_of, options_of
from ..host_queue import can_run_prompts
from ..node.prefetch import Prefetch
from ..page.pack_events import PackEvents
from ..page.sockets import Sockets
from ..sanitise import sanitise
from .begun import begun_ids
from .mirror import FleetMirror
from .native_queue import NativeQueue
from .prompt_handlers import PromptHandlers
from .prompt_request import job_request
from .runs_here import RunsHere
from .this_machine import LOOK_EVERY_S, ThisMachine

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Owner = Callable[[web.Request, Handler], Awaitable[web.StreamResponse | None]]
_CANCEL_ONE = re.compile(r"^/jobs/([^/]+)/cancel$")
#: A node that waits for a job in its own queue would wait for ever. The answer is read by our own client.
LEADS_BACK = "This address leads back to the master that sent the job. Remove this peer."
READY_S = 10.0  #: how long a prompt waits for an engine that is just starting
_GREETING_TRIES = 40
_GREETING_PAUSE_S = 0.05


class FleetMode:
    """`server` is the PromptServer. Everything happens on its loop. What a page wants that is not ours, the
    host does or refuses; see ``Strangers``."""

    def __init__(
        self,
        server: Any,
        sockets: Sockets,
        native: NativeQueue,
        runtime: Runtime,
        prefetch: Prefetch,
        runs_here: RunsHere,
        handlers: PromptHandlers,
    ) -> None:
        self._runs_here = runs_here
        self._handlers = handlers
        self._server = server
        self._prefetch = prefetch
        self._runtime = runtime
        self._native = native
        packs = PackEvents(runtime, comfy.module_of)
        self._mirror = FleetMirror(server, sockets, runtime, self._native, packs, self._is_output)
        self._greetings = BackgroundTasks()
        self._expected: dict[str, web.Request] = {}  #: by client: the last one that asked for a socket
        self._timer: asyncio.TimerHandle | None = None

    def install(self) -> None:
        """Before the host's app runs: it takes middlewares until then."""
        self._server.app.middlewares.append(self._middleware())

    def start(self) -> None:
        """Once the engine runs."""
        self._take_queue()
        self._mirror.start()
        self._runtime.on_settings(lambda _: self._look_again())
        self._look_again()

    def _take_queue(self) -> None:
        """Show our jobs in the host's queue, and run jobs through it."""
        notice = self._native.install()
        if notice:
            log.warning("%s", notice)
            self._runtime.notices.add(notice)
        if can_run_prompts(self._native.queue):
            self._runtime.use_this_machine(
                ThisMachine(
                    self._native.queue,
                    comfy.folders(),
                    lambda: self._runtime.settings.this_machine,
                    self._native.next_number,
                )
            )

    def _look_again(self) -> None:
        """As long as this computer may help: it tells nobody when its own queue becomes empty."""
        self._runtime.look_again()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._runtime.settings.this_machine:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LOOK_EVERY_S, self._look_again)

    def _middleware(self) -> Any:
        @web.middleware
        async def fleet_mode(request: web.Request, handler: Handler) -> web.StreamResponse:
            owner = None if strangers.is_asking() else self._owner_of(request)
            answers: list[web.StreamResponse] = []
            self._handlers.forget()

            async def host(request: web.Request) -> web.StreamResponse:
                answers.append(await handler(request))
                return answers[-1]

            if owner is not None:
                try:
                    answer = await owner(request, host)
                except web.HTTPException:
                    raise
                except Exception:
                    log.exception("Fleet mode failed at %s; ComfyUI itself answers", request.path)
                    answer = answers[-1] if answers else None  # asked twice, it would do it twice
                if answer is not None:
                    return answer
            return await handler(request)

        return fleet_mode

    def _owner_of(self, request: web.Request) -> Owner | None:
        path = strangers.PREFIX.sub("", request.path)
        if request.method == "GET":
            return self._socket if path == "/ws" else None
        if request.method != "POST":
            return None
        table: Mapping[str, Owner] = {
            "/prompt": self._prompt,
            "/interrupt": self._interrupt,
            "/queue": self._queue,
            "/jobs/cancel": self._cancel_several,
        }
        return table.get(path) or (self._cancel_one if _CANCEL_ONE.match(path) else None)

    # POST /prompt

    async def _prompt(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        body = await object_of(request)
        options = options_of(body)
        try:
            await asyncio.wait_for(self._runtime.ready(), READY_S)
        except (OrchestratorError, asyncio.TimeoutError) as exc:
            if options.get("run") == "fleet":
                return _refusal("not_running", str(exc) or "Remote Dispatch is still starting.", status=503)
            return None  # the engine's start has said why
        if self._server.prompt_queue is not self._native.queue:  # another pack has put in its own since
            self._take_queue()
        prompt = body.get("prompt")
        if not isinstance(prompt, dict) or any(map(_has_no_class, prompt.values())):
            return None  # the host says what a prompt has to be like
        if body.get("partial_execution_targets") == []:
            return None  # none of its outputs is wanted: the host says so
        if came_from_a_master(request.headers):
            return self._from_a_master(request, prompt)
        if not self._is_for_fleet(prompt, options):
            return await self._local(request, handler, body) if has_dispatch_node(prompt) else None
        try:
            return await self._to_fleet(request, handler, body, options)
        except ConfigError as exc:
            return _refusal(exc.code, str(exc))
        except StoreError as exc:
            return _refusal(exc.code, str(exc), status=503)

    def _from_a_master(self, request: web.Request, prompt: Mapping[str, Any]) -> web.StreamResponse | None:
        """The prompt of another master is run here and goes no further."""
        if self._runtime.is_sender(sender_of(request.headers)):
            return web.Response(status=421, text=LEADS_BACK)
        try:
            refuse_further_hop(prompt)
        except ConfigError as exc:
            return _refusal(exc.code, str(exc))
        return None

    async def _to_fleet(
        self, request: web.Request, handler: Handler, body: dict[str, Any], options: Mapping[str, Any]
    ) -> web.StreamResponse | None:
        """
        Raises:
            ConfigError: the request asks for what cannot be. StoreError: the journal cannot take it.
        """
        body = self._handlers.apply(body)  # other packs see and change prompts here, as ever
        prompt_id = comfy.prompt_id_of(body)
        if prompt_id is None:
            return None  # the host says what an id has to be like
        if kept := self._runs_here.nodes(body):
            return await self._runs_here.run(request, handler, body, kept, options)
        request_ = job_request(body, options)
        found = await self._runtime.jobs.check_prompt(
            request_.prompt, request_.targets or None, peer=request_.peer, tags=request_.tags
        )
        if found.error is not None:
            outputs = await comfy.outputs_here(request_.prompt, request_.targets)
            if not self._runtime.settings.this_machine or request_.peer or request_.tags:
                return self._no_peer(request_, found, runs_here=bool(outputs))
            if not outputs:
                return None  # it cannot either, and says so itself
            found = Validation(outputs)
        async with self._runtime.once(request_.request_id) as earlier:
            if earlier:
                number = self._mirror.number_of(earlier[0].id)
                return _accepted(earlier[0].prompt_id, number, found.node_errors)
            return await self._accept(body, request_, prompt_id, found.outputs, found.node_errors)

    def _no_peer(self, request: JobRequest, found: Validation, *, runs_here: bool) -> web.StreamResponse:
        """As the host refuses a prompt. The page offers to run it here where that helps."""
        pinned = self._runtime.manager.find(request.peer)
        about = {"runs_here": runs_here, "peer": pinned.name if pinned else request.peer}
        error = {**(found.error or {}), "extra_info": about}
        told = {"error": error, "node_errors": found.node_errors}
        return web.json_response(sanitise(told), status=400)

    async def _accept(
        self,
        body: Mapping[str, Any],
        request: JobRequest,
        prompt_id: str,
        outputs: tuple[str, ...],
        node_errors: Mapping[str, Any],
    ) -> web.StreamResponse:
        number: float
        if isinstance(body.get("number"), (int, float)):
            number = float(body["number"])
        else:
            number = self._native.next_number()
            number = -number if body.get("front") else number
        front = bool(body.get("front")) or number < 0
        if node_errors:  # like the host: run what can be run, and say what cannot
            request = replace(request, targets=outputs)
        job_id = prompt_id
        # An id that was drawn here a moment ago is nobody's; looking it up would wait for the disk.
        is_told = body.get("prompt_id") is not None
        # The disk is asked first: nothing may come between hearing that an id is free and announcing it.
        is_taken = is_told and (
            await self._runtime.jobs.has(prompt_id) or self._mirror.is_announced(prompt_id)
        )
        if is_taken or not comfy.is_canonical_id(prompt_id):
            job_id = str(uuid.uuid4())
            request = replace(request, prompt_id=prompt_id)
        self._mirror.announce(job_id, number, outputs)
        try:
            await self._runtime.jobs.submit(request, job_id=job_id, front=front)
        except BaseException:
            self._mirror.take_back(job_id)
            raise
        return _accepted(prompt_id, number, node_errors)

    def _is_output(self, class_type: str) -> bool:
        """Whether this computer or a peer has the class as an output node."""
        lists = self._runtime.manager.node_lists()
        return comfy.is_output_class(class_type) or any(info.is_output_node(class_type) for info in lists)

    def _is_for_fleet(self, prompt: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
        run = options.get("run")
        if run in ("fleet", "local"):
            return bool(run == "fleet")
        # A dispatch node sends its part away by itself, and gives the rest its value here. Without a history
        # a client that waits for the result there would wait for ever.
        is_on = self._runtime.settings.fleet_mode and self._native.keeps_history
        return is_on and not has_dispatch_node(prompt)

    async def _local(
        self, request: web.Request, handler: Handler, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        answer = await handler(request)
        if answer.status == 400:
            return self._runs_here.explained(answer, body, self._runs_here.nodes(body))
        try:
            if answer.status == 200 and isinstance(answer, web.Response) and answer.text:
                await self._prefetch.begin(json.loads(answer.text)["prompt_id"])
        except Exception:
            log.exception("The dispatch nodes of a waiting prompt could not be started ahead")
        return answer

    # What acts on jobs

    async def _interrupt(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        body = await object_of(request)
        wanted = body.get("prompt_id")
        if wanted:  # like the host: only if it runs; one that waits goes on waiting
            begun = await begun_ids(self._runtime, self._jobs(wanted))
            ended = await asyncio.gather(*map(self._runtime.jobs.cancel, begun))
            return web.Response(status=200) if ended else None
        begun = await begun_ids(self._runtime, self._jobs())
        running = [job.prompt_id for job in self._jobs() if job.id in begun]
        await asyncio.gather(*map(self._cancel, running))
        return None  # and the local one, if there is one

    async def _queue(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        body = await object_of(request)
        deleted = body.get("delete")
        deleted = {str(i) for i in deleted} if isinstance(deleted, list) else set()
        begun = await begun_ids(self._runtime, self._jobs())
        waiting = [job.prompt_id for job in self._jobs() if job.id not in begun]
        gone = [i for i in waiting if body.get("clear") or i in deleted]
        await asyncio.gather(*map(self._cancel, gone))
        answer = await handler(request)
        self._prefetch.sweep()
        return answer

    async def _cancel_one(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        match = _CANCEL_ONE.match(strangers.PREFIX.sub("", request.path))
        if match and await self._cancel(match[1]):
            return web.json_response({"cancelled": True})
        return None

    async def _cancel_several(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        body = await object_of(request)
        ids = body.get("job_ids")
        if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
            return None
        answer = await handler(request)  # it checks the ids, and cancels its own
        if answer.status == 200 and any(await asyncio.gather(*map(self._cancel, ids))):
            return web.json_response({"cancelled": True})
        return answer

    async def _cancel(self, prompt_id: object) -> bool:
        """End a job; False when this is none that the host shows, or it has ended already."""
        wanted = [job.id for job in self._jobs(str(prompt_id))]
        await asyncio.gather(*map(self._runtime.jobs.cancel, wanted))
        return bool(wanted)

    def _jobs(self, prompt_id: object = None) -> list[Job]:
        """Those that have not ended, or of them the ones of this prompt."""
        wanted = None if prompt_id is None else str(prompt_id)
        jobs = (job for job in self._runtime.jobs.all() if job.request.is_native and not job.state.is_final)
        return [job for job in jobs if wanted is None or job.prompt_id == wanted]

    # A page that connects

    async def _socket(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        client_id = request.rel_url.query.get("clientId", "")
        if client_id:
            before = self._server.sockets.get(client_id)
            self._expected[client_id] = request
            self._greetings.start(self._greet(client_id, request, before), "greeting")
        return None

    async def _greet(self, client_id: str, request: web.Request, before: object) -> None:
        """`before`: the socket that this client had until now. One that connects again is told once."""
        for _ in range(_GREETING_TRIES):
            if self._expected.get(client_id) is not request:
                return
            if self._server.sockets.get(client_id) not in (None, before):
                self._mirror.greet(client_id)
                break
            await asyncio.sleep(_GREETING_PAUSE_S)
        del self._expected[client_id]


def _has_no_class(node: object) -> bool:
    return isinstance(node, (str, list)) or (isinstance(node, dict) and "class_type" not in node)


def _accepted(prompt_id: str, number: float, node_errors: Mapping[str, Any]) -> web.Response:
    return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": sanitise(node_errors)})


def _refusal(kind: str, message: str, *, status: int = 400) -> web.Response:
    error = {"type": kind, "message": message, "details": "", "extra_info": {}}
    return web.json_response({"error": error, "node_errors": {}}, status=status)
