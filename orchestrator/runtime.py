"""Composition root: builds the engine, starts it, and is the one face that node, routes and page talk to."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .backends.health_monitor import HealthMonitor
from .backends.manager import BackendManager
from .backends.pool import ClientPool
from .core.engine.health import HealthPolicy
from .core.engine.retry import RetryPolicy
from .core.engine.scheduler import PeerVerdict
from .core.models.backend import BackendConfig, BackendStatus
from .core.models.job import Job, JobRequest, JobState, Source
from .dispatch.dispatcher import Dispatcher, Listener
from .dispatch.remote_prompt import FollowPolicy
from .dispatch.transport import Folders, Transport
from .errors import ConfigError, NotFoundError, PeerError
from .secrets import Secrets
from .store import Store

log = logging.getLogger(__name__)

KEPT_JOBS = 1_000  #: finished jobs that stay in the journal, however old
KEPT_FOR = timedelta(days=30)  #: and for so long all the others
FIRST_ANSWER_S = 6.0  #: how long a new peer's form waits for its first answer
_EDITABLE = frozenset({"name", "url", "tags", "enabled", "draining", "credentials"})
_DEFAULT_HEADER = "Authorization"


@dataclass(frozen=True)
class Settings:
    """Where the engine keeps its data, the folders of the ComfyUI it lives in, and how patient it is."""

    data_dir: Path
    folders: Folders
    is_this_machine: Callable[[BackendConfig], bool] = lambda config: False
    health: HealthPolicy = field(default_factory=HealthPolicy)
    follow: FollowPolicy = field(default_factory=FollowPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class Runtime:
    """The engine of one master. Everything but the constructor belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store(settings.data_dir / "journal.sqlite3")
        self.secrets = Secrets(settings.data_dir / "credentials.json")
        self.manager = BackendManager()
        self._pool = ClientPool(self.secrets.headers, settings.health.timeout_s)
        self._monitor = HealthMonitor(self.manager, self._pool, settings.health)
        self._transport = Transport(settings.folders)
        self._dispatcher = Dispatcher(
            self.manager,
            self._pool,
            self._transport,
            settings.folders,
            self.store,
            report_trouble=self._look_at,
            read_list_again=self._monitor.read_list_again,
            retry=settings.retry,
            follow=settings.follow,
        )
        self._errands: set[asyncio.Task[None]] = set()
        self._ready: asyncio.Event | None = None
        self._failure: Exception | None = None

    async def start(self) -> None:
        """Open the journal, take back peers and jobs, begin to watch the peers.

        Raises:
            StoreError: the data folder cannot be used.
        """
        self._ready = asyncio.Event()
        try:
            await self.store.open()
            for config in await self.store.load_peers():
                self.manager.register(replace(config, has_credentials=self.secrets.has(config.id)))
            self._dispatcher.start()
            self._monitor.start()
            await self.reconcile()
            await self.store.prune(keep=KEPT_JOBS, before=_now() - KEPT_FOR)
        except Exception as exc:
            self._failure = exc
            raise
        finally:
            self._ready.set()

    async def aclose(self) -> None:
        for errand in tuple(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._dispatcher.aclose()
        await self._monitor.aclose()
        await self._pool.aclose()
        await self.store.aclose()

    async def ready(self) -> None:
        """Wait for the end of ``start``.

        Raises:
            ConfigError: it failed; says why.
        """
        if self._ready is None:
            raise ConfigError("Remote Dispatch has not been started. Restart ComfyUI.")
        await self._ready.wait()
        if self._failure is not None:
            raise ConfigError(f"Remote Dispatch could not start: {self._failure}") from self._failure

    async def reconcile(self) -> None:
        """Settle what an earlier process left: jobs of nodes died with their prompt, all others go on."""
        finished = frozenset(state for state in JobState if state.is_final)
        self._dispatcher.restore(tuple(reversed(await self.store.load_jobs(states=finished))))
        open_states = frozenset(JobState) - finished
        for job in reversed(await self.store.load_jobs(states=open_states, limit=100_000)):
            if job.state is JobState.RUNNING:
                self._errand(self._withdraw(job), f"remote-dispatch withdraw {job.id}")
            closed = _close_open_attempt(job)
            if job.request.source is Source.NODE:
                error = {"code": "cancelled", "message": "ComfyUI was restarted while this job ran."}
                ended = closed.to(JobState.CANCELLED, ended_at=_now(), error=error)
                await self.store.save_job(ended)
                self._dispatcher.restore((ended,))
            else:
                waiting = closed.to(JobState.WAITING) if closed.state is JobState.RUNNING else closed
                await self._dispatcher.accept(waiting.evolve(backend_id="", progress=0.0, progress_text=""))

    async def _withdraw(self, job: Job) -> None:
        """Nobody waits for the old attempt any more."""
        attempt = job.attempts[-1]
        try:
            client = self._pool(self.manager.get(attempt.backend_id))
            await client.delete_queued(attempt.prompt_id)
            await client.interrupt(attempt.prompt_id)
        except (PeerError, NotFoundError) as exc:
            log.info("An attempt of job %s may still run on its peer: %s", job.id, exc)

    # Peers

    async def add_peer(
        self,
        *,
        name: str,
        url: str,
        tags: Sequence[str] = (),
        enabled: bool = True,
        credentials: Mapping[str, str] | None = None,
    ) -> BackendConfig:
        """Register a peer and ask it at once.

        Raises:
            ConfigError: the address is wrong, taken, or this very machine.
        """
        config = BackendConfig(
            id=uuid.uuid4().hex[:12],
            name=name,
            url=_given(url),
            enabled=enabled,
            tags=tuple(tags),
            has_credentials=credentials is not None,
        )
        await self._refuse_self(config)
        if credentials is not None:
            await self._keep_credentials(config.id, credentials)
        try:
            self.manager.register(config)
        except ConfigError:
            await asyncio.to_thread(self.secrets.delete, config.id)
            raise
        await self.store.save_peer(config)
        if enabled:
            await self._first_answer(config.id)
        return config

    async def update_peer(self, backend_id: str, changes: Mapping[str, Any]) -> BackendConfig:
        """Change a peer's record; ``credentials`` None takes the key away.

        Raises:
            NotFoundError, ConfigError
        """
        unknown = sorted(set(changes) - _EDITABLE)
        if unknown:
            raise ConfigError(f"A peer has no {', '.join(unknown)}. It has {', '.join(sorted(_EDITABLE))}.")
        config = self.manager.get(backend_id)
        fields = {key: value for key, value in changes.items() if key != "credentials"}
        if "url" in fields:
            moved = BackendConfig(id=backend_id, url=_given(str(fields["url"])))
            await self._refuse_self(moved)
            fields.update(
                url=moved.url, host=moved.host, port=moved.port, scheme=moved.scheme, path=moved.path
            )
        if "tags" in fields:
            fields["tags"] = tuple(fields["tags"])
        if "credentials" in changes:
            if changes["credentials"] is None:
                await asyncio.to_thread(self.secrets.delete, backend_id)
            else:
                await self._keep_credentials(backend_id, changes["credentials"])
            fields["has_credentials"] = changes["credentials"] is not None
        config = self.manager.update(backend_id, **fields)
        await self.store.save_peer(config)
        if config.enabled and {"url", "credentials", "enabled"} & set(changes):
            await self._first_answer(backend_id)
        return config

    async def remove_peer(self, backend_id: str) -> None:
        """Forget a peer. Jobs that run there are still brought to their end; no new one goes there."""
        self.manager.remove(backend_id)
        await self.store.delete_peer(backend_id)
        await asyncio.to_thread(self.secrets.delete, backend_id)
        await self._pool.drop(backend_id)

    async def check_peer(self, backend_id: str) -> BackendStatus:
        self.manager.get(backend_id)
        return await self._monitor.check(backend_id)

    def ours_on(self, backend_id: str) -> int:
        return self._dispatcher.ours_on(backend_id)

    def peer_name(self, backend_id: str) -> str:
        """The name for a user's eyes; a removed peer is called by its id."""
        config = self.manager.find(backend_id)
        return config.name if config else backend_id

    async def _refuse_self(self, config: BackendConfig) -> None:
        if await asyncio.to_thread(self._settings.is_this_machine, config):
            raise ConfigError(
                f"{config.url} is this ComfyUI itself. Give the address of another machine; "
                "what shall run here needs no peer."
            )

    async def _keep_credentials(self, backend_id: str, credentials: Mapping[str, str]) -> None:
        header = credentials.get("header") or _DEFAULT_HEADER
        await asyncio.to_thread(self.secrets.set, backend_id, header, credentials.get("value", ""))

    async def _first_answer(self, backend_id: str) -> None:
        """The person who typed an address sees at once whether it is right."""
        try:
            await asyncio.wait_for(self._monitor.check(backend_id), FIRST_ANSWER_S)
        except asyncio.TimeoutError:
            log.info("Peer %s has not answered in %s s", backend_id, FIRST_ANSWER_S)

    def _look_at(self, backend_id: str, stale: bool) -> None:
        if stale and self.manager.find(backend_id):
            self.manager.forget_object_info(backend_id)
        self._errand(self._check_quietly(backend_id), f"remote-dispatch check {backend_id}")

    async def _check_quietly(self, backend_id: str) -> None:
        try:
            await self._monitor.check(backend_id)
        except NotFoundError:
            log.debug("Peer %s was removed before it could be asked", backend_id)

    def _errand(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # Jobs

    async def submit(self, request: JobRequest, listener: Listener | None = None) -> Job:
        await self.ready()
        return await self._dispatcher.submit(request, listener)

    async def wait(self, job_id: str) -> Job:
        """The finished job; raises what ended it otherwise (see Dispatcher.wait)."""
        return await self._dispatcher.wait(job_id)

    async def cancel(self, job_id: str) -> Job:
        """End a job.

        Raises:
            NotFoundError: there never was such a job.
        """
        job = await self.job(job_id)
        return await self._dispatcher.cancel(job_id) if self._dispatcher.get(job_id) else job

    def jobs(self) -> tuple[Job, ...]:
        return self._dispatcher.jobs()

    async def job(self, job_id: str) -> Job:
        job = self._dispatcher.get(job_id) or await self.store.load_job(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return job

    async def explain(self, request: JobRequest) -> tuple[PeerVerdict, ...]:
        await self.ready()
        return await self._dispatcher.verdicts(request)

    def on_job(self, callback: Callable[[Job], None]) -> Callable[[], None]:
        """Hear of every job that changed; returns its undo."""
        return self._dispatcher.subscribe(callback)

    def on_peer(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Hear the id of every peer whose record, health or node list changed; returns its undo."""
        return self.manager.subscribe(callback)


def _given(url: str) -> str:
    if not url.strip():
        raise ConfigError("Give the peer's address, like http://192.168.1.20:8188.")
    return url


def _close_open_attempt(job: Job) -> Job:
    if not job.attempts or job.attempts[-1].ended_at is not None:
        return job
    last = replace(job.attempts[-1], ended_at=_now(), outcome="lost", reason="the master was restarted")
    return job.evolve(attempts=(*job.attempts[:-1], last))


def _now() -> datetime:
    return datetime.now(timezone.utc)
