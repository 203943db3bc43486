"""What only the peers have, in the host's answers to GET /object_info: the page then offers it like its own.

The engine itself never reads these answers. A master that is a peer of another one answers that one with its
own nodes alone (the question carries a header), else each would take the other's answer for its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ...backends.client import OWN_NODES_HEADER
from ...core.workflow.merged_info import Availability, Merged, Where, merge_info
from ...core.workflow.object_info import ObjectInfo
from ...runtime import Runtime
from ..doors import strangers
from .page_events import PageEvent

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Lists = tuple[tuple[str, ObjectInfo], ...]  #: peers' names and what each has
WhereTable = Callable[[], Awaitable[bytes]]
TOLD_AFTER_S = 0.5  #: a peer that comes up changes several things at once
#: Pages that were told read the list: that is nobody's wish, and a peer whose list is never the same twice
#: would have them read it for ever.
READS_AFTER_NEWS_S = 5.0
_ROUTE = re.compile(r"^(?:/api)*/object_info(/[^/]+)?$")


@dataclass(frozen=True)
class _Kept:
    """The last whole answer, so that nothing is computed twice."""

    own: bytes
    lists: Lists
    body: bytes
    where: bytes


class MergedNodes:
    """`send(event, data)` tells all pages."""

    def __init__(self, runtime: Runtime, send: Callable[[str, Any], None]) -> None:
        self._runtime = runtime
        self._send = send
        self._kept: _Kept | None = None
        self._told: Lists = ()
        self._told_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._definitions: tuple[bytes, Lists, ObjectInfo] | None = None

    def install(self, app: web.Application) -> None:
        """Before the host's app runs: it takes middlewares until then."""
        app.middlewares.append(self._middleware())

    def start(self) -> None:
        """Once the engine runs: pages are told when what the peers have changes."""
        self._runtime.manager.subscribe(lambda _: self._soon())
        self._runtime.on_settings(lambda _: self._soon())

    async def where(self) -> bytes:
        """The body of GET /orchestrator/where."""
        if self._kept is None or not self._runtime.settings.peer_nodes:
            return await nothing_known()
        return (await self._merged(self._kept.own)).where

    async def definitions(self) -> ObjectInfo:
        """The nodes of all machines. Until a page has asked for the host's own, those of the peers alone."""
        lists = self._all_lists()
        own = self._kept.own if self._kept else b"{}"
        known = self._definitions
        if known is None or known[:2] != (own, lists):
            info = await asyncio.to_thread(_merged_info, own, lists)
            known = self._definitions = (own, lists, info)
        return known[2]

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOLD_AFTER_S, self._tell)

    def _tell(self) -> None:
        self._timer = None
        lists = self._lists()
        if lists != self._told:
            self._told = lists
            self._told_at = asyncio.get_running_loop().time()
            self._send(PageEvent.NODE_LISTS, {"peers": len(lists)})

    def _somebody_looks(self) -> None:
        """A page is loaded or refreshed: it is answered with what is known, and told when there is more."""
        if asyncio.get_running_loop().time() - self._told_at >= READS_AFTER_NEWS_S:
            self._runtime.peers.read_again()

    def _lists(self) -> Lists:
        return self._all_lists() if self._runtime.settings.peer_nodes else ()

    def _all_lists(self) -> Lists:
        manager = self._runtime.manager
        found = (
            (config.name, manager.last_object_info(config.id)) for config in manager.all() if config.enabled
        )
        return tuple((name, info) for name, info in found if info is not None)

    def _middleware(self) -> Any:
        @web.middleware
        async def merged_nodes(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = await handler(request)
            route = _ROUTE.match(request.path) if request.method == "GET" else None
            wants_own = OWN_NODES_HEADER in request.headers or strangers.is_asking()
            if route is None or wants_own or answer.status != 200:
                return answer
            try:
                body = answer.body if isinstance(answer, web.Response) else None
                if isinstance(body, bytes) and self._runtime.settings.peer_nodes:
                    name = request.match_info.get("node_class")
                    merged = await (self._class(body, name) if name else self._whole(body))
                    answer.body = merged  # type: ignore[attr-defined]
                    self._somebody_looks()
            except Exception:
                log.exception("What the peers have could not be added to the list of nodes")
            return answer

        return merged_nodes

    async def _whole(self, own: bytes) -> bytes:
        return (await self._merged(own)).body

    async def _merged(self, own: bytes) -> _Kept:
        async with self._turn:
            lists = self._lists()
            kept = self._kept
            if kept is None or kept.lists != lists or kept.own != own:
                kept = self._kept = await asyncio.to_thread(_keep, own, lists)
            return kept

    async def _class(self, own: bytes, name: str) -> bytes:
        lists = tuple(
            (peer, ObjectInfo({name: info.raw(name)})) for peer, info in self._lists() if name in info
        )
        return (await asyncio.to_thread(_keep, own, lists)).body if lists else own


def _merged_info(own: bytes, lists: Lists) -> ObjectInfo:
    return ObjectInfo(merge_info(json.loads(own), dict(lists)).info)


def _keep(own: bytes, lists: Lists) -> _Kept:
    merged: Merged = merge_info(json.loads(own), dict(lists))
    body = json.dumps(merged.info).encode() if lists else own
    return _Kept(own, lists, body, json.dumps({"known": True, **where_view(merged.where)}).encode())


async def nothing_known() -> bytes:
    """The table before any page has asked for the host's nodes, and while the setting is off."""
    return json.dumps({"known": False, **where_view(Where())}).encode()


def where_view(where: Where) -> dict[str, Any]:
    """``classes`` and ``values`` hold numbers of ``places``: thousands of values share a few."""
    places: dict[Availability, int] = {}

    def number(place: Availability) -> int:
        return places.setdefault(place, len(places))

    classes = {name: number(place) for name, place in where.classes.items()}
    values = {
        name: {
            key: {value: number(place) for value, place in of_input.items()}
            for key, of_input in inputs.items()
        }
        for name, inputs in where.values.items()
    }
    shown = [{"here": place.here, "peers": list(place.peers)} for place in places]
    return {"places": shown, "classes": classes, "values": values}
