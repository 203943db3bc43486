"""A whole engine in folders of its own, quick enough for tests, with the fakes as its peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.engine.faults.retry import RetryPolicy
from orchestrator.core.engine.faults.silence import SilencePolicy
from orchestrator.core.engine.faults.withdrawal import WithdrawalPolicy
from orchestrator.core.models.job import Job, JobRequest, JobState, Prompt
from orchestrator.dispatch.attempts.remote_prompt import FollowPolicy
from orchestrator.dispatch.attempts.transport import Folders
from orchestrator.dispatch.config import DispatchConfig
from orchestrator.dispatch.queue.registry import Listener
from orchestrator.errors import OrchestratorError
from orchestrator.runtime import EngineConfig, Runtime

from .comfyui import FakeComfyUI
from .graphs import stock_classes
from .waiting import until

FOLLOW = FollowPolicy(
    poll_s=0.02,
    suspect_s=0.3,
    settle_pause_s=0.02,
    cancel_s=2.0,
    fetch_again_s=0.05,
    withdrawal=WithdrawalPolicy(first_s=0.02, every_s=0.05),
)
HEALTH = HealthPolicy(poll_s=0.05, timeout_s=10.0)
RETRY = RetryPolicy(backoff_s=0.02, clear_within_s=1.0)
SILENCE = SilencePolicy()
SECOND_LOOK_S = 10.0  #: a busy computer may stall for longer than a user would wait
DEADLINE_S = 15.0


def _nobody_knows(address: str) -> str:
    raise OSError(address)


class Master:
    """`home` holds input, output, temp and data; a second Master on it is the same one, restarted."""

    def __init__(
        self,
        home: Path,
        *,
        follow: FollowPolicy = FOLLOW,
        health: HealthPolicy = HEALTH,
        reserve_bytes: int = 0,
        retry: RetryPolicy = RETRY,
        silence: SilencePolicy = SILENCE,
        second_look_s: float = SECOND_LOOK_S,
        name_of: Callable[[str], str] = _nobody_knows,
    ) -> None:
        self.input, self.output, self.temp, self.data = (
            home / name for name in ("input", "output", "temp", "data")
        )
        for folder in (self.input, self.output, self.temp):
            folder.mkdir(exist_ok=True)
        folders = Folders(
            self.output, self.temp, self._resolve_input, reserve_bytes, kind_here=self._kind_here
        )
        self.runtime = Runtime(
            EngineConfig(
                self.data,
                folders,
                name_of=name_of,
                health=health,
                dispatch=DispatchConfig(
                    follow=follow, retry=retry, silence=silence, second_look_s=second_look_s
                ),
            )
        )

    def _resolve_input(self, value: str) -> Path | None:
        path = self.input / value
        return path if path.is_file() else None

    def _kind_here(self, value: str) -> str:
        return "folder" if (self.input / value).is_dir() else ""

    async def add(self, name: str, peer: FakeComfyUI | str, **details: Any) -> str:
        """Register a peer and give its id; a fake that lists no classes gets the stock ones first."""
        if isinstance(peer, FakeComfyUI):
            peer.object_info = peer.object_info or stock_classes()
        url = peer if isinstance(peer, str) else peer.url
        return (await self.runtime.peers.add(name=name, url=url, **details)).id

    async def submit(self, prompt: Prompt, listener: Listener | None = None, **request: Any) -> Job:
        return await self.runtime.jobs.submit(JobRequest(prompt=prompt, **request), listener)

    async def run(self, prompt: Prompt, **request: Any) -> Job:
        """Submit, and wait for the end, whatever it is."""
        return await self.end_of(await self.submit(prompt, **request))

    async def end_of(self, job: Job, deadline_s: float = DEADLINE_S) -> Job:
        try:
            await asyncio.wait_for(self.runtime.jobs.wait(job.id), deadline_s)
        except OrchestratorError:
            pass  # the job's record says it too
        return self.job(job)

    def job(self, job: Job) -> Job:
        """Its record now."""
        return next(known for known in self.runtime.jobs.all() if known.id == job.id)

    async def running_on(self, peer: FakeComfyUI, job: Job) -> str:
        """Wait until the job runs on this peer and is being followed; give its prompt id."""
        await until(lambda: peer.running and peer.running == self.prompt_id(job), "the job runs there")
        prompt_id = self.prompt_id(job)
        # It may run before the answer of its POST has arrived; the first poll comes after that.
        await until(lambda: peer.asked(f"/history/{prompt_id}"), "the master follows it")
        return prompt_id

    def prompt_id(self, job: Job) -> str:
        attempts = self.job(job).attempts
        return attempts[-1].prompt_id if attempts else ""

    async def reaches(self, job: Job, state: JobState) -> Job:
        await until(lambda: self.job(job).state is state, f"the job is {state.value}")
        return self.job(job)


@asynccontextmanager
async def started(home: Path, **policies: Any) -> AsyncIterator[Master]:
    master = Master(home, **policies)
    await master.runtime.start()
    try:
        yield master
    finally:
        await master.runtime.aclose()


def outcomes(job: Job) -> list[str]:
    """How each attempt ended."""
    return [attempt.outcome for attempt in job.attempts]
