"""One look at the whole line and the whole fleet: which waiting job goes to which free peer now.

While there is much to do, each free peer takes the next job in the line that it can finish before
the fleet as a whole could finish everything: there nothing is lost. A warm model counts for its job,
by the seconds that loading would cost, but not without end, so that nothing starves. When the end of the line
is near, all of it is planned onto the peers that would finish it first, busy or not, and a peer that
would only make things later stays free.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import numpy as np

from .grid import Grid
from .horizon import Horizon
from .levels import Floats, Ints, share_out
from .loading import again_s, is_needed_more, rates
from .peers import OurJob
from .pending_jobs import Head, PendingJobs
from .policy import Policy
from .rows import GroupRow
from .waiting import Groups, Waiting


class Pick(NamedTuple):
    """The next job of `group` goes to the peer in column `at`, which has nothing ahead from `ready_s` on."""

    at: int
    group: Hashable
    head: Head
    row: GroupRow
    ready_s: float


#: Jobs that came within this many seconds came together: where a model is warm, its job goes first.
TOGETHER_S = 1.0
#: At most this many starts per look, so that the event loop gets a turn in between.
STARTS_AT_ONCE = 64
#: A plan of the end is kept for this share of the time that it spans.
_PLAN_FOR = 0.02
#: A peer for which there was nothing is asked again after this share of the shortest run there.
_ASK_AGAIN = 0.1


class Placer:
    """``turn`` counts the starts so far; ``has_more``: the last look was broken off, and the next one should
    follow at once. Levels and the like are kept from one look to the next while they are near enough."""

    def __init__(self, grid: Grid, line: PendingJobs, policy: Policy) -> None:
        self._grid = grid
        self._line = line
        self._policy = policy
        self.turn = 0
        self.has_more = False
        self._now_s = 0.0
        self.ready = grid.ready_s(0.0)
        self._groups = Groups(grid, line)
        self._waiting = self._groups.all
        self._plan: list[tuple[Hashable, dict[int, int]]] = []  #: how many of each group each peer gets
        self._plan_of, self._plan_until_s = (-1, -1), 0.0
        self._declined: dict[int, float] = {}
        self._declined_of = (-1, -1)
        self._rate: Floats | None = None
        self._stays: dict[tuple[object, ...], bool] = {}
        self._unstarved: dict[int, int] = {}

    def look(self, now_s: float) -> Iterator[Pick]:
        """Each start, one by one; it is taken for done when the next one is asked for."""
        self._now_s, self.has_more = now_s, False
        self.ready = self._grid.ready_s(now_s)
        if not len(self._line):
            return
        soon = self.ready <= now_s + self._policy.prefetch_lead_s
        free = ((self._grid.room > 0) & (soon | self._grid.is_vague)).nonzero()[0].tolist()
        if not free:
            return
        self._look_at_the_line()
        if not self._groups.is_whole:  # what is not known yet may have to go first
            self.has_more = True
            return
        last_turn = self.turn + STARTS_AT_ONCE
        free = [at for at in free if self._groups.usable[at] and self._declined.get(at, 0.0) <= now_s]
        turns = [self._turn_of(at) for at in free]
        heapq.heapify(turns)
        while self._waiting and turns:
            at = heapq.heappop(turns)[-1]
            here = self._groups.rows[self._grid.rows.may[:, at][self._groups.rows]]
            if not len(here):
                continue
            first = self._from_the_line(at, here)
            picks = [first] if first else self._by_plan([at, *(other for *_, other in sorted(turns))])
            turns = turns if first else []
            for pick in picks:
                w = self._waiting.get(pick.group)
                if w is not None:  # the one before may have been of its group
                    now = pick if first else pick._replace(head=w.head)
                    yield now
                    self._started(now)
                    if self.turn == last_turn:
                        self.has_more, self._plan_until_s = True, 0.0  # the plan counts the other picks too
                        return
                if self._is_free(pick.at):
                    heapq.heappush(turns, self._turn_of(pick.at))

    def _look_at_the_line(self) -> None:
        self._groups.update(self._now_s)
        self._horizon = Horizon(self._grid, self._groups, self.ready, self._now_s)
        if self._declined_of != (self._line.entered, self._grid.eligibility_changes):
            self._declined_of = (self._line.entered, self._grid.eligibility_changes)
            self._declined.clear()

    def _is_free(self, at: int) -> bool:
        """Whether it can be handed another job now."""
        soon = self.ready.item(at) <= self._now_s + self._policy.prefetch_lead_s
        return self._grid.room.item(at) > 0 and (soon or self._grid.is_vague.item(at))

    def _turn_of(self, at: int) -> tuple[float, float, float, int]:
        """Which free peer is asked first: the one that is through first, the quickest of equals."""
        grid = self._grid
        return self.ready.item(at), -grid.speed.item(at), grid.tie.item(at), at

    def _started(self, pick: Pick) -> None:
        grid, line, now_s = self._grid, self._line, self._now_s
        self.turn += 1
        self._unstarved[pick.at] = self._since_starving(pick.at) + 1
        line.leave(pick.head.job_id)
        line.note_start(
            pick.head.client, float(pick.row.run[pick.at]) / max(self._groups.usable_count, 1), now_s
        )
        job = OurJob(pick.head.job_id, pick.group, pick.row.need, pick.row.kind)
        grid.add_job(pick.at, job, pick.row, now_s)
        self.ready[pick.at] = grid.ready_at(pick.at, now_s)
        self._groups.note_start(pick.group)

    # While there is much to do

    def _from_the_line(self, at: int, here: Ints) -> Pick | None:
        """The next job in the line among the groups of these rows, all of which the peer may take."""
        rows, ready = self._grid.rows, self.ready.item(at)
        self._rate, self._stays = None, {}
        if len(here) > 1:
            here = self._ranked(here, at)
        if self._since_starving(at) >= self._policy.starving_turn:
            self._unstarved[at] = 0
            starving = self._starving(at, here, ready)
            if starving is not None:
                return starving
        for n, number in enumerate(here.tolist()):
            w = self._groups.at_row[number]
            finish_s = ready + rows.load.item(number, at) + rows.run.item(number, at)
            if self._horizon.is_in_time(w, finish_s) and not self._had_better_stay(w, here[n + 1 :], at):
                return Pick(at, w.key, w.head, w.row, ready)
        return None

    def _ranked(self, here: Ints, at: int) -> Ints:
        """These rows, in the order in which they would go to that peer."""
        rows, groups = self._grid.rows, self._groups
        few, due_s, gain_s = rows.few[here], groups.due_s[here], np.zeros(len(here))
        is_cold = rows.load[:, at][here] > 0.0
        cold = here[is_cold]
        if len(cold):
            files = rows.files[cold]
            later_s, work_s = np.zeros(len(rows.file_sets)), np.zeros(len(rows.file_sets))
            for its_files, number in dict(zip(files.tolist(), cold.tolist(), strict=True)).items():
                row = groups.at_row[number].row
                work_s[its_files] = groups.work_with[row.kind.files]
                later_s[its_files] = self._later_s(at, row, groups.work_with[row.kind.files])
            due_s[is_cold] += later_s[files]
            gain_s[is_cold] = work_s[files] / (1 + rows.warm[cold])
        due_s -= self._horizon.head_starts_s(here)
        ranked: Ints = here[np.lexsort((few, -gain_s, is_cold, due_s, -groups.priority[here]))]
        return ranked

    def _later_s(self, at: int, row: GroupRow, work_s: float) -> float:
        """How much later a job of this row, which has to load there, is taken to be due. It is put off for
        those that would then have to load again: the longer, the less work of its files there is."""
        policy, loads_s = self._policy, again_s(self._grid, at, row, self._groups.files())
        if not loads_s:
            return TOGETHER_S
        share = min(policy.worth * loads_s / max(work_s, 1e-9), 1e3)
        return min(loads_s * math.pow(share, policy.power), policy.put_off_s)

    def _had_better_stay(self, w: Waiting, others: Ints, at: int) -> bool:
        """Whether the peer is needed more where it is than for this group, which other peers have warm."""
        row, groups, rows = w.row, self._groups, self._grid.rows
        if not row.load[at] or not row.warm or self._horizon.needs_its_peers(w):
            return False
        key = (row.kind.files, int(groups.peer_set[row.number]), w.head.priority)
        known = self._stays.get(key)
        if known is None:
            if self._rate is None:
                self._rate = rates(self._grid, groups.rows, groups.work_s[groups.rows])
            warm = others[(groups.priority[others] == w.head.priority) & (rows.load[:, at][others] == 0.0)]
            soon = self.ready <= self._now_s + self._policy.put_off_s  # nobody waits for a peer longer
            known = self._stays[key] = is_needed_more(self._grid, at, row, warm, self._rate, soon)
        return known

    def _since_starving(self, at: int) -> int:
        """How many starts ago that column asked for a starving job. Each has a count of its own: the turns of
        one for all could fall on the same column for ever. They begin out of step, so that not all ask at
        once; a peer that gets the column of a removed one goes on with its count."""
        turn = self._policy.starving_turn
        return self._unstarved.get(at, turn - at % turn)

    def _starving(self, at: int, here: Ints, ready: float) -> Pick | None:
        """A job that has waited long behind others of a higher priority, or that came that long before those
        of few peers that go first."""
        waiting = [self._groups.at_row[number] for number in here.tolist()]
        first = waiting[0]
        heads = [(w, head) for w in waiting if (head := self._line.head(w.group, oldest=True))]
        w, head = min(heads, key=lambda one: one[1].since_s)
        is_below = head.priority < first.head.priority
        is_behind = is_below or first.row.few < w.row.few
        waited_s = (self._now_s if is_below else first.head.since_s) - head.since_s
        is_starving = is_behind and waited_s >= self._policy.starving_s
        return Pick(at, w.key, head, w.row, ready) if is_starving else None

    # Near the end of the line

    def _by_plan(self, free: list[int]) -> list[Pick]:
        """Those of a plan for all waiting jobs that start at once on a peer with room for them."""
        of = (self._line.entered, self._grid.eligibility_changes)
        if self._plan_of != of or self._now_s >= self._plan_until_s:
            self._plan_of = of
            self._share_all_out()
        picks: list[Pick] = []
        rows, groups = self._grid.rows, self._groups
        for column in free:
            for key, given in self._plan:
                w = self._waiting.get(key)
                if w is not None and given.get(column, 0):
                    given[column] -= 1
                    picks.append(Pick(column, key, w.head, w.row, float(self.ready[column])))
                    break
            else:
                here = groups.rows[rows.may[:, column][groups.rows]]
                shortest_s = float(rows.run[:, column][here].min()) if len(here) else 0.0
                until_s = max(self._now_s + _ASK_AGAIN * shortest_s, self._plan_until_s)
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
