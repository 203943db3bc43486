"""Asks every enabled peer how it is, again and again, and keeps its node list fresh."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from ..background import BackgroundTasks
from ..clock import utc_now
from ..core.engine.faults.health import HealthPolicy, JobEnd, Work, after_answer, after_failure, after_job
from ..core.models.backend import BackendConfig, BackendStatus, Health, QueueState
from ..core.workflow.object_info import ObjectInfo
from ..core.workflow.replacements import Replacements
from ..errors import (
    AnswerError,
    MachineError,
    NotFoundError,
    PeerError,
    PeerProtocolError,
    PeerUnfitError,
    WorkflowError,
)
from .client import ComfyUIClient
from .gate import when_let
from .manager import BackendManager

log = logging.getLogger(__name__)
T = TypeVar("T")

_IN_WORDS = {
    Health.DOWN: "is down",
    Health.NEEDS_KEY: "needs a key",
    Health.EJECTED: "is paused after repeated failures",
    Health.ZOMBIE: "gives no sign of work",
}

REREAD_FIRST_S = 5.0  #: pause before a node list that could not be read is asked for again,
REREAD_MAX_S = 60.0  #: then after twice as long each time, up to this
PATIENCE_S = 120.0  #: how long a peer may put off each question about its nodes
FRESH_S = 3.0  #: a node list younger than this is not read again, however many pages ask
RENEWED_AT_ONCE = 4  #: lists of several MB each
BRIEF_LOOKS = 2  #: at a peer that has nothing to do, before its memory is asked for again


@dataclass
class _Watched:
    """What is under way for one peer. Moments are on the event loop's clock.

    ``brief_looks``: in a row, see BRIEF_LOOKS. ``generation``: the one whose node list is being read.
    ``unfit``: why no job can be done there, until it is of another version than ``unfit_version``, was away,
    or somebody asks.
    """

    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    polling: asyncio.Task[None] | None = None
    reading: asyncio.Task[None] | None = None
    brief_looks: int = 0
    generation: int = 0
    reread_pause_s: float = 0.0
    reread_at: float = 0.0
    read_at: float = float("-inf")
    complaint: str = ""
    unfit: str = ""
    unfit_version: str = ""


class HealthMonitor:
    """`client_factory` owns the clients it hands out; the monitor never closes them. `work_of` tells what is
    known of the prompt that a peer with this queue should be at; `has_job(backend_id)` whether one of our
    jobs is there."""

    def __init__(
        self,
        manager: BackendManager,
        client_factory: Callable[[BackendConfig], ComfyUIClient],
        policy: HealthPolicy | None = None,
        work_of: Callable[[BackendConfig, QueueState], Work] = lambda config, queue: Work(),
        has_job: Callable[[str], bool] = lambda backend_id: False,
    ) -> None:
        self._manager = manager
        self._client_for = client_factory
        self._policy = policy or HealthPolicy()
        self._work_of = work_of
        self._has_job = has_job
        self._watched: dict[str, _Watched] = {}
        self._tasks = BackgroundTasks()
        self._renewals = asyncio.Semaphore(RENEWED_AT_ONCE)
        self._unsubscribe: Callable[[], None] | None = None
        self._closing = False

    async def run(self) -> None:
        """One sweep: judge the health of all enabled peers at the same time."""
        enabled = [config.id for config in self._manager.all() if config.enabled]
        results = await asyncio.gather(*map(self._judge, enabled), return_exceptions=True)
        for result in results:
            # A peer that is removed meanwhile has no health.
            if isinstance(result, BaseException) and not isinstance(result, NotFoundError):
                raise result

    async def check(self, backend_id: str) -> BackendStatus:
        """Ask one peer now, and read its node list if that is missing or may be stale.

        Raises:
            NotFoundError: there is no such peer (any more).
        """
        await self._judge(backend_id)
        reading = self._read_if_needed(backend_id)
        if reading is not None:
            # Others may wait for the same list: it is read to its end even if one gives up.
            await asyncio.wait([reading])
        return self._manager.get_status(backend_id)

    def read_again(self) -> None:
        """Somebody wants to see what the peers have: files may have come since their lists were read, and a
        peer gets new ones without a restart. Returns at once; what is new is told as any other change."""
        now_s = asyncio.get_running_loop().time()
        for config in self._manager.all():
            peer = self._watched.get(config.id)
            if peer is None or not config.enabled or now_s - peer.read_at < FRESH_S:
                continue
            if self._read_if_needed(config.id) is not None or self._closing:
                continue
            info = self._manager.get_object_info(config.id)
            status = self._manager.get_status(config.id)
            if info is not None and status.health is Health.UP:
                peer.generation = status.generation
                renewal = self._renew_object_info(config, peer, info)
                peer.reading = self._tasks.start(renewal, f"newer node list of {config.id}")

    def note_job(self, backend_id: str, end: JobEnd, why: str = "") -> None:
        """A job there came to its end; see ``after_job``. Nothing for a peer that was removed."""
        if self._manager.find(backend_id) is None:
            return
        if end is JobEnd.UNFIT:
            self._note_unfit(backend_id, PeerUnfitError(why))
            return
        before = self._manager.get_status(backend_id)
        after = after_job(before, end, asyncio.get_running_loop().time(), self._policy, why=why)
        if after is not before:
            _log_transition(self._manager.get(backend_id), before, after)
            self._manager.set_status(backend_id, after)

    def look_at(self, backend_id: str, *, is_stale: bool) -> None:
        """Ask a peer now that failed an attempt. `is_stale`: its node list turned out to be wrong."""
        if is_stale and self._manager.find(backend_id):
            self._manager.forget_object_info(backend_id)
        self._tasks.start(self._check_quietly(backend_id), f"check {backend_id}")

    async def _check_quietly(self, backend_id: str) -> None:
        with suppress(NotFoundError):  # removed meanwhile
            await self.check(backend_id)

    def forgive(self, backend_id: str) -> None:
        """What made it unfit is mended: it did a job, or is reached in another way."""
        self._of(backend_id).unfit = ""

    def _note_unfit(self, backend_id: str, error: PeerUnfitError) -> None:
        before = self._manager.get_status(backend_id)
        peer = self._of(backend_id)
        peer.unfit, peer.unfit_version = str(error), before.vitals.comfyui_version if before.vitals else ""
        after = after_failure(before, error, utc_now(), self._policy)
        _log_transition(self._manager.get(backend_id), before, after)
        self._manager.set_status(backend_id, after)

    def start(self) -> None:
        """Watch all peers, those that are added later too."""
        self._unsubscribe = self._manager.subscribe(self._follow)
        for config in self._manager.all():
            self._follow(config.id)

    async def aclose(self) -> None:
        self._closing = True
        if self._unsubscribe:
            self._unsubscribe()
        await self._tasks.aclose()

    def _follow(self, backend_id: str) -> None:
        if self._enabled(backend_id) and self._of(backend_id).polling is None:
            peer = self._of(backend_id)
            peer.polling = self._tasks.start(self._poll(backend_id, peer), f"watch {backend_id}")

    def _of(self, backend_id: str) -> _Watched:
        known = self._watched.get(backend_id)
        if known is None:
            known = self._watched[backend_id] = _Watched()
        return known

    def _enabled(self, backend_id: str) -> bool:
        try:
            return self._manager.get(backend_id).enabled
        except NotFoundError:
            return False

    async def _poll(self, backend_id: str, peer: _Watched) -> None:
        while self._enabled(backend_id):
            try:
                status = await self._judge(backend_id, is_routine=True)
                waited = asyncio.get_running_loop().time() >= peer.reread_at
                if waited or peer.generation != status.generation:
                    self._read_if_needed(backend_id)
            except NotFoundError:
                break
            except Exception:
                log.exception("Checking peer %s failed", backend_id)
            spread = self._policy.jitter * random.uniform(-1, 1)  # noqa: S311  spreads polls, guards nothing # nosec B311
            await asyncio.sleep(self._policy.poll_s * (1 + spread))
        # Before anything else can run: who enables the peer again must not find a watcher that is ending.
        self._watched.pop(backend_id, None)

    async def _judge(self, backend_id: str, *, is_routine: bool = False) -> BackendStatus:
        # One question at a time: two that fail together are one miss.
        async with self._of(backend_id).judging:
            config = self._manager.get(backend_id)
            client = self._client_for(config)
            error: MachineError | None = None
            try:
                is_idle = is_routine and await self._is_still_idle(backend_id, client)
                if not is_idle and not await client.health_check():
                    error = PeerProtocolError(f"{config.url} says that it is not well.")
            except MachineError as exc:
                error = exc
            except AnswerError as exc:  # it wants to be asked less, which says nothing of its health
                log.debug("%s", exc)
                return self._manager.get_status(backend_id)
            error = self._unless_unfit(self._of(backend_id), client, error)
            before = self._manager.get_status(backend_id)
            edited = self._manager.get(backend_id)
            if (edited.url, edited.enabled) != (config.url, config.enabled):
                return before  # the answer came from another machine, or nobody wants it
            now = utc_now()
            if error is None:
                queue = client.latest.queue if client.latest else QueueState()
                work = self._work_of(config, queue)
                at_s = asyncio.get_running_loop().time()
                complaint = self._of(backend_id).complaint
                note = f"Its list of nodes is not known: {complaint}" if complaint else ""
                vitals = client.latest
                after = after_answer(before, vitals, now, self._policy, at_s=at_s, work=work, note=note)
            else:
                is_at_work = self._has_job(backend_id)
                after = after_failure(before, error, now, self._policy, is_at_work=is_at_work)
            _log_transition(config, before, after)
            self._manager.set_status(backend_id, after)
            return after

    async def _is_still_idle(self, backend_id: str, client: ComfyUIClient) -> bool:
        """Most looks find a peer that is as it was: one small answer tells that.

        Raises:
            PeerError
        """
        peer = self._of(backend_id)
        status = self._manager.get_status(backend_id)
        is_well = status.health is Health.UP and not status.misses
        is_brief = is_well and peer.brief_looks < BRIEF_LOOKS and await client.is_still_idle()
        peer.brief_looks = peer.brief_looks + 1 if is_brief else 0
        return is_brief

    def _unless_unfit(
        self, peer: _Watched, client: ComfyUIClient, error: MachineError | None
    ) -> MachineError | None:
        """What a look at it comes to where it answers, and no job can be done there all the same."""
        version = client.latest.comfyui_version if client.latest else ""
        if error is not None or version != peer.unfit_version:
            peer.unfit = ""  # another process, or another program, may stand there next
        return PeerUnfitError(peer.unfit) if peer.unfit else error

    def _read_if_needed(self, backend_id: str) -> asyncio.Task[None] | None:
        """The reading of the peer's node list that is under way, if it needs one."""
        peer = self._of(backend_id)
        status = self._manager.get_status(backend_id)
        if peer.reading is not None and peer.generation != status.generation:
            peer.reading.cancel()  # of a process or an address that is no longer the peer's
            peer.reading = None
        known = self._manager.get_object_info(backend_id) is not None
        if peer.reading is None and status.health is Health.UP and not known and not self._closing:
            peer.generation = status.generation
            peer.reading = self._tasks.start(
                self._read_object_info(backend_id, peer), f"node list of {backend_id}"
            )
        return peer.reading

    async def _read_object_info(self, backend_id: str, peer: _Watched) -> None:
        generation = peer.generation
        try:
            config = self._manager.get(backend_id)
            client = self._client_for(config)
            limit = await _upload_limit(client)
            await _check_view(client)
            raw = await when_let(client.object_info, PATIENCE_S)
            embeddings, replacements = await _beside_nodes(client)
            read = ObjectInfo(raw, embeddings, replacements or {})
            info = await asyncio.to_thread(shared, read, self._manager.node_lists())
            self._manager.set_object_info(backend_id, info, generation, limit)
            peer.reread_pause_s, peer.reread_at, peer.complaint = 0.0, 0.0, ""
        except NotFoundError:
            log.debug("Peer %s was removed while its node list was read", backend_id)
        except PeerUnfitError as exc:
            self._note_unfit(backend_id, exc)
        except (PeerError, WorkflowError) as exc:
            peer.reread_pause_s = min(max(peer.reread_pause_s * 2, REREAD_FIRST_S), REREAD_MAX_S)
            peer.reread_at = asyncio.get_running_loop().time() + peer.reread_pause_s
            if peer.complaint != str(exc):
                peer.complaint = str(exc)
                log.warning("The node list of %s could not be read: %s", config.name, exc)
        finally:
            self._note_read(peer)

    async def _renew_object_info(self, config: BackendConfig, peer: _Watched, known: ObjectInfo) -> None:
        """A list that cannot be read now stands as it is."""
        try:
            async with self._renewals:
                client = self._client_for(config)
                raw = await client.object_info()
                embeddings, replacements = await _beside_nodes(client)
            read = ObjectInfo(
                raw,
                known.embeddings if embeddings is None else embeddings,
                known.replacements if replacements is None else replacements,
            )
            info = await asyncio.to_thread(shared, read, (known, *self._manager.node_lists()))
            if info is not known:
                self._manager.renew_object_info(config.id, info, known)
        except (PeerError, WorkflowError, NotFoundError) as exc:
            log.debug("The node list of %s could not be read once more: %s", config.name, exc)
        finally:
            self._note_read(peer)

    def _note_read(self, peer: _Watched) -> None:
        peer.read_at = asyncio.get_running_loop().time()
        if peer.reading is asyncio.current_task():
            peer.reading = None


async def _upload_limit(client: ComfyUIClient) -> int | None:
    try:
        return await when_let(client.max_upload_bytes, PATIENCE_S)
    except PeerError:
        return None  # the upload will tell


async def _check_view(client: ComfyUIClient) -> None:
    try:
        await client.check_view()
    except PeerUnfitError:
        raise
    except PeerError:
        return  # the first download will tell


def _log_transition(config: BackendConfig, before: BackendStatus, after: BackendStatus) -> None:
    """Once at going away, once at recovery; a missed poll alone is no news."""
    if after.health is before.health:
        return
    if after.health is Health.UP and before.health is not Health.SUSPECT:
        log.info("Peer %s (%s) is up", config.name, config.url)
    elif after.health in _IN_WORDS:
        log.warning("Peer %s (%s) %s: %s", config.name, config.url, _IN_WORDS[after.health], after.reason)


async def _beside_nodes(client: ComfyUIClient) -> tuple[tuple[str, ...] | None, Replacements | None]:
    """Its embeddings, and the nodes that it takes by other names; None where it does not tell."""
    return await _told(client.embeddings), await _told(client.node_replacements)


async def _told(ask: Callable[[], Awaitable[T]]) -> T | None:
    try:
        return await when_let(ask, PATIENCE_S)
    except PeerError:
        return None


def shared(read: ObjectInfo, known: Iterable[ObjectInfo]) -> ObjectInfo:
    """The node list, as one object for all peers that have the same: jobs are prepared once for each."""
    return next((info for info in known if info.is_same_as(read)), read)
