"""The queue as one look at it finds it: each group with its part of the cost matrix, as arrays."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .costs import CostMatrix, Row
from .levels import Bools, Floats, Ints
from .pending_jobs import Group, Head, PendingJobs

#: Of more groups only the first ones of the queue are looked at: a look must not keep the event loop.
GROUPS_MAX = 1_000


@dataclass
class Waiting:
    """A group of the queue, the next of its jobs, and its row."""

    key: Hashable
    group: Group
    row: Row
    head: Head | None


class Lineup:
    """The ``groups``, and in this order: which peers ``may`` take their jobs, how long these would ``run``
    there and ``load`` before; the ``priority`` of the next one and when it is ``due_s``; the seconds of work
    at speed 1 of one (``weight_s``) and of all of them (``work_s``); how many peers may take them (``few``)
    and on how many of these nothing has to load (``warm``). ``usable``: the peers that may take any job.
    ``work_with``: seconds of work by the files that they need. ``jobs``: all that wait. While not
    ``is_whole`` there are new groups that were not looked at yet."""

    def __init__(self, costs: CostMatrix, line: PendingJobs, now_s: float) -> None:
        self._line = line
        self._rates: Floats | None = None
        line.weigh_clients(now_s)
        self.jobs = len(line)
        self.groups: list[Waiting] = []
        rows_max = costs.rows_max
        for key, group in line.groups.items():
            if key not in costs.rows and len(costs.rows) < rows_max:
                costs.row(key, group.kind, group.need)
        self.is_whole = all(key in costs.rows for key in line.groups)
        for key, group in _first(costs, line) if self.is_whole else ():
            head = line.head(group)
            if head is not None:
                self.groups.append(Waiting(key, group, costs.row(key, group.kind, group.need), head))
        groups, columns = self.groups, len(costs.columns)
        shape = len(groups), columns
        self.may: Bools = np.array([w.row.may for w in groups], np.bool_).reshape(shape)
        self.run: Floats = np.array([w.row.run for w in groups], np.float64).reshape(shape)
        self.load: Floats = np.array([w.row.load for w in groups], np.float64).reshape(shape)
        self.priority: Floats = np.array([w.head.priority for w in groups if w.head], np.float64)
        self.due_s: Floats = np.array([w.head.due_s for w in groups if w.head], np.float64)
        self.weight_s: Floats = np.array([w.row.weight_s for w in groups], np.float64)
        self.work_s: Floats = self.weight_s * [w.group.count for w in groups]
        self.few: Ints = self.may.sum(axis=1)
        self.warm: Ints = self._is_warm().sum(axis=1)
        self.usable: Bools = np.logical_or.reduce(self.may, axis=0)
        self.usable_count = int(self.usable.sum())
        self.work_with: dict[tuple[str, ...], float] = {}
        for w, work_s in zip(groups, self.work_s.tolist(), strict=True):
            self.work_with[w.row.kind.files] = self.work_with.get(w.row.kind.files, 0.0) + work_s

    @cached_property
    def files(self) -> frozenset[str]:
        """All that a waiting job needs."""
        return frozenset(file for files in self.work_with for file in files)

    def are_warm(self, numbers: Ints) -> Bools:
        """For each of these groups, the peers that may take its jobs and have nothing to load."""
        warm: Bools = self.may[numbers] & (self.load[numbers] == 0.0)
        return warm

    def rates(self, speed: Floats) -> Floats:
        """How often a second each peer would finish all that is warm there."""
        if self._rates is None:
            together_s = np.where(self._is_warm(), self.work_s[:, None], 0.0).sum(axis=0)
            self._rates = speed / np.maximum(together_s, 1e-9)
        return self._rates

    def _is_warm(self) -> Bools:
        warm: Bools = self.may & (self.load == 0.0)
        return warm

    def work_from(self, priority: float) -> float:
        """Seconds of work at speed 1 of all jobs of this priority and above, that anyone may take."""
        work_s = 0.0
        for w, few in zip(self.groups, self.few.tolist(), strict=True):
            if few:
                work_s += w.row.weight_s * sum(n for its, n in w.group.tally.items() if its >= priority)
        return work_s

    def note_start(self, number: int, at: int) -> None:
        """A job of this group left the queue for the peer in this column."""
        w = self.groups[number]
        w.head = self._line.head(w.group) if w.group.count else None
        work_s = w.group.count * w.row.weight_s
        self.work_with[w.row.kind.files] += work_s - self.work_s.item(number)
        self.work_s[number], self.jobs = work_s, self.jobs - 1
        self._rates = None
        self.load[:, at] = [other.row.load.item(at) for other in self.groups]
        self.warm = self._is_warm().sum(axis=1)
        if w.head is None:
            self.may[number] = False
        else:
            self.priority[number], self.due_s[number] = w.head.priority, w.head.due_s


def _first(costs: CostMatrix, line: PendingJobs) -> Iterable[tuple[Hashable, Group]]:
    """All groups; of very many, those that a peer with room may take, and of these the first of the queue."""
    if len(line.groups) <= GROUPS_MAX:
        return line.groups.items()

    def turn(item: tuple[Hashable, Group]) -> tuple[float, float]:
        head = line.head(item[1])
        return (-head.priority, head.due_s) if head else (0.0, np.inf)

    has_room = costs.room > 0
    able = (item for item in line.groups.items() if (costs.rows[item[0]].may & has_room).any())
    return heapq.nsmallest(GROUPS_MAX, able, key=turn)
