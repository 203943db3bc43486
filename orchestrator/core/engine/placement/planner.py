"""Plans and forecasts: the queue, the fleet as arrays and what was learned, brought together with numpy.

The only way to it is the scheduler's. All moments are seconds on its caller's clock.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...prompts.kinds import Kind
from ..estimates.knowledge import Knowledge
from .costs import CostMatrix
from .eligibility import check_eligibility
from .explain import OTHERS_MAX, Forecast, duration, sentence
from .levels import Bools, Floats, share_out
from .need import Need
from .peers import OurJob, PeerSnapshot
from .pending_jobs import PendingJobs
from .placer import Pick, Placer
from .plan import Plan, SecondCopy, Start, TakeBack
from .policy import Policy

#: Consider take-backs from at most this many peers: those that would finish last.
TAKE_BACKS_MAX = 16
HELD_LOOK_S = 5.0  #: how often it is looked whether a job still waits for a quicker peer


@dataclass
class _Before:
    """Waiting jobs that the same peers may take: what all would load on each, and how long they would run."""

    may: Bools
    takes_s: Floats
    jobs: int = 0


class Planner:
    """See Scheduler for what each method does."""

    def __init__(self, knowledge: Knowledge, policy: Policy, line: PendingJobs) -> None:
        self.knowledge = knowledge
        self.policy = policy
        self.line = line
        self._costs = CostMatrix(knowledge)
        self._placer = Placer(self._costs, line, policy)

    def set_peer(self, snapshot: PeerSnapshot, now_s: float) -> None:
        self._costs.set_peer(snapshot, now_s)

    def remove_peer(self, backend_id: str) -> None:
        self._costs.remove_peer(backend_id)

    def plan(self, now_s: float) -> Plan:
        costs = self._costs
        if len(costs.rows) > 2 * len(self.line.groups) + 64:
            costs.keep_only(self.line.groups)
        starts = [self._start(pick, now_s) for pick in self._placer.look(now_s)]
        if self._placer.has_more:
            return Plan(tuple(starts), look_again_s=0.0)
        idle = costs.idle
        is_any_idle = bool(np.count_nonzero(idle))
        return Plan(
            tuple(starts),
            self._take_backs(idle, now_s) if is_any_idle and np.count_nonzero(costs.behind) else (),
            self._copies(idle, now_s) if is_any_idle and self.policy.second_copies else (),
            self._look_again_s(now_s) if len(self.line) else None,
        )

    def forecasts(self, kind: Kind, need: Need, now_s: float, priority: float = 0.0) -> tuple[Forecast, ...]:
        ready = self._costs.ready_s(now_s)
        self.knowledge.keep_sizes(kind.files)
        need_gb = self.knowledge.memory_need(kind).gb
        live = [at for at, column in enumerate(self._costs.columns) if column is not None]
        found = {at: self._forecast(at, kind, need, float(ready[at]), now_s, need_gb) for at in live}
        able = [at for at, forecast in found.items() if forecast.eligibility.eligible]
        for at, (before, turn_s) in self._turns(able, priority, ready).items():
            found[at] = replace(found[at], before=before, start_s=max(found[at].start_s, turn_s - now_s))
        return tuple(
            sorted(found.values(), key=lambda r: (r.finish_s is None, r.finish_s or 0.0, r.eligibility.name))
        )

    def rest_s(self, now_s: float) -> float | None:
        costs, knows = self._costs, self.knowledge.knows
        live = [at for at, column in enumerate(costs.columns) if column is not None]
        waiting = list(self._waiting(-np.inf).values())
        is_whole = len(self.line) == sum(its.jobs for its in waiting)
        if not is_whole or not all(its.may.any() for its in waiting):
            return None
        if not all(knows(group.kind, "") for group in self.line.groups.values() if group.count):
            return None
        if any(not knows(job.kind, costs.id(at)) for at in live for job in costs.jobs(at)):
            return None
        ready = costs.ready_s(now_s)
        ends_s = [float(ready[at]) for at in live if costs.jobs(at)]
        for peers in [its.may for its in waiting] + [np.ones(len(ready), np.bool_)][: len(waiting)]:
            theirs = [its for its in waiting if not (its.may & ~peers).any()]  # nobody else may do these
            ends_s += [end_s for _, end_s in self._turns_behind(theirs, ready).values()]
        return max(max(ends_s) - now_s, 0.0) if ends_s else None

    # Within

    def _turns(self, able: list[int], priority: float, ready: Floats) -> dict[int, tuple[int, float]]:
        """For each of these peers: how many waiting jobs that may run there go before a new one, and by when
        it has finished its share of them; 0 jobs where it gets none."""
        groups = self._waiting(priority)
        found: dict[tuple[bytes, ...], dict[int, tuple[int, float]]] = {(): {}}
        turns: dict[int, tuple[int, float]] = {}
        for at in able:
            here = tuple(mask for mask, before in groups.items() if before.may[at])
            if here not in found:
                found[here] = self._turns_behind([groups[mask] for mask in here], ready)
            turns[at] = found[here].get(at, (0, 0.0))
        return turns

    def _waiting(self, priority: float) -> dict[bytes, _Before]:
        """What waits with this priority, or a higher one, by the peers that may take it."""
        groups: dict[bytes, _Before] = {}
        rows_max = self._costs.rows_max
        for key, group in self.line.groups.items():
            if key not in self._costs.rows and len(self._costs.rows) >= rows_max:
                continue
            row = self._costs.row(key, group.kind, group.need)
            count = sum(number for its, number in group.tally.items() if its >= priority)
            if count:
                nothing = _Before(row.may, np.zeros((2, len(row.may))))
                before = groups.setdefault(row.may.tobytes(), nothing)
                before.jobs += count
                before.takes_s += count * np.array((row.load, row.run))
        return groups

    def _turns_behind(self, groups: list[_Before], ready: Floats) -> dict[int, tuple[int, float]]:
        """The same behind these, without the peers that get none of them."""
        may, jobs = np.logical_or.reduce([its.may for its in groups]), sum(its.jobs for its in groups)
        load_s, run_s = np.add.reduce([its.takes_s for its in groups])[:, may] / jobs
        start_s = ready[may] + load_s
        given = share_out(start_s + self._costs.tie[may], run_s, jobs)
        until_s = start_s + given * run_s
        takes = given > 0
        theirs = np.flatnonzero(may)[takes].tolist()
        return {at: (jobs, end_s) for at, end_s in zip(theirs, until_s[takes].tolist(), strict=True)}

    def _start(self, pick: Pick, now_s: float) -> Start:
        costs, at = self._costs, pick.at
        load_s, run_s = pick.row.load.item(at), pick.row.run.item(at)
        finish_s = pick.ready_s + load_s + run_s - now_s
        is_known = self.knowledge.knows(pick.row.kind, costs.id(at))
        takes_s = load_s + run_s if is_known else None
        explain = partial(self._explain, pick, now_s, load_s, run_s, costs.ahead(at))
        return Start(pick.head.job_id, costs.id(at), finish_s, takes_s, explain)

    def _explain(self, pick: Pick, now_s: float, load_s: float, run_s: float, ahead: int) -> str:
        """Why the peer of this pick, and what of those that would have been next best."""
        costs, row = self._costs, pick.row
        ready = costs.ready_s(now_s)
        finish = np.where(row.may, ready + row.load + row.run, np.inf)
        live = [at for at in np.argsort(finish)[: OTHERS_MAX + 2].tolist() if costs.columns[at] is not None]
        others = [at for at in live if at != pick.at][:OTHERS_MAX]
        mine = self._forecast(pick.at, row.kind, row.need, pick.ready_s, now_s)
        # since it was picked, it and others have joined the queue there
        mine = replace(mine, load_s=load_s, run_s=run_s, cold=mine.cold if load_s else (), ahead=ahead)
        forecasts = [
            mine,
            *(self._forecast(at, row.kind, row.need, float(ready[at]), now_s) for at in others),
        ]
        return sentence(costs.id(pick.at), forecasts, unnamed=len(costs.index) - len(forecasts))

    def _forecast(
        self, at: int, kind: Kind, need: Need, ready_s: float, now_s: float, need_gb: float = 0.0
    ) -> Forecast:
        column = self._costs.column(at)
        snapshot = column.snapshot
        found = self.knowledge.estimate(snapshot.config.id, kind, column.warm)
        return Forecast(
            check_eligibility(need, snapshot),
            snapshot,
            max(ready_s - now_s, 0.0),
            found.load_s,
            max(found.run_s, column.slow_s(kind)),
            found.spread_s,
            found.origin,
            found.cold,
            bool(kind.files),
            bool(self._costs.room[at] > 0),
            need_gb,
            found.shortage,
            self._costs.ahead(at),
            cautions=need.cautions.get(snapshot.config.id, ()),
        )

    def _id(self, at: int) -> str:
        column = self._costs.columns[at]
        return column.snapshot.config.id if column else ""

    def _take_backs(self, idle: Bools, now_s: float) -> tuple[TakeBack, ...]:
        """Unstarted jobs that an idle peer could finish sooner, the greatest gain first; each idle
        peer gets one at most. A stuck peer is never through."""
        costs, policy = self._costs, self.policy
        ready = costs.ready_s(now_s)
        ready[costs.behind & costs.stuck] = np.inf
        found: list[tuple[float, float, OurJob, int, int]] = []
        behind, free = np.flatnonzero(costs.behind), np.flatnonzero(idle)
        ready_free = ready[free]
        soonest: dict[Hashable, tuple[int, float]] = {}  #: by group: which idle peer, and when
        for there in behind[np.argsort(-ready[behind], kind="stable")[:TAKE_BACKS_MAX]].tolist():
            for job in costs.jobs(there):
                if job.begun_at_s is not None or job.taking_back:
                    continue
                if job.group not in soonest:
                    row = costs.row(job.group, job.kind, job.need)
                    here = np.where(row.may[free], ready_free + row.load[free] + row.run[free], np.inf)
                    first = int(here.argmin())
                    soonest[job.group] = int(free[first]), here.item(first)
                at, done_s = soonest[job.group]
                gain_s, takes_s = ready.item(there) - done_s, done_s - now_s
                if np.isfinite(takes_s) and gain_s > policy.take_back_s + policy.take_back_share * takes_s:
                    found.append((gain_s, takes_s, job, there, at))
        chosen: dict[int, TakeBack] = {}
        for _, takes_s, job, there, at in sorted(found, key=lambda one: -one[0]):
            reason = f"{costs.snapshot(at).config.name} could finish it in {duration(takes_s)}"
            chosen.setdefault(at, TakeBack(job.job_id, costs.id(there), costs.id(at), reason))
        return tuple(chosen.values())

    def _copies(self, idle: Bools, now_s: float) -> tuple[SecondCopy, ...]:
        """With nothing left to start: running jobs that an idle peer would finish much sooner."""
        costs = self._costs
        ready = costs.ready_s(now_s)
        chosen: dict[int, SecondCopy] = {}
        fit = np.array([bool(column and column.snapshot.has_copies) for column in costs.columns])
        for there in np.argsort(-ready).tolist():
            if not fit[there]:
                continue
            for job in costs.jobs(there):
                if job.begun_at_s is None or job.taking_back or job.is_copied:
                    continue
                row = costs.row(job.group, job.kind, job.need)
                here = np.where(row.may & idle & fit, ready + row.load + row.run, np.inf)
                at, left_s = int(np.argmin(here)), float(ready[there]) - now_s
                takes_s = float(here[at]) - now_s
                if at != there and at not in chosen and takes_s < self.policy.copy_share * left_s:
                    mine, first = costs.snapshot(at).config.name, costs.snapshot(there).config.name
                    words = (
                        f"{mine} would finish it in about {duration(takes_s)}; "
                        f"{first} still needs {duration(left_s)}"
                    )
                    chosen[at] = SecondCopy(job.job_id, costs.id(at), words)
        return tuple(chosen.values())

    def _look_again_s(self, now_s: float) -> float | None:
        """When the next busy peer is near enough to its end to get its next job, or a job has waited for one
        for as long as it may."""
        costs = self._costs
        later = self._placer.ready - now_s - self.policy.prefetch_lead_s
        due = later[(costs.room > 0) & (later > 0)].tolist()
        return min((*due, HELD_LOOK_S) if self._placer.is_holding else due, default=None)
