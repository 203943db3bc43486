"""What waits, group by group, beside what it would meet on each peer: kept up to date for placement."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from .grid import Bools, Grid, Row
from .ordering import Group, Head, Line

#: What kinds weigh is looked up again after so many runs.
_WEIGH_EVERY = 4


@dataclass
class Waiting:
    """A group of the line, the next of its jobs, and the seconds of work of them all at speed 1."""

    key: Hashable
    group: Group
    row: Row
    head: Head
    work_s: float


class Groups:
    """``all``: those that have a job waiting; ``work_with``: seconds of waiting work at speed 1 by its files;
    ``usable``: the peers that may take a job of any, ``usable_count`` of them."""

    def __init__(self, grid: Grid, line: Line) -> None:
        self._grid = grid
        self._line = line
        self.all: dict[Hashable, Waiting] = {}
        self.work_with: dict[tuple[str, ...], float] = {}
        self.usable: Bools = np.zeros(0, np.bool_)
        self.usable_count = 0
        self._usable_of = (-1, -1)
        self._changes = 0
        self._files: tuple[int, frozenset[str]] = (0, frozenset())
        self._weigh_at, self._revision = 0, -1

    def update(self, now_s: float) -> bool:
        """Look at what changed in the line. True when groups, or verdicts on peers, are others now."""
        grid, line, knowledge = self._grid, self._line, self._grid.knowledge
        line.weigh_clients(now_s)
        if knowledge.runs_noted >= self._weigh_at or knowledge.revision != self._revision:
            self._weigh_at, self._revision = knowledge.runs_noted + _WEIGH_EVERY, knowledge.revision
            line.changed.update(dict.fromkeys(line.groups))
        changed, line.changed = line.changed, {}
        for key in changed:
            self._look_at(key)
        of = (grid.judged, self._changes)
        if of == self._usable_of:
            return False
        self._usable_of = of
        self.usable = np.zeros(len(grid.columns), np.bool_)
        for waiting in self.all.values():
            self.usable |= waiting.row.may
        self.usable_count = int(self.usable.sum())
        needed = {waiting.row.kind.files for waiting in self.all.values()}
        self.work_with = {files: work_s for files, work_s in self.work_with.items() if files in needed}
        return True

    def files(self) -> frozenset[str]:
        """All that a waiting job needs."""
        if self._files[0] != self._changes:
            found = frozenset(file for w in self.all.values() for file in w.row.kind.files)
            self._files = (self._changes, found)
        return self._files[1]

    def note_start(self, key: Hashable) -> None:
        """A job of this group left the line for a peer."""
        self._line.changed.pop(key, None)
        self._look_at(key)

    def _look_at(self, key: Hashable) -> None:
        """What is kept of a group that changed, made anew."""
        before, group = self.all.get(key), self._line.groups.get(key)
        if before is not None:
            self.work_with[before.row.kind.files] -= before.work_s
        row = self._grid.row(key, group.kind, group.need) if group else None
        head = self._line.head(group) if group else None
        if group is None or row is None or head is None:
            if before is not None:
                del self.all[key]
                self._changes += 1
            return
        work_s, files = group.count * row.weight_s, row.kind.files
        self.work_with[files] = self.work_with.get(files, 0.0) + work_s
        if before is None or before.row is not row or before.group is not group:
            self.all[key] = Waiting(key, group, row, head, work_s)
            self._changes += 1
        else:
            before.head, before.work_s = head, work_s
