"""Our own events, for open pages alone. One that reads slowly is told the newest state, not each step to it.

A client that is no page hears what a plain ComfyUI would tell it and none of our events: it may know no other
types of messages.
"""

from __future__ import annotations

import weakref
from typing import Any

from .outbox import Outgoing, event_text
from .page_events import is_too_much, merged, merged_as
from .sockets import Client, Sockets


class Pages:
    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._feeds = weakref.WeakKeyDictionary[Client, _Feed]()

    def are_open(self) -> bool:
        return any(True for _ in self._sockets.pages())

    def send(self, event: str, data: Any, to: str = "") -> None:
        """To every page, or to the one with the client id `to`. `data` is plain JSON (see ``sanitise``), and
        stays as it is."""
        for client_id, client in self._sockets.pages():
            if to in ("", client_id):
                feed = self._feeds.get(client)
                if feed is None:
                    feed = self._feeds[client] = _Feed(client)
                feed.tell(event, data)


class _Feed:
    """What one page is still to be told, merged: at most one message of each kind waits."""

    def __init__(self, client: Client) -> None:
        self._outbox = client.outbox
        self._waiting: dict[str, tuple[str, Any]] = {}

    def tell(self, event: str, data: Any) -> None:
        key = merged_as(event, data)
        waiting = self._waiting.get(key)
        self._waiting[key] = (event, data if waiting is None else merged(event, waiting[1], data))
        if is_too_much(event, self._waiting[key][1], len(self._waiting)):
            self._waiting.clear()
            self._outbox.cut_off()
        elif waiting is None:
            self._outbox.add(Outgoing(lambda: self._taken(key)))

    def _taken(self, key: str) -> str | None:
        told = self._waiting.pop(key, None)
        return None if told is None else event_text(*told)
