"""By when all that waits could be done, by the fleet or by the peers of one group, as of one look.

A start is measured by that: what is done before delays nothing.
"""

from __future__ import annotations

import numpy as np

from .grid import Grid
from .levels import Floats, Ints, fluid_level, fluid_levels
from .waiting import Groups, Waiting

#: A group needs its few peers if these, each behind a long job, need this share of the time of all for all.
CRITICAL = 0.85
#: Per other peer beside one of its own, it is due sooner than it came by this share of that time; of at most
#: that many.
HEAD_START = 0.5
OTHERS_MAX = 8.0


class Horizon:
    """`ready_s`: when each peer is expected to have nothing ahead. Starts hardly change by when all is done:
    what a peer takes does not wait any more."""

    def __init__(self, grid: Grid, groups: Groups, ready_s: Floats, now_s: float) -> None:
        self._grid = grid
        self._groups = groups
        self._ready_s, self._now_s = ready_s.copy(), now_s
        self._all_s: dict[float, float] = {}  #: by priority
        size = len(groups.count)
        self._own_s, self._head_start_s = np.full(size, -np.inf), np.zeros(size)
        few = grid.rows.few[groups.rows]
        rows = groups.rows[(few > 0) & (few < groups.usable_count)]
        if len(rows):
            self._look_at_few(rows)

    def is_in_time(self, w: Waiting, finish_s: float) -> bool:
        """Whether that is no later than the fleet could finish all that goes before or with this
        group; or, for a group that few peers may take, than those could finish it."""
        own_s = self._own_s.item(w.row.number)
        return finish_s <= own_s or finish_s <= self._level_of_all_s(w.head.priority)

    def head_starts_s(self, rows: Ints) -> Floats:
        """By how much sooner than they came these groups are due, since they need their few peers; or since
        these might, as nothing of their kind ever ran: better to find out how long it takes than be late."""
        starts_s: Floats = self._head_start_s[rows]
        return starts_s

    def needs_its_peers(self, w: Waiting) -> bool:
        return self._head_start_s.item(w.row.number) > 0.0

    def _look_at_few(self, rows: Ints) -> None:
        """Of groups that not every usable peer may take: by when their own could be done, and which need
        them."""
        grid, groups, known = self._grid, self._groups, self._grid.rows
        sets, its_set = np.unique(groups.peer_set[rows], return_inverse=True)
        may = groups.sets.members[sets]
        levels_s = fluid_levels(self._ready_s, grid.speed, may, groups.work_within(sets))
        self._own_s[rows] = levels_s[its_set]
        longest_s = float(np.maximum.reduce(known.weight_s[groups.rows]))
        long_s = longest_s * may.sum(axis=1) / np.maximum(may @ grid.speed, 1e-9)
        all_left_s = np.zeros(len(rows))
        for priority in set((priorities := groups.priority[rows]).tolist()):
            all_left_s[priorities == priority] = self._level_of_all_s(priority) - self._now_s
        is_seen = known.seen[rows] > 0
        left_s = np.where(is_seen, (levels_s + long_s)[its_set] - self._now_s, all_left_s)
        needs = left_s >= CRITICAL * all_left_s
        if groups.jobs <= groups.usable_count:  # one for each peer is left
            needs &= ~is_seen
        others = np.minimum(groups.usable_count / known.few[rows] - 1.0, OTHERS_MAX)
        self._head_start_s[rows] = np.where(needs, HEAD_START * others * all_left_s, 0.0)

    def _level_of_all_s(self, priority: float) -> float:
        if priority not in self._all_s:
            usable, work_s = self._groups.usable, self._groups.work_from(priority)
            self._all_s[priority] = fluid_level(self._ready_s[usable], self._grid.speed[usable], work_s)
        return self._all_s[priority]
