"""The clients of the host's event stream: who they are, and the one way to each of them.

The host waits for each client in turn, so one that does not read would hold up all the others. What it sends
goes through our sender too, one for each socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from aiohttp import web

from ..doors import strangers
from .outbox import ASLEEP_AFTER_S, Outbox, Outgoing

log = logging.getLogger(__name__)

BROWSER = "Mozilla/"  #: how the User-Agent of every browser begins, and of no library of other people
_EVENTS = re.compile(r"^(/api)*/ws/?$")
#: Of what the host itself tells, what the next one of its kind makes old.
_SUPERSEDED = frozenset({"status", "progress", "progress_state"})


class Client:
    """One socket. ``is_page``: a browser shows ComfyUI's page there, and knows our own events. ``hears``:
    whether it may hear of the fleet."""

    def __init__(self, outbox: Outbox, *, is_page: bool = False, hears: bool = True) -> None:
        self.outbox = outbox
        self.is_page = is_page and hears
        self.hears = hears


class Sockets:
    """`server` is the PromptServer; `count_ours` tells how many prompts of the fleet are in its queue."""

    def __init__(
        self,
        server: Any,
        count_ours: Callable[[], int] = lambda: 0,
        asleep_after_s: float = ASLEEP_AFTER_S,
    ) -> None:
        self._server = server
        self._asleep_after_s = asleep_after_s
        self._count_ours = count_ours
        self._known = weakref.WeakKeyDictionary[Any, Client]()

    def install(self, app: web.Application) -> None:
        """Before the host's app runs: it takes no more signals then."""
        app.on_response_prepare.append(self._adopt)

    def hears(self, client_id: str) -> bool:
        """Whether it is connected and may hear of the fleet."""
        return self._listener(client_id) is not None

    def send(self, client_id: str, message: Outgoing) -> None:
        """To one client; nothing where it does not hear."""
        if (client := self._listener(client_id)) is not None:
            client.outbox.add(message)

    def _listener(self, client_id: str) -> Client | None:
        client = self.of(client_id)
        return client if client is not None and client.hears else None

    def broadcast(self, message: Outgoing) -> None:
        """To every client, as the host does for a prompt that nobody in particular queued."""
        for client_id in tuple(self._server.sockets):
            self.send(client_id, message)

    def pages(self) -> Iterator[tuple[str, Client]]:
        """Those that know our own events, by client id."""
        for client_id in tuple(self._server.sockets):
            client = self.of(client_id)
            if client is not None and client.is_page:
                yield client_id, client

    def of(self, client_id: str) -> Client | None:
        socket = self._server.sockets.get(client_id)
        if socket is None:
            return None
        client = self._known.get(socket)
        if client is None:  # another pack has put it there
            client = self._known[socket] = Client(self._outbox(socket, lambda: _close(socket)))
        return client

    async def _adopt(self, request: web.Request, answer: web.StreamResponse) -> None:
        if not isinstance(answer, web.WebSocketResponse) or not _EVENTS.match(request.path):
            return
        is_page = request.headers.get("User-Agent", "").startswith(BROWSER)
        transport = request.transport
        outbox = self._outbox(answer, transport.abort if transport is not None else lambda: None)
        client = Client(outbox, is_page=is_page, hears=not strangers.is_asking())
        self._known[answer] = client
        self._stand_before(answer, client)

    def _outbox(self, socket: Any, cut: Callable[[], object]) -> Outbox:
        return Outbox(socket.send_str, socket.send_bytes, cut, self._asleep_after_s)

    def _stand_before(self, socket: web.WebSocketResponse, client: Client) -> None:
        """Let the host's own messages wait in their order, and the host for nobody."""

        async def send_json(data: Any, compress: int | None = None, *, dumps: Any = json.dumps) -> None:
            kind = data.get("type") if isinstance(data, dict) else None
            if kind == "status" and not client.hears:
                data = _without(data, self._count_ours())
            add(dumps(data), ("host", kind) if kind in _SUPERSEDED else None)

        async def send_text(data: str, compress: int | None = None) -> None:
            add(data, None)

        async def send_bytes(data: Any, compress: int | None = None) -> None:
            add(bytes(data), None)

        def add(made: str | bytes, replaces: Hashable | None) -> None:
            client.outbox.add(Outgoing(lambda: made, replaces, size=len(made)))

        for name, method in (("send_json", send_json), ("send_str", send_text), ("send_bytes", send_bytes)):
            setattr(socket, name, method)


def _without(data: dict[str, Any], ours: int) -> dict[str, Any]:
    """The host's word of how long its queue is, for who does not see the fleet."""
    try:
        info = data["data"]["status"]["exec_info"]
        length = max(0, int(info["queue_remaining"]) - ours)
        status = {**data["data"]["status"], "exec_info": {**info, "queue_remaining": length}}
        return {**data, "data": {**data["data"], "status": status}}
    except (KeyError, TypeError, ValueError):
        return data


def _close(socket: Any) -> None:
    closing = asyncio.create_task(socket.close(drain=False), name="remote-dispatch close a socket")
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())
