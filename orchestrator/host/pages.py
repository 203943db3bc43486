"""Which websockets belong to pages, and how our own events reach those alone."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from aiohttp import web

BROWSER = "Mozilla/"  #: how the User-Agent of every browser begins, and of no library of other people


class Pages:
    """A client that is no page hears what a plain ComfyUI would tell it and nothing of ours: it may know no
    other types of messages. `server` is the PromptServer; `is_foreign` as in FleetMode."""

    def __init__(self, server: Any, is_foreign: Callable[[web.Request], bool]) -> None:
        self._server = server
        self._is_foreign = is_foreign
        self._known = weakref.WeakSet[web.StreamResponse]()

    def install(self, app: web.Application) -> None:
        """Before the host's app runs: it takes no more signals then."""
        app.on_response_prepare.append(self._look_at)

    async def _look_at(self, request: web.Request, answer: web.StreamResponse) -> None:
        is_socket = isinstance(answer, web.WebSocketResponse)
        if is_socket and _is_browser(request) and not self._is_foreign(request):
            self._known.add(answer)

    def are_open(self) -> bool:
        return any(socket in self._known for socket in self._server.sockets.values())

    def send(self, event: str, data: Any, to: str = "") -> None:
        """To every page, or to the one with the client id `to`. `data` is plain JSON (see ``sanitise``)."""
        for client_id, socket in tuple(self._server.sockets.items()):
            if socket in self._known and to in ("", client_id):
                self._server.send_sync(event, data, client_id)


def _is_browser(request: web.Request) -> bool:
    return request.headers.get("User-Agent", "").startswith(BROWSER)
