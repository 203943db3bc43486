"""A scheduler with a fleet of peers that a test tells of by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.core.engine.estimates.knowledge import Knowledge
from orchestrator.core.engine.estimates.learned import LearnedRow
from orchestrator.core.engine.placement.need import Need
from orchestrator.core.engine.placement.peers import OurJob, PeerSnapshot
from orchestrator.core.engine.placement.pending_jobs import WaitingJob
from orchestrator.core.engine.placement.policy import Policy
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals
from orchestrator.core.prompts.kinds import UNKNOWN_KIND, Kind

GIB = 2**30


def recalled(rows: Iterable[LearnedRow]) -> Knowledge:
    """What another process knows after it has read these."""
    knowledge = Knowledge()
    knowledge.read(rows)
    return knowledge


def peer(
    name: str,
    *,
    health: Health = Health.UP,
    reason: str = "",
    ours: int = 0,
    foreign: int = 0,
    free_bytes: int = 8 * GIB,
    enabled: bool = True,
    draining: bool = False,
    tags: tuple[str, ...] = (),
) -> PeerSnapshot:
    config = BackendConfig(id=name, name=name, host=name, enabled=enabled, draining=draining, tags=tags)
    vitals = Vitals(devices=(Device("gpu", "cuda", 24 * GIB, free_bytes),))
    return PeerSnapshot(config, BackendStatus(health, reason, vitals), ours, foreign)


class Fleet:
    """A scheduler with peers that are told of by hand. What it plans is handed over, and begun at once where
    nothing is ahead."""

    def __init__(
        self, *peers: PeerSnapshot, policy: Policy | None = None, knowledge: Knowledge | None = None
    ) -> None:
        self.scheduler = Scheduler(knowledge or Knowledge(), policy)
        self.peers = {one.config.id: one for one in peers}
        self.jobs: dict[str, WaitingJob] = {}
        self.now_s = 0.0
        for one in peers:
            self.scheduler.set_peer(one, 0.0)

    def learn(self, peer: str, kind: Kind, run_s: float, load_s: float = 0.0) -> None:
        """Three runs of this kind there, the first of which loaded."""
        knowledge = self.scheduler.knowledge
        for total_s, head_s in ((run_s + load_s, load_s), (run_s, 0.0), (run_s, 0.0)):
            cold = knowledge.note_begun(peer, kind)
            knowledge.note_run(peer, kind, total_s, head_s, cold)
        self.scheduler.set_peer(self.peers[peer], self.now_s)

    def wait(
        self,
        job_id: str,
        kind: Kind = UNKNOWN_KIND,
        *on: str,
        priority: float = 0.0,
        client: str = "me",
        since_s: float = 0.0,
        **need: object,
    ) -> None:
        """A job waits that can run `on` these peers, on all where none is named."""
        unmet = {name: () if not on or name in on else ("it lacks the file x",) for name in self.peers}
        wanted = Need(unmet=unmet, **need)  # type: ignore[arg-type]
        group = (kind.signature, on, repr(sorted(need.items())))
        self.jobs[job_id] = WaitingJob(job_id, group, wanted, kind, priority, client, since_s)
        self.scheduler.enter(self.jobs[job_id])

    def run_on(self, peer: str, job_id: str, kind: Kind, begun_at_s: float | None = 0.0) -> None:
        """A job of ours is on this peer, behind what is there."""
        self.wait(job_id, kind)
        self.scheduler.leave(job_id)
        self._put(peer, job_id, begun_at_s)

    def plan(self, at_s: float = 0.0) -> list[tuple[str, str]]:
        self.now_s = at_s
        self.last = self.scheduler.plan(at_s)
        found = [(start.job_id, start.backend_id) for start in self.last.starts]
        for job_id, peer in found:
            self._put(peer, job_id, None if self.peers[peer].jobs else at_s)
        return found

    def end(self, peer: str, at_s: float) -> None:
        """The running job there is done."""
        self.now_s = at_s
        running, *rest = self.peers[peer].jobs
        assert running.begun_at_s is not None
        self.scheduler.knowledge.note_run(peer, running.kind, at_s - running.begun_at_s, 0.0, running.cold)
        if rest:
            cold = self.scheduler.knowledge.note_begun(peer, rest[0].kind)
            rest[0] = replace(rest[0], begun_at_s=at_s, cold=cold)
        self._set(peer, replace(self.peers[peer], jobs=tuple(rest)))

    def _put(self, peer: str, job_id: str, begun_at_s: float | None) -> None:
        job, there = self.jobs[job_id], self.peers[peer]
        cold = () if begun_at_s is None else self.scheduler.knowledge.note_begun(peer, job.kind)
        ours = OurJob(job_id, job.group, job.need, job.kind, begun_at_s, cold=cold)
        self._set(peer, replace(there, jobs=(*there.jobs, ours)))

    def _set(self, peer: str, snapshot: PeerSnapshot) -> None:
        self.peers[peer] = snapshot
        self.scheduler.set_peer(snapshot, self.now_s)
