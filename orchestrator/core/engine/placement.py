"""One look at the whole line and the whole fleet: which waiting job goes to which free peer now.

While there is much to do, each free peer takes the next job in the line that it can be through with before
the fleet as a whole could be through with everything: there nothing is lost. A warm model counts for its job,
by the seconds that loading would cost, but not without end, so that nothing starves. When the end of the line
is near, all of it is planned onto the peers that would be through with it first, busy or not, and a peer that
would only make things later stays free.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .endgame import Batch, better_start
from .grid import Bools, Grid, Row
from .levels import Floats, fluid_level, share_out
from .loading import again_s, is_needed_more, rates
from .ordering import Head, Line
from .peers import OurJob
from .waiting import Groups, Waiting


@dataclass(frozen=True)
class Policy:
    """``prefetch_lead_s``: a busy peer gets its next job when it is expected to need it within so long. A job
    for which others would have to load again goes before those only if it is due earlier, by that loading
    times (``worth`` × loading / waiting work with its files) ** ``power``, at most by ``put_off_s``.
    After `starving_s` of waiting a job gets one of `starving_turn` starts, whatever its priority; so does one
    that came so much sooner than the jobs of few peers that go before it.
    ``take_back_s`` and ``take_back_share``: what another peer has to be sooner by. ``copy_share``: a second
    copy has to need less than this part of what the first one still needs.
    """

    prefetch_lead_s: float = 15.0
    worth: float = 100.0
    power: float = 1.5
    put_off_s: float = 600.0
    starving_s: float = 600.0
    starving_turn: int = 8
    take_back_s: float = 0.5
    take_back_share: float = 0.1
    second_copies: bool = False
    copy_share: float = 0.5


@dataclass(frozen=True)
class Pick:
    """The next job of `group` goes to the peer in column `at`, which has nothing ahead from `ready_s` on."""

    at: int
    group: Hashable
    head: Head
    row: Row
    ready_s: float


@dataclass(frozen=True)
class _Level:
    """By when some work can be done, as reckoned at a moment with so many jobs waiting; and what the longest
    waiting job usually takes on these peers."""

    level_s: float
    long_s: float
    at_s: float
    jobs: int


#: A group comes first whose own peers, behind a long job each, need so much of the time of all for all.
CRITICAL = 0.85
#: What came within so many seconds came together: where a model is warm, its job goes first.
TOGETHER_S = 1.0
#: With so many jobs or fewer, a start is tried out on all that is left.
END_PER_PEER, END_MAX = 4, 64
#: A level is good for so much of the time that is left, or of the line.
_GOOD_FOR = 0.04
#: A plan of the end is kept for so much of the time that it spans.
_PLAN_FOR = 0.02
#: A peer for which there was nothing is asked again after so much of the shortest run there.
_ASK_AGAIN = 0.1


class Placer:
    """``turn`` counts the starts so far. Levels and the like are kept from one look to the next while they
    are near enough."""

    def __init__(self, grid: Grid, line: Line, policy: Policy) -> None:
        self._grid = grid
        self._line = line
        self._policy = policy
        self.turn = 0
        self._now_s = 0.0
        self.ready = grid.ready_s(0.0)
        self._groups = Groups(grid, line)
        self._waiting = self._groups.all
        self._critical: dict[Hashable, bool] = {}
        self._by_peers: list[tuple[Bools, float]] = []
        self._by_peers_of = -1
        self._levels: dict[tuple[Hashable, float], _Level] = {}
        self._plan: list[tuple[Hashable, dict[int, int]]] = []  #: how many of each group each peer gets
        self._plan_of, self._plan_until_s = (-1, -1), 0.0
        self._declined: dict[int, float] = {}
        self._declined_of = (-1, -1)
        self._rate: Floats | None = None
        self._stays: dict[tuple[object, ...], bool] = {}

    def look(self, now_s: float) -> Iterator[Pick]:
        """Each start, one by one; it is taken for done when the next one is asked for."""
        self._now_s = now_s
        self.ready = self._grid.ready_s(now_s)
        if not len(self._line):
            return
        soon = self.ready <= now_s + self._policy.prefetch_lead_s
        free = np.flatnonzero((self._grid.room > 0) & (soon | self._grid.is_vague)).tolist()
        if not free:
            return
        self._look_at_the_line()
        self._critical.clear()
        free = [at for at in free if self._groups.usable[at] and self._declined.get(at, 0.0) <= now_s]
        turns = [self._turn_of(at) for at in free]
        heapq.heapify(turns)
        while self._waiting and turns:
            at = heapq.heappop(turns)[-1]
            here = [w for w in self._waiting.values() if w.row.may[at]]
            if not here:
                continue
            first = self._from_the_line(at, here)
            picks = [first] if first else self._by_plan([at, *(other for *_, other in sorted(turns))])
            turns = turns if first else []
            for pick in picks:
                w = self._waiting.get(pick.group)
                if w is not None:  # the one before may have been of its group
                    now = pick if first else replace(pick, head=w.head)
                    yield now
                    self._started(now)
                if self._is_free(pick.at):
                    heapq.heappush(turns, self._turn_of(pick.at))

    def _look_at_the_line(self) -> None:
        self._by_peers_of = -1
        if self._groups.update(self._now_s):
            self._levels.clear()
        if self._declined_of != (self._line.entered, self._grid.judged):
            self._declined_of = (self._line.entered, self._grid.judged)
            self._declined.clear()

    def _is_free(self, at: int) -> bool:
        """Whether it can be handed another job now."""
        soon = self.ready[at] <= self._now_s + self._policy.prefetch_lead_s
        return bool(self._grid.room[at] > 0 and (soon or self._grid.is_vague[at]))

    def _turn_of(self, at: int) -> tuple[float, float, float, int]:
        """Which free peer is asked first: the one that is through first, the quickest of equals."""
        grid = self._grid
        return float(self.ready[at]), -float(grid.speed[at]), float(grid.tie[at]), at

    def _started(self, pick: Pick) -> None:
        grid, line, now_s = self._grid, self._line, self._now_s
        self.turn += 1
        line.leave(pick.head.job_id)
        line.note_start(
            pick.head.client, float(pick.row.run[pick.at]) / max(self._groups.usable_count, 1), now_s
        )
        job = OurJob(pick.head.job_id, pick.group, pick.row.need, pick.row.kind)
        grid.add_job(pick.at, job, pick.row, now_s)
        self.ready[pick.at] = grid.ready_at(pick.at, now_s)
        self._groups.note_start(pick.group)

    # While there is much to do

    def _from_the_line(self, at: int, here: list[Waiting]) -> Pick | None:
        ready = float(self.ready[at])
        self._rate, self._stays = None, {}
        if len(here) > 1:
            here.sort(key=lambda w: self._rank(w, at))
            if self.turn % self._policy.starving_turn == 0:
                starving = self._starving(at, here, ready)
                if starving is not None:
                    return starving
        for n, w in enumerate(here):
            is_in_time = self._is_in_time(w, ready + float(w.row.load[at]) + float(w.row.run[at]))
            if is_in_time and not self._had_better_stay(w, here[n + 1 :], at):
                chosen = self._longest_if_late(w, here[n + 1 :], at, ready)
                chosen = self._better_near_the_end(chosen, at)
                return Pick(at, chosen.key, chosen.head, chosen.row, ready)
        return None

    def _rank(self, w: Waiting, at: int) -> tuple[float, int, float, bool, float, int]:
        row, due_s, gain_s, is_cold = w.row, w.head.due_s, 0.0, bool(w.row.load[at])
        if is_cold:
            work_s = self._groups.work_with[row.kind.files]
            gain_s = work_s / (1 + row.warm)
            loads_s = again_s(self._grid, at, row, self._groups.files())
            due_s += self._put_off_s(loads_s, work_s) if loads_s else TOGETHER_S
        few = row.few if self._is_critical(w) else self._groups.usable_count
        return -w.head.priority, few, due_s, is_cold, -gain_s, row.few

    def _put_off_s(self, loads_s: float, work_s: float) -> float:
        """How long a job is put off for those that would have to load again: the longer, the less work of its
        files there is."""
        policy = self._policy
        share = min(policy.worth * loads_s / max(work_s, 1e-9), 1e3)
        return min(loads_s * math.pow(share, policy.power), policy.put_off_s)

    def _had_better_stay(self, w: Waiting, others: list[Waiting], at: int) -> bool:
        """Whether the peer is needed more where it is than for this group, which other peers have warm."""
        if not w.row.load[at] or not w.row.warm or self._is_critical(w):
            return False
        key = (at, w.row.kind.files, w.row.may.tobytes(), w.head.priority)
        known = self._stays.get(key)
        if known is None:
            if self._rate is None:
                self._rate = rates(self._grid, ((o.row, o.work_s) for o in self._waiting.values()))
            warm = [o.row for o in others if o.head.priority == w.head.priority and not o.row.load[at]]
            soon = self.ready <= self._now_s + self._policy.put_off_s  # nobody waits for a peer longer
            known = self._stays[key] = is_needed_more(self._grid, at, w.row, warm, self._rate, soon)
        return known

    def _longest_if_late(self, chosen: Waiting, others: list[Waiting], at: int, ready: float) -> Waiting:
        """A long job that would come too late behind the chosen one goes before it."""
        load_s = float(chosen.row.load[at])
        after = ready + load_s + float(chosen.row.run[at])
        best = chosen
        for w in others:
            row = w.row
            if row.weight_s <= best.row.weight_s or w.head.priority != chosen.head.priority:
                continue
            run_s, its_load_s = float(row.run[at]), float(row.load[at])
            is_late_behind = its_load_s <= load_s and not self._is_in_time(w, after + run_s)
            finish_s = ready + its_load_s + run_s
            if is_late_behind and (self._is_in_time(w, finish_s) or self._is_soonest(row, finish_s)):
                best = w
        return best

    def _better_near_the_end(self, chosen: Waiting, at: int) -> Waiting:
        """The last few jobs are tried out: what goes first decides by when all are done."""
        alike = [w for w in self._waiting.values() if w.row.few and w.head.priority == chosen.head.priority]
        if len(alike) < 2 or len(self._line) > min(END_PER_PEER * self._groups.usable_count, END_MAX):
            return chosen
        batches = [
            Batch(w.key, w.group.count, np.where(w.row.may, w.row.run, np.inf), w.row.load) for w in alike
        ]
        better = self._waiting[better_start(self.ready, batches, at, chosen.key, self._now_s)]
        return better if better.row.may[at] else chosen

    def _is_soonest(self, row: Row, finish_s: float) -> bool:
        """Whether a job of this row could not be done much sooner, wherever it went."""
        soonest_s = float((self.ready + row.load + row.run)[row.may].min(initial=np.inf))
        return finish_s - self._now_s <= (1 + _GOOD_FOR) * (soonest_s - self._now_s)

    def _starving(self, at: int, here: list[Waiting], ready: float) -> Pick | None:
        """A job that has waited long behind others of a higher priority, or that came so long before those of
        few peers that go first."""
        first = here[0]
        heads = [(w, head) for w in here if (head := self._line.head(w.group, oldest=True))]
        w, head = min(heads, key=lambda one: one[1].since_s)
        is_below = head.priority < first.head.priority
        is_behind = is_below or first.row.few < w.row.few
        waited_s = (self._now_s if is_below else first.head.since_s) - head.since_s
        is_starving = is_behind and w is not first and waited_s >= self._policy.starving_s
        return Pick(at, w.key, head, w.row, ready) if is_starving else None

    # How long everything takes

    def _is_in_time(self, w: Waiting, finish_s: float) -> bool:
        """Whether that is no later than the fleet could be through with all that goes before or with this
        group; or, for a group that few peers may take, than those could be through with it."""
        is_for_all = w.row.few == self._groups.usable_count
        if not is_for_all and finish_s <= self._level(w, own=True).level_s:
            return True
        roughly = self._level(w, own=False).level_s
        left_s = roughly - self._now_s
        if finish_s - self._now_s <= (1.0 - 2 * _GOOD_FOR) * left_s:
            return True
        if finish_s - self._now_s > (1.0 + 2 * _GOOD_FOR) * left_s:
            return False
        return finish_s <= self._level(w, own=False, exact=True).level_s

    def _level(self, w: Waiting, *, own: bool, exact: bool = False) -> _Level:
        key = (w.key if own else None, w.head.priority)
        jobs = w.group.count if own else len(self._line)
        known = self._levels.get(key)
        if known is not None and not exact:
            left_s = known.level_s - self._now_s
            if self._now_s - known.at_s <= _GOOD_FOR * left_s and abs(jobs - known.jobs) <= _GOOD_FOR * jobs:
                return known
        may = w.row.may if own else self._groups.usable
        work_s = self._own_work_s(w) if own else self._work_s(w.head.priority)
        speed = self._grid.speed[may]
        long_s = (
            max(o.row.weight_s for o in self._waiting.values()) * len(speed) / max(float(speed.sum()), 1e-9)
        )
        level = _Level(fluid_level(self.ready[may], speed, work_s), long_s, self._now_s, jobs)
        self._levels[key] = level
        return level

    def _work_s(self, priority: float) -> float:
        """Of all jobs of this priority and above."""
        return sum(
            w.work_s
            if len(w.group.tally) == 1 and w.head.priority >= priority
            else sum(count for p, count in w.group.tally.items() if p >= priority) * w.row.weight_s
            for w in self._waiting.values()
            if w.row.few
        )

    def _own_work_s(self, w: Waiting) -> float:
        """Of all jobs that only peers of this group may take."""
        other = ~w.row.may
        return sum(work_s for may, work_s in self._work_by_peers() if not np.any(may & other))

    def _work_by_peers(self) -> list[tuple[Bools, float]]:
        """The work of the waiting jobs, by the peers that may take them: kinds are many, these are few."""
        if self._by_peers_of != self.turn:
            found: dict[bytes, tuple[Bools, float]] = {}
            for o in (o for o in self._waiting.values() if o.row.few):
                key = o.row.may.tobytes()
                found[key] = o.row.may, o.work_s + (found[key][1] if key in found else 0.0)
            self._by_peers_of, self._by_peers = self.turn, list(found.values())
        return self._by_peers

    def _is_critical(self, w: Waiting) -> bool:
        if w.row.few == self._groups.usable_count:
            return False
        known = self._critical.get(w.key)
        if known is None:
            known = self._critical[w.key] = self._needs_its_peers(w)
        return known

    def _needs_its_peers(self, w: Waiting) -> bool:
        if not w.row.seen:
            return True  # nobody knows how long these take: better to find out than to be late
        if len(self._line) <= self._groups.usable_count:
            return False  # one for each peer is left: their order is tried out
        own = self._level(w, own=True)
        horizon_s = self._level(w, own=False).level_s - self._now_s
        return own.level_s + own.long_s - self._now_s >= CRITICAL * horizon_s

    # Near the end of the line

    def _by_plan(self, free: list[int]) -> list[Pick]:
        """Those of a plan for all waiting jobs that start at once on a peer with room for them."""
        of = (self._line.entered, self._grid.judged)
        if self._plan_of != of or self._now_s >= self._plan_until_s:
            self._plan_of = of
            self._share_all_out()
        picks: list[Pick] = []
        for column in free:
            for key, given in self._plan:
                w = self._waiting.get(key)
                if w is not None and given.get(column, 0):
                    given[column] -= 1
                    picks.append(Pick(column, key, w.head, w.row, float(self.ready[column])))
                    break
            else:
                runs = (float(w.row.run[column]) for w in self._waiting.values() if w.row.may[column])
                until_s = max(self._now_s + _ASK_AGAIN * min(runs, default=0.0), self._plan_until_s)
                self._declined[column] = until_s
        return picks

    def _share_all_out(self) -> None:
        """Plan who runs all that waits, group by group; kept for a small part of the time it will take."""
        ready = self.ready.copy()
        self._plan = []
        last_s = self._now_s
        for w in sorted((w for w in self._waiting.values() if w.row.few), key=_rank_at_the_end):
            at = np.flatnonzero(w.row.may)
            run = w.row.run[at]
            start = ready[at] + w.row.load[at]
            given = share_out(start + self._grid.tie[at], run, w.group.count)
            takes = given > 0
            taken = at[takes]
            self._plan.append((w.key, dict(zip(taken.tolist(), given[takes].tolist(), strict=True))))
            ready[taken] = start[takes] + given[takes] * run[takes]
            last_s = max(last_s, float(ready[taken].max(initial=0.0)))
        self._plan_until_s = self._now_s + _PLAN_FOR * (last_s - self._now_s)


def _rank_at_the_end(w: Waiting) -> tuple[float, int, float]:
    return -w.head.priority, w.row.few, -w.row.weight_s
