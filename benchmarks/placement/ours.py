"""Our engine's part: what the dispatcher would tell the scheduler and the knowledge, and do for them."""

from __future__ import annotations

from orchestrator.core.engine.estimates.knowledge import Knowledge
from orchestrator.core.engine.placement.need import Need
from orchestrator.core.engine.placement.peers import OurJob, PeerSnapshot
from orchestrator.core.engine.placement.pending_jobs import WaitingJob
from orchestrator.core.engine.placement.policy import Policy as Settings
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals
from orchestrator.core.prompts.kinds import Kind

from .trace import Job, may_run
from .world import World

GIB = 2**30


class Ours:
    def __init__(self, world: World, settings: Settings | None = None) -> None:
        self._world = world
        self.scheduler = Scheduler(Knowledge(), settings)
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self._needs: dict[tuple[object, ...], Need] = {}
        self._jobs: dict[str, Job] = {}
        self._configs: dict[str, BackendConfig] = {}
        self._status: dict[tuple[str, bool], BackendStatus] = {}
        self._generations: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        self._woken_s = -1.0
        self._cold: dict[str, tuple[str, ...]] = {}
        for file, gb in world.trace.sizes_gb.items():
            self.scheduler.knowledge.note_size(file, gb)
        for peer in world.trace.peers:
            self._configs[peer.id] = BackendConfig(id=peer.id, host="127.0.0.1", tags=peer.tags)
            device = Device("gpu", "cuda", int(peer.vram_gb * GIB), int(peer.vram_gb * GIB))
            for up in (True, False):
                health = Health.UP if up else Health.DOWN
                self._status[peer.id, up] = BackendStatus(health, "", Vitals(devices=(device,)))
            self._generations[peer.id] = 0
            self._set_peer(peer.id)

    def arrived(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._enter(job)

    def begun(self, job: Job, peer: str) -> None:
        self._cold[job.id] = self.scheduler.knowledge.note_begun(peer, self._kind(job))
        self._changed[peer] = None

    def ended(self, job: Job, peer: str, total_s: float, head_s: float) -> None:
        self.scheduler.knowledge.note_run(peer, self._kind(job), total_s, head_s, self._cold.pop(job.id, ()))
        self._changed[peer] = None

    def came_back(self, job: Job, peer: str) -> None:
        self._cold.pop(job.id, None)
        self._enter(job)

    def peer_changed(self, peer: str) -> None:
        generation = self._world.stations[peer].generation
        if generation != self._generations[peer]:
            self._generations[peer] = generation
            self.scheduler.knowledge.note_restart(peer)
        self._changed[peer] = None

    def foreign_ended(self, peer: str, run_s: float) -> None:
        self.scheduler.knowledge.note_foreign(peer, run_s)
        self._changed[peer] = None

    def look(self) -> None:
        changed, self._changed = self._changed, {}
        for peer in changed:
            self._set_peer(peer)
        now_s = self._world.now_s
        plan = self.scheduler.plan(now_s)
        for start in plan.starts:
            self._world.send(self._jobs[start.job_id], start.backend_id)
            self._changed[start.backend_id] = None
        for back in plan.take_backs:
            if self._world.take_back(self._jobs[back.job_id]):
                self._enter(self._jobs[back.job_id])
                self._changed[back.backend_id] = None
        if plan.take_backs or plan.look_again_s == 0.0:
            self._world.wake(now_s)
        elif plan.look_again_s is not None:
            moment_s = now_s + max(plan.look_again_s, 0.01)
            if not now_s < self._woken_s <= moment_s:
                self._woken_s = moment_s
                self._world.wake(moment_s)

    def _enter(self, job: Job) -> None:
        key = (job.kind, job.files, job.classes, job.vram_gb)
        self.scheduler.enter(
            WaitingJob(job.id, key, self._need(job, key), self._kind(job), job.priority, job.client, job.at_s)
        )

    def _set_peer(self, peer: str) -> None:
        station, now_s = self._world.stations[peer], self._world.now_s
        jobs = tuple(
            OurJob(
                run.job.id,
                key,
                self._needs[key],
                self._kind(run.job),
                run.begun_s,
                cold=self._cold.get(run.job.id, ()),
            )
            for run in station.runs
            if run.job is not None
            for key in [(run.job.kind, run.job.files, run.job.classes, run.job.vram_gb)]
        )
        is_foreign = station.running is not None and station.running.job is None
        since_s = station.running.begun_s if station.running is not None and is_foreign else None
        status = self._status[peer, station.known_up]
        snapshot = PeerSnapshot(
            self._configs[peer], status, 0, station.foreign, jobs, foreign_since_s=since_s
        )
        self.scheduler.set_peer(snapshot, now_s)

    def _kind(self, job: Job) -> Kind:
        key = (job.kind, job.files)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = Kind("|".join((job.kind, *job.files)), files=job.files)
        return kind

    def _need(self, job: Job, key: tuple[object, ...]) -> Need:
        need = self._needs.get(key)
        if need is None:
            unmet = {
                peer.id: () if may_run(job, peer) else ("it lacks something",)
                for peer in self._world.trace.peers
            }
            need = self._needs[key] = Need(unmet=unmet)
        return need
