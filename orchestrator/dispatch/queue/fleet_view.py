"""The peers as placement sees them: kept true with every poll, and with every job that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from ...backends.manager import BackendManager
from ...core.engine.estimates.knowledge import Knowledge
from ...core.engine.placement.need import Need
from ...core.engine.placement.peers import OurJob, PeerSnapshot
from ...core.engine.scheduler import Scheduler
from ...core.models.backend import (
    LOCAL_PEER_ID,
    LOCAL_PEER_NAME,
    BackendConfig,
    BackendStatus,
    Conduct,
    Health,
    Vitals,
)
from ...core.models.job import JobRequest
from ...core.models.rules import PeerRules
from ...signals import Signal
from .prompt_variants import PromptVariants
from .queued_job import QueuedJob
from .same_machine import SameMachines

RUNNING_MAX = 8  #: a ComfyUI runs one prompt at a time; more are not followed
_HERE_CONFIG = BackendConfig(LOCAL_PEER_ID, LOCAL_PEER_NAME, host="127.0.0.1")
_HERE_RULES = PeerRules(only_idle=True)
_HERE_STATUS = BackendStatus(Health.UP, conduct=Conduct(slow_start=True))  # one job at a time


@dataclass
class _Seen:
    """What was there at the last look. ``foreign_since_s``: when each foreign prompt was first seen running,
    by its id; ``generation``: of the peer's process, at this `url`; ``is_open``: by its hours."""

    generation: int
    url: str
    is_open: bool = True
    foreign_since_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _KnownNeed:
    """Of a job on a machine: what it needs, as long as neither the peers nor its request have changed."""

    edition: int
    request: JobRequest
    need: Need


class FleetView:
    """`is_ours` tells our prompt ids from other people's."""

    def __init__(
        self,
        manager: BackendManager,
        scheduler: Scheduler,
        variants: PromptVariants,
        is_ours: Callable[[str], bool],
        same: SameMachines,
    ) -> None:
        #: hears of each foreign prompt that ended: the peer, its id, for how many seconds it was seen running
        self.foreign_ended = Signal[[str, str, float]]("foreign prompts")
        self._manager = manager
        self._scheduler = scheduler
        self._variants = variants
        self._is_ours = is_ours
        self._same = same
        self._placed: dict[str, dict[QueuedJob, _KnownNeed]] = {}
        self._seen: dict[str, _Seen] = {}
        self._shown: dict[str, PeerSnapshot] = {}
        self._here = _HERE_STATUS

    @property
    def knowledge(self) -> Knowledge:
        return self._scheduler.knowledge

    def rest_s(self, waiting: int) -> float | None:
        """See Scheduler.rest_s; also None while it does not know all of this many waiting jobs."""
        return self._scheduler.rest_s(_now_s()) if len(self._scheduler.line) >= waiting else None

    def queued_jobs(self) -> Iterator[QueuedJob]:
        """All that are on a machine."""
        return (queued for there in tuple(self._placed.values()) for queued in tuple(there))

    def ours_on(self, backend_id: str) -> int:
        return len(self._placed.get(backend_id, ()))

    def has(self, queued: QueuedJob) -> bool:
        return queued in self._placed.get(queued.backend_id, ())

    def put(self, queued: QueuedJob, backend_id: str) -> None:
        """A job has got its slot there."""
        queued.backend_id = backend_id
        self._placed.setdefault(backend_id, {})[queued] = self._known_need(queued)
        self.show(backend_id)

    def take(self, queued: QueuedJob) -> bool:
        """It left; False when it was not there."""
        there = self._placed.get(queued.backend_id, {})
        if queued not in there:
            return False
        del there[queued]
        self.show(queued.backend_id)
        return True

    def show(self, backend_id: str) -> None:
        """Anything changed of this peer."""
        if backend_id == LOCAL_PEER_ID:
            return  # shown again before each plan
        if backend_id not in self._manager:
            self._scheduler.remove_peer(backend_id)
            self._seen.pop(backend_id, None)
            self._shown.pop(backend_id, None)
            self.knowledge.forget_peer(backend_id)
            return
        self._look_for_others(backend_id)
        snapshot = self.snapshot(backend_id)
        self._seen[backend_id].is_open = snapshot.is_open
        self._set(snapshot)
        for twin in self._same.of(backend_id):
            if twin.id in self._seen:
                self._set(self.snapshot(twin.id))

    def _set(self, snapshot: PeerSnapshot) -> None:
        self._shown[snapshot.config.id] = snapshot
        self._scheduler.set_peer(snapshot, _now_s())

    def show_all(self) -> None:
        for config in self._manager.all():
            self.show(config.id)

    def look_at_hours(self) -> bool:
        """Show the peers whose hours began or ended, which nothing else tells; whether there were any."""
        timed = [config for config in self._manager.all() if config.hours and config.id in self._seen]
        turned = [c.id for c in timed if _is_open(c.rules) is not self._seen[c.id].is_open]
        for backend_id in turned:
            self.show(backend_id)
        return bool(turned)

    def show_here(self, is_wanted: bool, is_free: bool, vitals: Vitals | None) -> None:
        if is_wanted:
            self._scheduler.set_peer(self.here(is_free, vitals), _now_s())
        else:
            self._scheduler.remove_peer(LOCAL_PEER_ID)

    def here(self, is_free: bool, vitals: Vitals | None) -> PeerSnapshot:
        """The master as one of the machines, which takes a job only while it has nothing else to do."""
        if vitals != self._here.vitals:
            self._here = replace(_HERE_STATUS, vitals=vitals)
        ours = self._ours(LOCAL_PEER_ID)
        others = 0 if is_free or ours else 1
        return PeerSnapshot(
            _HERE_CONFIG, self._here, foreign=others, jobs=ours, rules=_HERE_RULES, has_copies=False
        )

    def snapshots(self) -> tuple[PeerSnapshot, ...]:
        """Of all peers, as they were shown last."""
        ids = [config.id for config in self._manager.all()]
        return tuple(self._shown.get(peer) or self.snapshot(peer) for peer in ids)

    def snapshot(self, backend_id: str) -> PeerSnapshot:
        config, status = self._manager.get(backend_id), self._manager.get_status(backend_id)
        rules = config.rules
        queue = status.vitals.queue if status.vitals else None
        prompts = (*queue.running, *queue.pending) if queue else ()
        foreign = sum(not self._is_ours(prompt_id) for prompt_id in prompts)
        if queue and queue.unnamed:  # ours are most likely among them
            foreign += max(queue.unnamed - self.ours_on(backend_id), 0)
        seen = self._seen.get(backend_id)
        since_s = min(seen.foreign_since_s.values(), default=None) if seen else None
        return PeerSnapshot(
            config,
            status,
            foreign=foreign,
            jobs=self._ours(backend_id),
            rules=rules,
            is_open=_is_open(rules),
            foreign_since_s=since_s,
            same_as=self._same.instead_of(backend_id),
        )

    def _known_need(self, queued: QueuedJob) -> _KnownNeed:
        return _KnownNeed(self._manager.edition, queued.request, self._variants.need(queued))

    def _need(self, there: dict[QueuedJob, _KnownNeed], queued: QueuedJob) -> Need:
        known = there[queued]
        if known.edition != self._manager.edition or known.request is not queued.request:
            there[queued] = known = self._known_need(queued)
        return known.need

    def _ours(self, backend_id: str) -> tuple[OurJob, ...]:
        there = self._placed.get(backend_id, {})
        return tuple(
            OurJob(
                queued.id,
                queued.group,
                self._need(there, queued),
                queued.kind,
                queued.begun_at_s,
                queued.taking_back,
                queued.is_copied,
                queued.cold,
            )
            for queued in sorted(there, key=lambda queued: queued.begun_at_s is None)
        )

    def _look_for_others(self, backend_id: str) -> None:
        status, now_s = self._manager.get_status(backend_id), _now_s()
        url = self._manager.get(backend_id).url
        seen = self._seen.setdefault(backend_id, _Seen(status.generation, url))
        if seen.url != url:  # another machine
            seen.url = url
            self.knowledge.forget_peer(backend_id)
        if seen.generation != status.generation:
            seen.generation = status.generation
            seen.foreign_since_s.clear()
            self.knowledge.note_restart(backend_id)
        running = status.vitals.queue.running if status.vitals and status.health is Health.UP else ()
        foreign = [prompt_id for prompt_id in running[:RUNNING_MAX] if not self._is_ours(prompt_id)]
        for prompt_id in [known for known in seen.foreign_since_s if known not in foreign]:
            self.foreign_ended.tell(backend_id, prompt_id, now_s - seen.foreign_since_s.pop(prompt_id))
        for prompt_id in foreign:
            seen.foreign_since_s.setdefault(prompt_id, now_s)


def _is_open(rules: PeerRules) -> bool:
    if not rules.hours:
        return True
    clock = datetime.now().astimezone()  # its hours are those of the wall clock here
    return rules.is_open_at(clock.hour * 60 + clock.minute)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
