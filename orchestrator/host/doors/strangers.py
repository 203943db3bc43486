"""At the host's own doors: a page that is not ours gets ComfyUI as it is without the fleet.

The host serves every page that reaches it. So a page of another site, under a name of its own that leads here
(DNS rebinding), could send jobs to the peers, end them, or listen to them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from aiohttp import web

from ..host_queue import CurrentQueue
from .guard import Refusal
from .hops import has_dispatch_node
from .prompt_body import object_of, options_of

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PREFIX = re.compile(r"^(/api)+(?=/)")
_DOORS = re.compile(r"^(/api)*/(ws|prompt|interrupt|queue|history|jobs|object_info)(/|$)")
_asking: ContextVar[str] = ContextVar("remote_dispatch_stranger", default="")


def is_asking() -> bool:
    """Whether the request that is being answered comes from a page that is not ours."""
    return bool(_asking.get())


def is_reading() -> bool:
    """Whether what is told now is for a page that is not ours."""
    return _asking.get() == "GET"


class PageCheck(Protocol):
    async def refuse_page(self, request: web.Request) -> Refusal | None: ...


class Strangers:
    """`server` is the PromptServer. `is_fleet_job`: of a prompt id, whether a job of the fleet has it."""

    def __init__(self, server: Any, guard: PageCheck, is_fleet_job: Callable[[str], bool]) -> None:
        self._app = server.app
        self._queue = CurrentQueue(server)
        self._guard = guard
        self._is_fleet_job = is_fleet_job

    def install(self) -> None:
        """Before all others that add the fleet to what the host does, and before the host's app runs."""
        self._app.middlewares.append(self._middleware())

    def _middleware(self) -> Any:
        @web.middleware
        async def strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = await self._guard.refuse_page(request) if _DOORS.match(request.path) else None
            if refusal is None:
                return await handler(request)
            before = _asking.set(request.method)  # the connection's next request may have the same task
            try:
                if request.method == "POST" and await self._would_move_the_fleet(request):
                    log.warning("Another page's POST %s is refused: %s", request.path, refusal.message)
                    return _answer(refusal)
                return await handler(request)
            finally:
                _asking.reset(before)

        return strangers

    async def _would_move_the_fleet(self, request: web.Request) -> bool:
        """Whether the host alone, without our help, would reach the peers by this."""
        path = PREFIX.sub("", request.path)
        if path == "/prompt":
            try:
                return _is_for_the_fleet(await object_of(request))
            except (ValueError, RecursionError):
                return False  # the host says what is wrong with it
        if path == "/history":
            return False  # ours stay in there, see NativeQueue
        running, waiting = self._queue.get_current_queue_volatile()
        return any(self._is_of_the_fleet(item) for item in (*running, *waiting))

    def _is_of_the_fleet(self, item: Any) -> bool:
        """Whether the host runs it for the fleet, or peers work for it."""
        prompt = item[2]
        return self._is_fleet_job(str(item[1])) or (isinstance(prompt, Mapping) and has_dispatch_node(prompt))


def _is_for_the_fleet(body: Mapping[str, Any]) -> bool:
    prompt, wish = body.get("prompt"), options_of(body)
    wants_peer = wish.get("run") == "fleet" or bool(wish.get("peer") or wish.get("tags"))
    return wants_peer or (isinstance(prompt, Mapping) and has_dispatch_node(prompt))


def _answer(refusal: Refusal) -> web.Response:
    """As the host refuses a prompt."""
    words = f"The fleet is off for this page, so nothing was done. {refusal.message}"
    error = {"type": refusal.error, "message": words, "details": "", "extra_info": {}}
    body = {"error": error, "node_errors": {}}
    return web.Response(status=403, text=json.dumps(body), content_type="application/json")
