"""By when all that waits could be done, by the fleet or by the peers of one group; kept while near enough.

A start is measured by that: what is through before delays nothing.
"""

from __future__ import annotations

import numpy as np

from .grid import Grid
from .levels import Bools, Floats, Ints, fluid_level, fluid_levels
from .pending_jobs import PendingJobs
from .waiting import Groups, Waiting

#: A group needs its few peers if these, each behind a long job, need this share of the time of all for all.
CRITICAL = 0.85
#: Per other peer beside one of its own, it is due sooner than it came by this share of that time; of at most
#: at most.
HEAD_START = 0.5
OTHERS_MAX = 8.0
#: A level, and whether a group is critical, is good for this share of the time that is left, or of the line.
GOOD_FOR = 0.04


#: By when some work can be done, as computed at a moment with that much of it waiting.
_Level = tuple[float, float, float]


class Horizon:
    def __init__(self, grid: Grid, line: PendingJobs, groups: Groups) -> None:
        self._grid = grid
        self._line = line
        self._groups = groups
        self._now_s = 0.0
        self._ready: Floats = np.zeros(0)
        self._of_all: dict[float, _Level] = {}
        # By row, of a group and its own peers: as in _Level, what the longest waiting job usually takes on
        # these peers, and by how much sooner the group is due for needing them.
        self._level_s, self._long_s = np.zeros(0), np.zeros(0)
        self._at_s, self._work_s = np.zeros(0), np.zeros(0)
        self._head_start_s = np.zeros(0)
        self._asked_until_s, self._asked_jobs = 0.0, (0, 0)  #: these hold until then, and for that many jobs

    def look(self, now_s: float, ready: Floats, *, is_changed: bool, is_weighed: bool) -> None:
        """A look begins. `ready`: when each peer is expected to have nothing ahead; the caller keeps it true.
        `is_changed`: groups, or verdicts on peers, are others now, and all is to be computed again.
        `is_weighed`: jobs may weigh something else."""
        self._now_s, self._ready = now_s, ready
        if is_changed:
            size = len(self._groups.count)
            self._of_all.clear()
            self._level_s, self._long_s = np.full(size, np.nan), np.zeros(size)
            self._at_s, self._work_s = np.zeros(size), np.zeros(size)
        if is_weighed:
            self._of_all.clear()
        if is_changed or is_weighed or now_s > self._asked_until_s:
            self._ask()

    def left_s(self, priority: float) -> float:
        """In how many seconds the fleet could finish everything of this priority and above."""
        return self._level_of_all_s(priority) - self._now_s

    def is_in_time(self, w: Waiting, finish_s: float) -> bool:
        """Whether that is no later than the fleet could finish all that goes before or with this
        group; or, for a group that few peers may take, than those could finish it."""
        if w.row.few != self._groups.usable_count and finish_s <= self._own_level_s(w.row.number):
            return True
        return finish_s <= self._level_of_all_s(w.head.priority)

    def head_starts_s(self, rows: Ints) -> Floats:
        """By how much sooner than they came these groups are due, since they need their few peers; or since
        these might, as nothing of their kind ever ran: better to find out how long it takes than be late."""
        if not self._asked_jobs[0] <= len(self._line) <= self._asked_jobs[1]:
            self._ask()
        starts_s: Floats = self._head_start_s[rows]
        return starts_s

    def needs_its_peers(self, w: Waiting) -> bool:
        return self._head_start_s.item(w.row.number) > 0.0

    def _ask(self) -> None:
        """Which groups need their few peers."""
        groups, known_rows, jobs = self._groups, self._grid.rows, len(self._line)
        is_end = jobs <= groups.usable_count  # one for each peer is left: their order is tried out
        few_jobs = 0 if is_end else max(int((1.0 - GOOD_FOR) * jobs), groups.usable_count + 1)
        self._asked_jobs = few_jobs, groups.usable_count if is_end else int((1.0 + GOOD_FOR) * jobs)
        self._head_start_s, self._asked_until_s = np.zeros(len(groups.count)), np.inf
        few = known_rows.few[groups.rows]
        rows = groups.rows[(few > 0) & (few < groups.usable_count)]
        if not len(rows):
            return
        all_left_s = np.zeros(len(rows))
        for priority in set((priorities := groups.priority[rows]).tolist()):
            all_left_s[priorities == priority] = self.left_s(priority)
        left_s = all_left_s.copy()
        is_seen = known_rows.seen[rows] > 0
        seen = rows[is_seen]
        if len(seen):
            self._keep_good(seen)
            left_s[is_seen] = self._level_s[seen] + self._long_s[seen] - self._now_s
        self._asked_until_s = self._now_s + GOOD_FOR * float(np.minimum.reduce(left_s))
        needs = left_s >= CRITICAL * all_left_s
        if is_end:
            needs &= ~is_seen
        others = np.minimum(groups.usable_count / known_rows.few[rows] - 1.0, OTHERS_MAX)
        self._head_start_s[rows] = np.where(needs, HEAD_START * others * all_left_s, 0.0)

    # Levels

    def _level_of_all_s(self, priority: float) -> float:
        known, jobs = self._of_all.get(priority), len(self._line)
        if known is None or not self._is_good(known, jobs):
            usable, work_s = self._groups.usable, self._groups.work_from(priority)
            level_s = fluid_level(self._ready[usable], self._grid.speed[usable], work_s)
            known = self._of_all[priority] = (level_s, self._now_s, jobs)
        return known[0]

    def _own_level_s(self, row: int) -> float:
        known = self._level_s.item(row), self._at_s.item(row), self._work_s.item(row)
        if not self._is_good(known, self._groups.work_s.item(row)):
            self._keep_good(np.array([row]))
        return self._level_s.item(row)

    def _is_good(self, known: _Level, work: float) -> bool:
        level_s, at_s, work_then = known
        is_recent = self._now_s - at_s <= GOOD_FOR * (level_s - self._now_s)
        return is_recent and abs(work - work_then) <= GOOD_FOR * work

    def _are_good(self, rows: Ints) -> Bools:
        work_s, left_s = self._groups.work_s[rows], self._level_s[rows] - self._now_s
        is_recent = self._now_s - self._at_s[rows] <= GOOD_FOR * left_s
        good: Bools = is_recent & (np.abs(work_s - self._work_s[rows]) <= GOOD_FOR * work_s)
        return good

    def _keep_good(self, rows: Ints) -> None:
        """Compute again which of these groups' own levels are not near enough."""
        old = rows[~self._are_good(rows)]
        if not len(old):
            return
        grid, groups, may = self._grid, self._groups, self._grid.rows.may[old]
        self._level_s[old] = fluid_levels(self._ready, grid.speed, may, groups.work_within(old))
        longest_s = float(np.maximum.reduce(grid.rows.weight_s[groups.rows]))
        self._long_s[old] = longest_s * grid.rows.few[old] / np.maximum(may @ grid.speed, 1e-9)
        self._at_s[old], self._work_s[old] = self._now_s, groups.work_s[old]
