"""One look at the whole line and the whole fleet: which waiting job goes to which free peer now.

While there is much to do, each free peer takes the next job in the line that it can be through with before
the fleet as a whole could be through with everything: there nothing is lost. A warm model counts for its job,
by the seconds that loading would cost, but not without end, so that nothing starves. When the end of the line
is near, all of it is planned onto the peers that would be through with it first, busy or not, and a peer that
would only make things later stays free.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from .grid import Grid, Row
from .levels import Counts, fluid_level, share_out
from .ordering import Group, Head, Line
from .peers import OurJob


@dataclass(frozen=True)
class Policy:
    """``prefetch_lead_s``: a busy peer gets its next job when it is expected to need it within so long.
    ``patience``: a job that would have to load first goes before one with a warm model when it is due by so
    many times the loading earlier. After `starving_s` of waiting a job gets one of `starving_turn` starts,
    whatever its priority. ``take_back_s`` and ``take_back_share``: what another peer has to be sooner by.
    """

    prefetch_lead_s: float = 15.0
    patience: float = 10.0
    starving_s: float = 600.0
    starving_turn: int = 8
    take_back_s: float = 0.5
    take_back_share: float = 0.1
    second_copies: bool = False
    copy_share: float = 0.5  #: a copy has to need less than this part of what the first one still needs


@dataclass(frozen=True)
class Pick:
    """A job of `group` goes to the peer in column `at`."""

    at: int
    group: Hashable
    head: Head
    row: Row


@dataclass
class _Waiting:
    key: Hashable
    group: Group
    row: Row
    head: Head


_CRITICAL = 0.85  #: a group whose own peers need so much of the time that all peers need for all comes first


class Pass:
    """Picks jobs until nothing more can start. `turn` counts the starts so far, over all passes."""

    def __init__(self, grid: Grid, line: Line, now_s: float, policy: Policy, turn: int = 0) -> None:
        self._grid = grid
        self._line = line
        self._now_s = now_s
        self._policy = policy
        self.turn = turn
        self._waiting: dict[Hashable, _Waiting] = {}
        for key, group in list(line.groups.items()):
            row = grid.row(key, group.kind, group.need)
            head = line.head(group, now_s)
            if head is not None and row.few:
                self._waiting[key] = _Waiting(key, group, row, head)
        self._ready = grid.ready_s(now_s)
        self._usable = np.zeros(len(self._ready), np.bool_)
        for waiting in self._waiting.values():
            self._usable |= waiting.row.may
        self._levels: dict[float, float] = {}
        self._own_levels: dict[Hashable, float] = {}

    def next(self) -> Pick | None:
        """The next start; to be told by ``started`` before the next one is asked for."""
        if not self._waiting:
            return None
        free = self.free()
        if not len(free):
            return None
        idle_first = np.lexsort((self._grid.tie[free], -self._grid.speed[free], self._ready[free]))
        for at in free[idle_first]:
            pick = self._from_the_line(int(at))
            if pick is not None:
                return pick
            if any(w.row.may[at] for w in self._waiting.values()):
                break
        return self._by_plan(set(free.tolist()))

    def free(self) -> Counts:
        """Columns of peers that can be handed a job now."""
        grid = self._grid
        soon = (self._ready - self._now_s <= self._policy.prefetch_lead_s) | grid.is_vague
        return np.nonzero((grid.room > 0) & self._usable & soon)[0]

    def started(self, pick: Pick) -> None:
        """The job of this pick left the line and is on its peer."""
        grid = self._grid
        self.turn += 1
        self._line.leave(pick.head.job_id)
        live = max(int(self._usable.sum()), 1)
        self._line.note_start(pick.head.client, float(pick.row.run[pick.at]) / live, self._now_s)
        grid.add_job(pick.at, OurJob(pick.head.job_id, pick.group, pick.row.need, pick.row.kind), self._now_s)
        self._ready[pick.at] = grid.ready_s(self._now_s)[pick.at]
        self._levels.clear()
        waiting = self._waiting[pick.group]
        head = self._line.head(waiting.group, self._now_s) if waiting.group.count else None
        if head is None:
            del self._waiting[pick.group]
        else:
            waiting.head = head
        if self._line.several_clients:
            for other in self._waiting.values():
                other.head = self._line.head(other.group, self._now_s) or other.head

    # While there is much to do

    def _from_the_line(self, at: int) -> Pick | None:
        here = [w for w in self._waiting.values() if w.row.may[at]]
        if not here:
            return None
        if self.turn % self._policy.starving_turn == self._policy.starving_turn - 1:
            starving = self._starving(at, here)
            if starving is not None:
                return starving
        ready = float(self._ready[at])
        ranked = sorted(here, key=lambda w: self._rank(w, at)) if len(here) > 1 else here
        chosen: _Waiting | None = None
        for w in ranked:
            if ready + w.row.load[at] + w.row.run[at] <= self._level(w):
                chosen = w
                break
        if chosen is None:
            return None
        chosen = self._longest_if_late(chosen, ranked, at, ready)
        return Pick(at, chosen.key, chosen.head, chosen.row)

    def _rank(self, w: _Waiting, at: int) -> tuple[float, bool, float, float, int]:
        load_s = float(w.row.load[at])
        uncovered = 0.0
        if load_s:
            warm = int((w.row.may & (w.row.load == 0.0)).sum())
            uncovered = w.group.count * w.row.weight_s / (1 + warm)
        due_s = w.head.due_s + self._policy.patience * load_s
        return -w.head.priority, not self._is_critical(w), due_s, -uncovered, w.row.few

    def _longest_if_late(self, chosen: _Waiting, ranked: list[_Waiting], at: int, ready: float) -> _Waiting:
        """A long job that would come too late behind the chosen one goes before it."""
        after = ready + float(chosen.row.load[at] + chosen.row.run[at])
        best = chosen
        for w in ranked:
            if w.head.priority != chosen.head.priority or w.row.weight_s <= best.row.weight_s:
                continue
            cost = float(w.row.load[at] + w.row.run[at])
            level = self._level(w)
            if ready + cost <= level < after + float(w.row.run[at]) and w.row.load[at] <= chosen.row.load[at]:
                best = w
        return best

    def _starving(self, at: int, here: list[_Waiting]) -> Pick | None:
        heads = [(w, self._line.head(w.group, self._now_s, oldest=True)) for w in here]
        oldest = min(((head.since_s, n, w, head) for n, (w, head) in enumerate(heads) if head), default=None)
        if oldest is None or self._now_s - oldest[0] < self._policy.starving_s:
            return None
        return Pick(at, oldest[2].key, oldest[3], oldest[2].row)

    def _level(self, w: _Waiting) -> float:
        """By when the fleet could be through with all that goes before or with this group; for a group that
        few peers may take, by when those could be through with it if that is later."""
        priority = w.head.priority
        level = self._levels.get(priority)
        if level is None:
            work_s = sum(
                count * other.row.weight_s
                for other in self._waiting.values()
                for p, count in other.group.tally.items()
                if p >= priority
            )
            usable = self._usable
            level = fluid_level(self._ready[usable], self._grid.speed[usable], work_s)
            self._levels[priority] = level
        return level if w.row.few == self._usable.sum() else max(level, self._own_level(w))

    def _own_level(self, w: _Waiting) -> float:
        """By when its own peers could be through with what only they may take."""
        level = self._own_levels.get(w.key)
        if level is None:
            may = w.row.may
            work_s = sum(
                other.group.count * other.row.weight_s
                for other in self._waiting.values()
                if other.row.few <= w.row.few and not np.any(other.row.may & ~may)
            )
            level = fluid_level(self._ready[may], self._grid.speed[may], work_s)
            self._own_levels[w.key] = level
        return level

    def _is_critical(self, w: _Waiting) -> bool:
        if w.row.few == self._usable.sum():
            return False
        self._level(w)
        horizon = self._levels[w.head.priority] - self._now_s
        return self._own_level(w) - self._now_s >= _CRITICAL * horizon

    # Near the end of the line

    def _by_plan(self, free: set[int]) -> Pick | None:
        """Share all waiting jobs out; the first that starts at once on a peer with room for it."""
        ready = self._ready.copy()
        order = sorted(self._waiting.values(), key=_rank_at_the_end)
        for w in order:
            at = np.nonzero(w.row.may)[0]
            start = ready[at] + w.row.load[at]
            given = share_out(start + self._grid.tie[at], w.row.run[at], w.group.count)
            takes = given > 0
            for column in at[takes]:
                if int(column) in free and ready[column] == self._ready[column]:
                    return Pick(int(column), w.key, w.head, w.row)
            ready[at[takes]] = start[takes] + given[takes] * w.row.run[at[takes]]
        return None


def _rank_at_the_end(w: _Waiting) -> tuple[float, int, float]:
    return -w.head.priority, w.row.few, -w.row.weight_s
