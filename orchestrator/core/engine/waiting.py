"""What waits, group by group, beside what it would meet on each peer: kept up to date for placement."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from .grid import Grid
from .levels import Bools, Floats, Ints, in_turn
from .peer_sets import PeerSets
from .pending_jobs import Group, Head, PendingJobs
from .rows import GroupRow

#: New groups times peers that are computed in one go, which takes about a twentieth of a second.
_CELLS_AT_ONCE = 10_000


@dataclass
class Waiting:
    """A group of the line, the next of its jobs, and the seconds of work of them all at speed 1."""

    key: Hashable
    group: Group
    row: GroupRow
    head: Head
    work_s: float = 0.0


class Groups:
    """``all``: those that have a job waiting, in this order too as ``rows``, the numbers of their rows, by
    which go ``at_row`` and the arrays: the ``count`` of their jobs, the ``priority`` of the next one and when
    it is due (``due_s``), whether others have another (``is_mixed``), the seconds of work of them all at
    speed 1 (``work_s``), and which of the ``sets`` of peers may take them (``peer_set``). ``work_with``: such
    seconds by the files that are needed. ``usable``: the peers that may take a job of any, ``usable_count``
    of them. While not ``is_whole`` there are new groups that were not looked at yet."""

    def __init__(self, grid: Grid, line: PendingJobs) -> None:
        self._grid = grid
        self._line = line
        self.all: dict[Hashable, Waiting] = {}
        self.at_row: dict[int, Waiting] = {}
        self.rows: Ints = np.zeros(0, np.int64)
        self.count: Ints = np.zeros(0, np.int64)
        self.priority, self.due_s, self.work_s = np.zeros(0), np.zeros(0), np.zeros(0)
        self.is_mixed: Bools = np.zeros(0, np.bool_)
        self.peer_set: Ints = np.zeros(0, np.int64)
        self.sets = PeerSets(0)
        self.work_with: dict[tuple[str, ...], float] = {}
        self.usable: Bools = np.zeros(0, np.bool_)
        self.usable_count = 0
        self.is_whole = True
        self._usable_of = (-1, -1)
        self._changes = 0
        self._files: tuple[int, frozenset[str]] = (0, frozenset())
        self._work_by_set: Floats | None = None
        self._weighed_with = (-1, -1)  #: runs and sizes that were known

    def update(self, now_s: float) -> None:
        """Look at what changed in the line."""
        grid, line, knowledge = self._grid, self._line, self._grid.knowledge
        line.weigh_clients(now_s)
        learned = knowledge.runs_noted, knowledge.revision
        new_max = grid.eligibility_changes + _CELLS_AT_ONCE // max(len(grid.index), 1) + 1
        for key in (changed := dict(line.changed)):
            if grid.eligibility_changes < new_max:
                self._look_at(key)
        if learned != self._weighed_with:
            self._weighed_with = learned
            self._weigh_all(key for key in line.groups if key not in changed)
        self.is_whole = not line.changed
        self._work_by_set = None
        of = (grid.eligibility_changes, self._changes)
        if of == self._usable_of:
            return
        self._usable_of = of
        self._number()
        self.usable = np.logical_or.reduce(grid.rows.may[self.rows])
        self.usable_count = int(self.usable.sum())
        if len(self.sets) > 2 * len(self.all) + 64 or len(self.usable) != self.sets.peers:
            self.sets = PeerSets(len(self.usable))
        for number in self.at_row:
            self.peer_set[number] = self.sets.number(grid.rows.may[number])
        needed = {waiting.row.kind.files for waiting in self.all.values()}
        self.work_with = {files: work_s for files, work_s in self.work_with.items() if files in needed}

    @property
    def jobs(self) -> int:
        """All that wait, of any group."""
        return len(self._line)

    def files(self) -> frozenset[str]:
        """All that a waiting job needs."""
        if self._files[0] != self._changes:
            found = frozenset(file for w in self.all.values() for file in w.row.kind.files)
            self._files = (self._changes, found)
        return self._files[1]

    def work_from(self, priority: float) -> float:
        """Seconds of work at speed 1 of all jobs of this priority and above."""
        rows = self._grid.rows
        is_counted = (rows.few[self.rows] > 0) & (self.priority[self.rows] >= priority)
        work_s = np.where(is_counted, self.work_s[self.rows], 0.0)
        for place in np.flatnonzero(is_counted & self.is_mixed[self.rows]).tolist():
            w = self.at_row[int(self.rows[place])]
            work_s[place] = w.row.weight_s * sum(n for its, n in w.group.tally.items() if its >= priority)
        return float(work_s.cumsum()[-1]) if len(work_s) else 0.0

    def work_within(self, sets: Ints) -> Floats:
        """For each of these sets of peers: seconds of work at speed 1 that only peers of this set may do."""
        if self._work_by_set is None:
            of_rows, work_s = self.peer_set[self.rows], self.work_s[self.rows]
            # np.bincount gives whole numbers where there is none
            self._work_by_set = np.asarray(np.bincount(of_rows, work_s, len(self.sets)), np.float64)
        within = self.sets.within[sets, : len(self.sets)]
        return in_turn(np.where(within, self._work_by_set, 0.0))

    def note_start(self, key: Hashable) -> None:
        """A job of this group left the line for a peer."""
        before = self._changes
        self._look_at(key)
        self._work_by_set = None
        if self._changes != before:
            self._number()

    def _look_at(self, key: Hashable) -> None:
        """What is kept of a group that changed, made again."""
        self._line.changed.pop(key, None)
        before, group = self.all.get(key), self._line.groups.get(key)
        row = self._grid.row(key, group.kind, group.need) if group else None
        head = self._line.head(group) if group else None
        if before is not None and (group is not before.group or row is not before.row or head is None):
            self.work_with[before.row.kind.files] -= before.work_s
        if group is None or row is None or head is None:
            if before is not None:
                del self.all[key]
                self._changes += 1
            return
        if before is None or before.row is not row or before.group is not group:
            before = self.all[key] = Waiting(key, group, row, head)
            self._changes += 1
        before.head, at = head, row.number
        if at >= len(self.count):
            self._make_room()
        self.priority[at], self.due_s[at] = head.priority, head.due_s
        self.count[at], self.is_mixed[at] = group.count, len(group.tally) > 1
        self._weigh(before)

    def _weigh_all(self, keys: Iterable[Hashable]) -> None:
        """What was learned of kinds since may have changed what their jobs weigh."""
        for key in keys:
            waiting = self.all[key]
            if self._grid.is_outdated(waiting.row):
                self._grid.look_up(waiting.row)
            self._weigh(waiting)

    def _weigh(self, waiting: Waiting) -> None:
        row, with_files = waiting.row, self.work_with
        work_s, files = waiting.group.count * row.weight_s, row.kind.files
        with_files[files] = with_files.get(files, 0.0) - waiting.work_s + work_s
        self.work_s[row.number] = waiting.work_s = work_s

    def _number(self) -> None:
        self.at_row = {waiting.row.number: waiting for waiting in self.all.values()}
        self.rows = np.array(list(self.at_row), np.int64)

    def _make_room(self) -> None:
        more = len(self._grid.rows.few) - len(self.count)
        for name in ("count", "priority", "due_s", "work_s", "is_mixed", "peer_set"):
            old = getattr(self, name)
            setattr(self, name, np.append(old, np.zeros(more, old.dtype)))
