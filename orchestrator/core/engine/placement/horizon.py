"""By when all that waits could be done, by the fleet or by the peers of one group, as of one look.

A start is measured by that: what is done before delays nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..estimates.knowledge import Knowledge
from .levels import Bools, Floats, Ints, fluid_level, fluid_levels, in_turn
from .lineup import Lineup

#: A group needs its few peers if these, each behind a long job, need this share of the time of all for all.
CRITICAL = 0.85
#: Per other peer beside one of its own, it is due sooner than it came by this share of that time; of at most
#: that many.
HEAD_START = 0.5
OTHERS_MAX = 8.0


class PeerSets(NamedTuple):
    """The different sets of peers that groups may run on: which of them is a group's (``of_all``), the
    ``sets`` themselves with their ``sizes``, and for each pair whether the second ``is_within`` the first."""

    of_all: Ints
    sets: Bools
    is_within: Bools
    sizes: Ints


@lru_cache(maxsize=2)
def _peer_sets(may: bytes, columns: int) -> PeerSets:
    """Of a matrix of groups by peers. It is the same in nearly every look."""
    numbers: dict[bytes, int] = {}
    rows = np.frombuffer(may, np.bool_).reshape(-1, columns)
    of_all = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows])
    sets = np.array([np.frombuffer(key, np.bool_) for key in numbers])
    is_within = sets.any(axis=1) & ((sets.astype(np.float32) @ (~sets.T).astype(np.float32)) == 0.0).T
    return PeerSets(of_all, sets, is_within, sets.sum(axis=1))


class Horizon:
    """`ready_s`: when each peer is expected to have nothing ahead. Starts hardly change by when all is done:
    what a peer takes does not wait any more.

    By group: ``by_s``, until when its job is in time, as the fleet could finish all that goes before or with
    this group by then; or, for a group that few peers may take, as those could finish it. ``head_start_s``:
    by how much sooner than it came it is due, since it needs its few peers; or since it might, as nothing of
    its kind ever ran: better to find out how long it takes than be late."""

    def __init__(
        self, lineup: Lineup, ready_s: Floats, speed: Floats, now_s: float, knowledge: Knowledge
    ) -> None:
        self._lineup = lineup
        self._ready_s, self._speed, self._now_s = ready_s.copy(), speed, now_s
        self._all_s: dict[float, float] = {}  #: by priority
        self._own_s = np.full(len(lineup.groups), -np.inf)
        self.head_start_s: Floats = np.zeros(len(lineup.groups))
        few = np.flatnonzero((lineup.few > 0) & (lineup.few < lineup.usable_count))
        if len(few):
            kinds = (lineup.groups[number].row.kind for number in few.tolist())
            self._look_at_few(few, np.array([knowledge.times_seen(kind) > 0 for kind in kinds]))
        all_s = {priority: self._level_of_all_s(priority) for priority in set(lineup.priority.tolist())}
        self.by_s: Floats = np.maximum(self._own_s, [all_s[its] for its in lineup.priority.tolist()])

    def renew(self, number: int) -> None:
        """The next job of this group is another one."""
        all_s = self._level_of_all_s(self._lineup.priority.item(number))
        self.by_s[number] = max(self._own_s.item(number), all_s)

    def _look_at_few(self, few: Ints, is_seen: Bools) -> None:
        """Of groups that not every usable peer may take: by when their own could be done, and which need
        them."""
        lineup, speed = self._lineup, self._speed
        of_all, sets, is_within, sizes = _peer_sets(lineup.may.tobytes(), len(speed))
        work_s = np.bincount(of_all, lineup.work_s, len(sets)).astype(np.float64)
        levels_s = fluid_levels(self._ready_s, speed, sets, in_turn(np.where(is_within, work_s, 0.0)))
        long_s = lineup.weight_s.max() * sizes / np.maximum(sets @ speed, 1e-9)
        its_set, priorities = of_all[few], lineup.priority[few]
        self._own_s[few] = levels_s[its_set]
        left_all_s = np.zeros(len(few))
        for priority in set(priorities.tolist()):
            left_all_s[priorities == priority] = self._level_of_all_s(priority) - self._now_s
        left_s = np.where(is_seen, (levels_s + long_s)[its_set] - self._now_s, left_all_s)
        needs = left_s >= CRITICAL * left_all_s
        if lineup.jobs <= lineup.usable_count:  # one for each peer is left
            needs &= ~is_seen
        others = np.minimum(lineup.usable_count / lineup.few[few] - 1.0, OTHERS_MAX)
        self.head_start_s[few] = np.where(needs, HEAD_START * others * left_all_s, 0.0)

    def _level_of_all_s(self, priority: float) -> float:
        if priority not in self._all_s:
            usable, work_s = self._lineup.usable, self._lineup.work_from(priority)
            self._all_s[priority] = fluid_level(self._ready_s[usable], self._speed[usable], work_s)
        return self._all_s[priority]
