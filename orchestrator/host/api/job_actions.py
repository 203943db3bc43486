"""What a person does to jobs that are there: to several at once, and to what one is to run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from ...core.models.job import Job, JobRequest, JobState, Source
from ...core.prompts.editing import edited
from ...errors import ConfigError, IllegalTransitionError, NotFoundError, OrchestratorError
from ...runtime import Runtime
from .answers import ActedView, EditedView, RefusedJobView
from .bodies import read, read_object
from .job_bodies import Edit, JobAction
from .views import job_view

AT_ONCE = 16  #: jobs under way: peers are asked for some
_ENDED_BADLY = (JobState.FAILED, JobState.SET_ASIDE, JobState.CANCELLED)


def _has_not_begun(job: Job) -> bool:
    return not job.state.is_final and job.begun_at is None


#: Which jobs an action is about
_CONCERNS: Mapping[str, Callable[[Job], bool]] = {
    "cancel": lambda job: not job.state.is_final,
    "hold": lambda job: _has_not_begun(job) and not job.request.held,
    "release": lambda job: job.request.held and not job.state.is_final,
    "first": lambda job: job.state is JobState.WAITING,
    "last": lambda job: job.state is JobState.WAITING,
    "pin": _has_not_begun,
    "retry": lambda job: job.state in _ENDED_BADLY,
}


class JobActions:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._retrying = asyncio.Lock()  #: who asks for a batch meanwhile finds it repeated

    async def act(self, request: web.Request) -> tuple[int, Any]:
        """Do one thing to several jobs. What came too late for some is told for each."""
        asked = read(JobAction, await read_object(request))
        if asked.action != "retry":
            return 200, await self._acted(asked)
        async with self._retrying:
            return 200, await self._acted(asked)

    async def _acted(self, asked: JobAction) -> ActedView:
        concerned = [job for job in self._chosen(asked) if _CONCERNS[asked.action](job)]
        if asked.action in ("first", "last"):
            return await self._moved(concerned, to_front=asked.action == "first")
        return await self._each(concerned, self._deed(asked))

    async def edit(self, request: web.Request) -> tuple[int, Any]:
        """Let a waiting job, and others with it, run another graph, in their places. What came too late for
        one of the others is told; where it did for all, nothing was changed."""
        asked = read(Edit, await read_object(request))
        first = await self._runtime.jobs.get(request.match_info["id"])
        others = [self._runtime.jobs.find(job_id) for job_id in dict.fromkeys(asked.also)]
        jobs = [first, *(job for job in others if job and job.id != first.id and _has_not_begun(job))]
        if any(job.request.source is Source.NODE for job in jobs):
            raise IllegalTransitionError(
                "This job belongs to a Remote Dispatch node. Change its workflow and run that again."
            )
        # A large one is read for its title, and each carries its own graph.
        found = await asyncio.to_thread(lambda: edited([job.request for job in jobs], asked.edited()))
        renewed = {job.id: request for job, request in zip(jobs, found, strict=True)}
        targets = await self._targets(renewed[first.id])
        refused: dict[str, OrchestratorError] = {}
        for job in self._in_line(jobs):  # the next one is let go first
            try:
                await self._put_back(job, renewed[job.id], targets)
            except OrchestratorError as exc:
                refused[job.id] = exc
        if len(refused) == len(jobs):
            raise refused[first.id]
        return 200, EditedView(
            **job_view(self._known(first.id), self._runtime.peers.name),
            refused=[RefusedJobView(job_id=job_id, message=str(exc)) for job_id, exc in refused.items()],
        )

    async def _targets(self, request: JobRequest | None) -> tuple[str, ...]:
        """The output nodes of an edited graph that can be run, as the host does it; empty for all.

        Raises:
            ConfigError: no peer could run it.
        """
        if request is None:
            return ()
        found = await self._runtime.jobs.check_prompt(
            request.prompt, None, peer=request.peer, tags=request.tags
        )
        if found.error is not None and not self._runtime.settings.this_machine:
            raise ConfigError(
                f"{found.error['message']}. {found.error['details']}. The job stays as it was, on hold."
            )
        return found.outputs if found.node_errors else ()

    async def _put_back(self, job: Job, renewed: JobRequest | None, targets: tuple[str, ...]) -> None:
        if renewed is None:
            raise ConfigError(f"The job {job.label} has another workflow. It stays as it was; edit it alone.")
        await self._runtime.queue.edit(job.id, lambda old: replace(renewed, peer=old.peer, targets=targets))

    def _chosen(self, asked: JobAction) -> list[Job]:
        """
        Raises:
            ConfigError: none is named. NotFoundError: one is not known.
        """
        if not asked.batch and not asked.job_ids:
            raise ConfigError('Give "job_ids" or "batch".')
        if asked.batch:
            found = [job for job in self._runtime.jobs.all() if job.request.batch_id == asked.batch]
            # A failed one that was repeated is done with, and one that was cancelled is not missed.
            repeated = {job.request.retry_of for job in found}
            return self._in_line(
                job for job in found if job.state is not JobState.CANCELLED and job.id not in repeated
            )
        return [self._known(job_id) for job_id in dict.fromkeys(asked.job_ids)]

    def _known(self, job_id: str) -> Job:
        job = self._runtime.jobs.find(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id[:64]}.")
        return job

    def _in_line(self, jobs: Iterable[Job]) -> list[Job]:
        places = {job.id: place for place, job in enumerate(self._runtime.queue.jobs())}
        return sorted(jobs, key=lambda job: (places.get(job.id, len(places)), job.created_at))

    def _deed(self, asked: JobAction) -> Callable[[str], Awaitable[Job]]:
        runtime, peer = self._runtime, asked.peer
        deeds: Mapping[str, Callable[[str], Awaitable[Job]]] = {
            "cancel": runtime.jobs.cancel,
            "hold": lambda job_id: runtime.queue.hold(job_id, True),
            "release": lambda job_id: runtime.queue.hold(job_id, False),
            "pin": lambda job_id: runtime.queue.pin(job_id, peer),
            "retry": lambda job_id: runtime.jobs.retry(job_id, peer=peer or None, client_id=asked.client_id),
        }
        return deeds[asked.action]

    async def _each(self, jobs: list[Job], deed: Callable[[str], Awaitable[Job]]) -> ActedView:
        answer = ActedView(done=[], new=[], refused=[])
        room = asyncio.Semaphore(AT_ONCE)

        async def one(job: Job) -> None:
            async with room:
                try:
                    after = await deed(job.id)
                except OrchestratorError as exc:
                    answer["refused"].append(RefusedJobView(job_id=job.id, message=str(exc)))
                else:
                    answer["done"].append(job.id)
                    if after.id != job.id:
                        answer["new"].append(after.id)

        # The last first: none of those that wait is started while others are still to be cancelled.
        await asyncio.gather(*map(one, reversed(jobs)))
        return answer

    async def _moved(self, jobs: list[Job], *, to_front: bool) -> ActedView:
        line = dict.fromkeys(job.id for job in self._runtime.queue.jobs())
        moved = [job.id for job in jobs if job.id in line]  # not one between two tries
        rest = dict.fromkeys(line.keys() - moved)
        others = [job_id for job_id in line if job_id in rest]
        await self._runtime.queue.move(moved, others[0] if to_front and others else "")
        return ActedView(done=moved, new=[], refused=[])
