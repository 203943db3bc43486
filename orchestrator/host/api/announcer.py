"""Tells every open page what changed: at most a few messages a second, however much happens."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from ...core.models.job import Job
from ...errors import NotFoundError
from ...runtime import Runtime
from ..page.page_events import PageEvent
from ..sanitise import sanitise
from .answers import PeersView, PeerView
from .peer_actions import running_view
from .views import job_view, peer_view

EVERY_S = 0.25
JOBS_AT_ONCE = 100


class Announcer:
    """`send(event, data)` tells all pages; what it gets is always plain JSON.

    `has_pages` tells whether anybody would hear it.
    """

    def __init__(
        self,
        runtime: Runtime,
        send: Callable[[str, Any], None],
        has_pages: Callable[[], bool] = lambda: True,
    ) -> None:
        self._has_pages = has_pages
        self._runtime = runtime
        self._send = send
        self._jobs: dict[str, Job] = {}
        self._running: set[str] = set()
        self._peers_changed = False
        self._timer: asyncio.TimerHandle | None = None
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        self._undo = [
            self._runtime.jobs.on_change(self._on_job),
            self._runtime.manager.subscribe(self._on_peer),
            self._runtime.notices.subscribe(lambda: self._on_peer("")),
            self._runtime.on_settings(lambda p: self._send(PageEvent.SETTINGS, dict(vars(p)))),
        ]
        self._on_peer("")

    def stop(self) -> None:
        for undo in self._undo:
            undo()
        self._undo = []
        if self._timer:
            self._timer.cancel()

    def _on_job(self, job: Job) -> None:
        self._jobs[job.id] = job
        runs = job.begun_at is not None and not job.state.is_final
        if job.state.is_final or len(job.attempts) == 0 or runs != (job.id in self._running):
            self._peers_changed = True  # what runs there, and how many are ours, changed too
        (self._running.add if runs else self._running.discard)(job.id)
        self._soon()

    def _on_peer(self, backend_id: str) -> None:
        self._peers_changed = True
        self._soon()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tell)

    def _tell(self) -> None:
        self._timer = None
        if not self._has_pages():  # one that opens asks for everything
            self._jobs.clear()
            return
        if self._jobs:
            ids = tuple(itertools.islice(self._jobs, JOBS_AT_ONCE))
            jobs = [job_view(self._jobs.pop(job_id), self._runtime.peers.name) for job_id in ids]
            self._send(PageEvent.JOBS, sanitise({"jobs": jobs}))
            if self._jobs:
                self._soon()
        if self._peers_changed:
            self._peers_changed = False
            self._send(PageEvent.PEERS, sanitise(peers_view(self._runtime)))


def peers_view(runtime: Runtime) -> PeersView:
    """All peers, and what the user should read beside them."""
    return {
        "peers": peer_views(runtime),
        "notices": list(runtime.notices),
        "rest_s": runtime.queue.rest_s,
    }


def peer_views(runtime: Runtime) -> list[PeerView]:
    """All peers as the page and the HTTP API show them."""
    views = []
    ours: dict[str, list[Job]] = {}
    for job in runtime.jobs.running():
        ours.setdefault(job.backend_id, []).append(job)
    for config in runtime.manager.all():
        info = runtime.manager.get_object_info(config.id)
        try:
            status = runtime.manager.get_status(config.id)
        except NotFoundError:
            continue
        running = running_view(runtime, config.id, ours.get(config.id, ()))
        views.append(
            peer_view(
                config,
                status,
                ours=runtime.ours_on(config.id),
                node_types=len(info) if info else None,
                running=running,
            )
        )
    return views
