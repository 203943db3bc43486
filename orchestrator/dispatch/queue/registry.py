"""All jobs this process knows, and who wants to hear of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ...backends.events import Message, PreviewFrame
from ...core.models.job import AttemptResult, Job, JobRequest
from ...errors import NotFoundError, OrchestratorError, OvertakenError
from ...signals import Signal
from .queued_job import QueuedJob

log = logging.getLogger(__name__)

REMEMBERED_JOBS = 200  #: finished ones; the journal has the older
CLOSE_AGAIN_S = 15.0
PREVIEW_MAX_BYTES = 1 << 20  #: of a picture that is kept while its job runs
JobUpdate = Job | Message
Listener = Callable[[JobUpdate], None]
Hearer = Callable[[Job, Message], None]


def ignore(update: JobUpdate) -> None:
    return None


@dataclass
class RunningCopy:
    """``result``: once this copy is the one that was delivered."""

    task: asyncio.Task[None]
    result: AttemptResult | None = None


class Delivery:
    """Lets only one copy of a job bring its results to their places. ``async with``: another copy waits at
    the entry, and gets an OvertakenError once the one before it has succeeded."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._is_done = False

    async def __aenter__(self) -> None:
        await self._turn.acquire()
        if self._is_done:
            self._turn.release()
            raise OvertakenError("Another copy of the job was done before.")

    @property
    def is_under_way(self) -> bool:
        """Whether one brings them, or has brought them."""
        return self._is_done or self._turn.locked()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_done = kind is None
        self._turn.release()


@dataclass(eq=False)
class LiveJob:
    """A job and what its story needs. ``failure`` is what ended it, if it did not end well.
    ``freed``: a peer's memory was freed for it. ``owes_retry``: its next attempt is one. ``raised_on``: peers
    where a node raised, and that may be at fault themselves. ``heard_at_s``: when the peer of its attempt
    last said something of it, on the loop's clock; ``at_node``: the node it was at then, "" while unknown.
    ``final_on``: peers that would only answer the same again.
    ``has_copy``: a second copy of this attempt was begun. ``may_recall``: it can be called back to an attempt
    that was given up; ``recalled`` is the prompt of that, while it is under way. ``last_error``: how its last
    attempt failed."""

    job: Job
    queued: QueuedJob
    listener: Listener = ignore
    task: asyncio.Task[None] | None = None
    cancel_reason: str = ""
    asked_again: bool = False
    final_on: set[str] = field(default_factory=set)
    unanswered: frozenset[str] = frozenset()
    cautions: tuple[str, ...] = ()
    freed: bool = False
    owes_retry: bool = False
    raised_on: list[str] = field(default_factory=list)
    heard_at_s: float = 0.0
    at_node: str = ""
    has_copy: bool = False
    may_recall: bool = False
    recalled: str = ""
    last_error: OrchestratorError | None = None
    second: RunningCopy | None = None
    delivery: Delivery = field(default_factory=Delivery)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    failure: OrchestratorError | None = None
    preview: PreviewFrame | None = None

    def renew(self, request: JobRequest) -> None:
        """A person edited it: how its old graph fared says nothing of the new one, and no attempt at that is
        gone on with."""
        self.queued.renew(replace(request, outdated_attempts=len(self.job.attempts)))
        self.asked_again = self.freed = False
        self.unanswered, self.last_error = frozenset(), None
        self.final_on.clear()


class JobRegistry:
    def __init__(self) -> None:
        self._live_jobs: dict[str, LiveJob] = {}
        self._finished: deque[str] = deque()
        self._changed = Signal[[Job]]("jobs")
        self._heard = Signal[[Job, Message]]("what peers tell of jobs")

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._live_jobs

    def __iter__(self) -> Iterator[LiveJob]:
        """Oldest first."""
        return iter(tuple(self._live_jobs.values()))

    def find(self, job_id: str) -> LiveJob | None:
        return self._live_jobs.get(job_id)

    def get(self, job_id: str) -> LiveJob:
        """Raises NotFoundError where there is none."""
        live = self._live_jobs.get(job_id)
        if live is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return live

    def of_prompt(self, prompt_id: str) -> LiveJob | None:
        """The job that sent this prompt, if it has not ended, nor was edited since."""
        for live in self._live_jobs.values():
            if not live.job.state.is_final and any(a.prompt_id == prompt_id for a in live.job.own_attempts):
                return live
        return None

    def add(self, live: LiveJob) -> None:
        self._live_jobs[live.job.id] = live
        if live.job.state.is_final:
            live.ended.set()
            self.finished(live)

    def finished(self, live: LiveJob) -> None:
        """Its story is over; the oldest such ones are forgotten."""
        live.preview = None
        self._finished.append(live.job.id)
        while len(self._finished) > REMEMBERED_JOBS:
            self._live_jobs.pop(self._finished.popleft(), None)

    async def end_all(self, then: Callable[[], None]) -> None:
        """Cancel the tasks of all jobs, and wait for them. `then` runs after each round: it releases those
        that wait for something else, the journal."""
        pending = {live.task for live in self if live.task and not live.task.done()}
        while pending:  # a cancellation may get lost in foreign code; closing must end all the same
            for task in pending:
                task.cancel()
            then()
            _, pending = await asyncio.wait(pending, timeout=CLOSE_AGAIN_S)

    def subscribe(self, callback: Callable[[Job], None]) -> Callable[[], None]:
        """Hear of every job that changed; returns the way to stop it."""
        return self._changed.subscribe(callback)

    def overhear(self, callback: Hearer) -> Callable[[], None]:
        """Hear what peers tell of all jobs; returns the way to stop it."""
        return self._heard.subscribe(callback)

    def update(self, live: LiveJob, **details: Any) -> None:
        live.job = live.job.evolve(**details)
        self.announce(live)

    def say(self, live: LiveJob, text: str) -> None:
        """What is going on with it now."""
        self.update(live, progress_text=text)

    def announce(self, live: LiveJob) -> None:
        try:
            live.listener(live.job)
        except Exception:
            log.exception("The listener of job %s failed", live.job.id)
        self._changed.tell(live.job)

    def hear(self, live: LiveJob, message: Message) -> None:
        if isinstance(message, PreviewFrame) and len(message.data) <= PREVIEW_MAX_BYTES:
            live.preview = message
            self.update(live, previews=live.job.previews + 1)
        live.listener(message)
        self._heard.tell(live.job, message)
