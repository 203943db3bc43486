"""The engine of this process, for our nodes to find: ComfyUI makes those by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from ..runtime import Runtime
from .comfy import module_of
from .host_queue import CurrentQueue
from .node.fan import Fans
from .node.kept_results import KeptResults
from .node.prefetch import Prefetch
from .page.pack_events import PackEvents


class Host:
    """One running ComfyUI with our engine in it: its server, that server's loop, what was started ahead."""

    def __init__(self, server: Any, runtime: Runtime) -> None:
        self.server = server
        self.runtime = runtime
        self.prefetch = Prefetch(CurrentQueue(server), runtime)
        self.fans = Fans(runtime.jobs.cancel_soon)
        self.kept = KeptResults()
        self.packs = PackEvents(runtime, module_of)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The server's loop. Nodes run on another one, in the prompt worker's thread."""
        loop: asyncio.AbstractEventLoop = self.server.loop
        return loop


_current: list[Host] = []


def set_current(host: Host) -> None:
    _current[:] = [host]


def current() -> Host | None:
    """The engine of this process; None before ComfyUI loaded the plugin."""
    return _current[0] if _current else None
