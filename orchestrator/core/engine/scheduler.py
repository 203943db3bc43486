"""Who runs what, and when. Pure; `now_s` and all moments are seconds on one steady clock of the caller's.

The caller tells what changes (``set_peer``, ``enter``, ``leave``) and asks for a ``plan``, which takes what
it starts out of the queue. Of what runs it tells ``knowledge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..prompts.kinds import Kind
from .estimates.knowledge import Knowledge
from .placement.eligibility import check_eligibility, no_peer_error, outranked
from .placement.explain import Forecast
from .placement.need import Need
from .placement.peers import PeerSnapshot
from .placement.pending_jobs import PendingJobs, WaitingJob
from .placement.plan import Placement, Plan
from .placement.policy import Policy

if TYPE_CHECKING:
    from .placement.planner import Planner


class Scheduler:
    def __init__(self, knowledge: Knowledge | None = None, policy: Policy | None = None) -> None:
        self.knowledge = knowledge or Knowledge()
        self.line = PendingJobs()
        self._policy = policy or Policy()

    @cached_property
    def _planner(self) -> Planner:
        # Plans need numpy, which every ComfyUI has. To name this class, or to hear that nobody can take a
        # job, needs nothing but Python.
        from .placement.planner import Planner

        return Planner(self.knowledge, self._policy, self.line)

    # What happens

    def set_peer(self, snapshot: PeerSnapshot, now_s: float) -> None:
        """A peer is new, or anything of its snapshot changed, or what was learned of it."""
        self._planner.set_peer(snapshot, now_s)

    def remove_peer(self, backend_id: str) -> None:
        self._planner.remove_peer(backend_id)

    def enter(self, job: WaitingJob) -> None:
        """A job waits; or what is known of a waiting one changed."""
        self.line.enter(job)

    def leave(self, job_id: str) -> None:
        """A waiting job does not wait any more. Not to be told of those that a plan started."""
        self.line.leave(job_id)

    def use_second_copies(self, wanted: bool) -> None:
        """Whether plans may run the last running jobs a second time."""
        self._planner.policy = replace(self._planner.policy, second_copies=wanted)

    # What to do

    def plan(self, now_s: float) -> Plan:
        """What is to be done now. Started jobs are out of the queue and count for their peers."""
        return self._planner.plan(now_s)

    def rest_s(self, now_s: float) -> float | None:
        """Expected seconds until all that runs and waits is done, if nothing more comes; None where nobody
        can tell: nothing like some of it ever ran, or no peer may take it."""
        return self._planner.rest_s(now_s)

    def select_backend(self, need: Need | None, peers: Sequence[PeerSnapshot] | None) -> Placement | None:
        """Choose a peer for one job of which nothing else is known; None when it should rather wait.

        Raises:
            NoEligiblePeerError: no peer can take it, with the reason for each.
        """
        need, peers = need or Need(), peers or ()
        verdicts = [check_eligibility(need, peer) for peer in peers]
        if not any(verdict.eligible for verdict in verdicts):
            raise no_peer_error(verdicts)
        need = replace(need, outranked=outranked(need, verdicts))
        alone = Scheduler(self.knowledge, self._policy)
        for peer in sorted(peers, key=lambda peer: peer.config.name):
            alone.set_peer(peer, 0.0)
        alone.enter(WaitingJob("", need=need))
        starts = alone.plan(0.0).starts
        return Placement(starts[0].backend_id, starts[0].explain(), starts[0].takes_s) if starts else None

    def forecasts(self, kind: Kind, need: Need, now_s: float, priority: float = 0.0) -> tuple[Forecast, ...]:
        """What each peer would do with such a job if it were sent now, the first to be done at the front,
        those that may not take it at the end. What waits with this priority, or a higher one, goes first."""
        return self._planner.forecasts(kind, need, now_s, priority)
