"""The jobs of one engine, for node, routes and page: sent, asked about, watched, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ..backends.events import PreviewFrame
from ..backends.manager import BackendManager
from ..background import BackgroundTasks
from ..core.engine.placement.explain import Outlook
from ..core.models.job import Job, JobRequest, JobState, Prompt, Source
from ..core.prompts.repeat import repeated
from ..core.prompts.titles import described
from ..core.prompts.validation import Validation
from ..errors import ConfigError, NotFoundError
from .dispatcher import Dispatcher
from .preflight import Preflight
from .queue.first_look import FirstLook, telling
from .queue.registry import Hearer, Listener


class KeptJobs(Protocol):
    """The journal (journal/store.py)."""

    async def has_job(self, job_id: str) -> bool: ...
    async def load_job(self, job_id: str) -> Job | None: ...


class Jobs:
    """`ready` waits until the engine has started. Belongs to one event loop."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        preflight: Preflight,
        manager: BackendManager,
        journal: KeptJobs,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._dispatcher = dispatcher
        self._preflight = preflight
        self._manager = manager
        self._journal = journal
        self._ready = ready
        self._cancelling = BackgroundTasks()

    async def aclose(self) -> None:
        await self._cancelling.aclose()

    async def submit(
        self,
        request: JobRequest,
        listener: Listener | None = None,
        *,
        job_id: str = "",
        front: bool = False,
    ) -> Job:
        await self._ready()
        return await self._dispatcher.submit(_titled(request), listener, job_id=job_id, front=front)

    async def submit_all(self, requests: Sequence[JobRequest]) -> tuple[Job, ...]:
        """All of them, or none: who sends them again under the same id finds them, or they are made.

        Raises:
            OrchestratorError: they could not be accepted.
        """
        await self._ready()
        return await self._dispatcher.submit_all([_titled(request) for request in requests])

    async def retry(
        self,
        job_id: str,
        *,
        peer: str | None = None,
        priority: float | None = None,
        client_id: str | None = None,
    ) -> Job:
        """A new job that does what an ended one was to do; see ``repeated``.

        Raises:
            NotFoundError: there never was such a job. ConfigError: there is no such peer.
            IllegalTransitionError: it has not ended, or its graph is no longer kept.
        """
        if peer and self._manager.find(peer) is None:
            raise ConfigError(f"There is no peer {peer}.")
        request = repeated(await self.get(job_id), peer=peer, priority=priority, client_id=client_id)
        return await self.submit(request)

    async def wait(self, job_id: str) -> Job:
        """The finished job; raises what ended it otherwise (see Dispatcher.wait)."""
        return await self._dispatcher.wait(job_id)

    async def cancel(self, job_id: str) -> Job:
        """End a job.

        Raises:
            NotFoundError: there never was such a job.
        """
        job = await self.get(job_id)
        return await self._dispatcher.cancel(job_id) if job_id in self._dispatcher.registry else job

    def cancel_soon(self, job_id: str) -> None:
        """End a job that nobody wants any more, without waiting for it."""
        self._cancelling.start(self._dispatcher.cancel(job_id), f"cancel {job_id}")

    def attach(self, job_id: str, listener: Listener) -> None:
        """Let `listener` hear of a job that was submitted without one, from its present state on."""
        live = self._dispatcher.registry.get(job_id)
        live.listener = listener
        listener(live.job)

    def find(self, job_id: str) -> Job | None:
        """The job, if this process has it at hand."""
        live = self._dispatcher.registry.find(job_id)
        return live.job if live else None

    async def has(self, job_id: str) -> bool:
        """Whether there is, or was, a job with this id."""
        return self.find(job_id) is not None or await self._journal.has_job(job_id)

    def preview(self, job_id: str) -> PreviewFrame | None:
        """The newest preview of a job that runs."""
        live = self._dispatcher.registry.find(job_id)
        return live.preview if live else None

    def all(self) -> tuple[Job, ...]:
        return tuple(live.job for live in reversed(tuple(self._dispatcher.registry)))

    def running(self) -> tuple[Job, ...]:
        """Those that were handed to a peer."""
        known = (live.job for live in self._dispatcher.registry)
        return tuple(job for job in known if job.state is JobState.RUNNING)

    async def get(self, job_id: str) -> Job:
        live = self._dispatcher.registry.find(job_id)
        job = live.job if live else await self._journal.load_job(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return job

    async def check_prompt(
        self, prompt: Prompt, targets: Sequence[str] | None, *, peer: str = "", tags: Sequence[str] = ()
    ) -> Validation:
        """See Preflight.check."""
        await self._ready()
        return await self._preflight.check(prompt, targets, peer=peer, tags=tags)

    async def first_look(self, requests: Sequence[JobRequest]) -> FirstLook:
        """What would become of the first of these, which come from one question, were they sent now.

        Raises:
            OrchestratorError: one of them would be refused at once.
        """
        await self._ready()
        first: FirstLook | None = None
        for request in telling(requests):
            found = await self._dispatcher.first_look(request)
            if found.error is not None:
                raise found.error
            first = first or found
            await asyncio.sleep(0)  # others have their turn between two of them
        return first or FirstLook()

    async def explain(self, request: JobRequest) -> Outlook:
        """What would become of it now."""
        await self._ready()
        return await self._dispatcher.outlook(request)

    def on_change(self, callback: Callable[[Job], None]) -> Callable[[], None]:
        """Hear of every job that changed; returns its undo."""
        return self._dispatcher.registry.subscribe(callback)

    def on_message(self, callback: Hearer) -> Callable[[], None]:
        """Hear every event and preview of a job from its peer; returns its undo."""
        return self._dispatcher.registry.overhear(callback)


def _titled(request: JobRequest) -> JobRequest:
    if request.title or request.source is Source.NODE:
        return request
    return replace(request, title=described(request.prompt, request.changes))
