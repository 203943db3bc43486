"""One look at the whole queue and the whole fleet: which waiting job goes to which free peer now.

While there is much to do, each free peer takes the next job in the queue that it can finish before
the fleet as a whole could finish everything: there nothing is lost. A warm model counts for its job,
by the seconds that loading would cost, but not without end, so that nothing starves. Near the end of the
queue a job goes to the peer that would finish it first, busy or not, and one that would only make things
later stays free.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import numpy as np

from .costs import CostMatrix, Row
from .horizon import Horizon
from .levels import Bools, Ints
from .lineup import Lineup
from .loading import again_s, is_needed_more
from .peers import OurJob
from .pending_jobs import Head, PendingJobs
from .policy import Policy


class Pick(NamedTuple):
    """A group's next job goes to the peer in column `at`, which has nothing ahead from `ready_s` on."""

    at: int
    head: Head
    row: Row
    ready_s: float


#: Jobs that came within this many seconds came together: where a model is warm, its job goes first.
TOGETHER_S = 1.0
#: At most this many starts per look, so that the event loop gets a turn in between.
STARTS_AT_ONCE = 64
_CELLS_MAX = 1_000_000  #: and fewer where each of them looks at many groups and peers


class Placer:
    """``has_more``: the last look was broken off, and the next one should follow at once."""

    def __init__(self, costs: CostMatrix, line: PendingJobs, policy: Policy) -> None:
        self._costs = costs
        self._line = line
        self._policy = policy
        self.has_more = False
        self._now_s = 0.0
        self.ready = costs.ready_s(0.0)
        self._unstarved: dict[int, int] = {}
        self._held: dict[Hashable, float] = {}  #: since when a group waits though a free peer may take it

    def look(self, now_s: float) -> Iterator[Pick]:
        """Each start, one by one; it is taken for done when the next one is asked for."""
        costs = self._costs
        self._now_s, self.has_more = now_s, False
        self.ready = costs.ready_s(now_s)
        free = self._free()
        if not len(self._line) or not free.any():
            self._held = {}
            return
        lineup = self._lineup = Lineup(costs, self._line, now_s)
        if not lineup.is_whole:  # what is not known yet may have to go first
            self.has_more = True
            return
        self._held_s = np.array([self._held.get(w.key, now_s) for w in lineup.groups])
        self._horizon = Horizon(lineup, self.ready, costs.speed, now_s, costs.knowledge)
        cells = max(lineup.may.size, 1)
        starts_left = min(STARTS_AT_ONCE, max(_CELLS_MAX // cells, 4))
        while (pick := self._next(free)) is not None:
            number, at = pick
            w = lineup.groups[number]
            if w.head is None:
                return  # a group without jobs may go nowhere
            yield Pick(at, w.head, w.row, self.ready.item(at))
            self._started(at, number, w.head)
            free = self._free()
            if not free.any():  # as ever in a busy fleet
                self._held = {}
                return
            lineup.note_start(number, at)
            self._horizon.renew(number)
            starts_left -= 1
            if not starts_left:
                self.has_more = True
                return
        is_held: Bools = np.logical_or.reduce(lineup.may & free, axis=1)
        held = zip(lineup.groups, self._held_s.tolist(), is_held.tolist(), strict=True)
        self._held = {w.key: since_s for w, since_s, still in held if still}

    @property
    def is_holding(self) -> bool:
        """Whether a job waits for a quicker peer, though a free one may take it."""
        return bool(self._held)

    def _free(self) -> Bools:
        """Which peers can be handed another job now."""
        soon = self.ready <= self._now_s + self._policy.prefetch_lead_s
        free: Bools = (self._costs.room > 0) & (soon | self._costs.is_vague)
        return free

    def _next(self, free: Bools) -> tuple[int, int] | None:
        """Of which group a job is to be started, and where: of the `free` peers the one that is done first is
        asked first, the quickest of equals. None when no start would be better than a later one."""
        lineup, costs = self._lineup, self._costs
        done_s = np.where(lineup.may, self.ready + lineup.load + lineup.run, np.inf)
        by_s = np.maximum(self._horizon.by_s, np.minimum.reduce(done_s, axis=1, initial=np.inf))
        # Others may keep the quicker peer busy for ever: wait no longer than the slower one would take.
        by_s = np.maximum(by_s, 2 * self._now_s - self._held_s)
        in_time = lineup.may & (done_s <= by_s[:, None])
        able = np.flatnonzero(free & in_time.any(axis=0))
        order = np.lexsort((costs.tie[able], -costs.speed[able], self.ready[able]))
        for at in able[order].tolist():
            number = self._from_the_line(at, lineup.may[:, at].nonzero()[0], in_time[:, at])
            if number is not None:
                return number, at
        return None

    def _started(self, at: int, number: int, head: Head) -> None:
        costs, line, now_s, w = self._costs, self._line, self._now_s, self._lineup.groups[number]
        self._unstarved[at] = self._since_starving(at) + 1
        line.leave(head.job_id)
        line.note_start(head.client, w.row.run.item(at) / max(self._lineup.usable_count, 1), now_s)
        costs.add_job(at, OurJob(head.job_id, w.key, w.row.need, w.row.kind), w.row, now_s)
        self.ready[at] = costs.ready_at(at, now_s)
        self._held.pop(w.key, None)
        self._held_s[number] = now_s

    def _from_the_line(self, at: int, here: Ints, in_time: Bools) -> int | None:
        """The group of the next job in the queue among these, all of which the peer may take."""
        lineup, here = self._lineup, self._ranked(here, at)
        if self._since_starving(at) >= self._policy.starving_turn:
            self._unstarved[at] = 0
            if (starving := self._starving(here)) is not None:
                return starving
        stays: dict[Hashable, bool] = {}  #: those with the same files and peers are answered alike
        numbers: list[int] = here.tolist()
        for n, number in enumerate(numbers):
            if not in_time[number]:
                continue
            row, priority = lineup.groups[number].row, lineup.priority.item(number)
            alike = row.kind.files, row.may.tobytes(), priority
            if alike not in stays:
                stays[alike] = self._should_stay(number, here[n + 1 :], at)
            if not stays[alike]:
                return number
        return None

    def _ranked(self, here: Ints, at: int) -> Ints:
        """These groups, in the order in which they would go to that peer."""
        lineup, load_s = self._lineup, self._lineup.load[here, at]
        due_s, gain_s, is_cold = lineup.due_s[here], np.zeros(len(here)), load_s > 0.0
        later: dict[tuple[str, ...], float] = {}
        for n in np.flatnonzero(is_cold).tolist():
            row = lineup.groups[here[n]].row
            files, work_s = row.kind.files, lineup.work_with[row.kind.files]
            if files not in later:
                later[files] = self._later_s(at, row, work_s)
            due_s[n] += later[files]
            gain_s[n] = work_s / (1 + lineup.warm.item(here[n]))
        due_s -= self._horizon.head_start_s[here]
        order = np.lexsort((lineup.few[here], -gain_s, is_cold, due_s, -lineup.priority[here]))
        ranked: Ints = here[order]
        return ranked

    def _later_s(self, at: int, row: Row, work_s: float) -> float:
        """How much later a job of this row, which has to load there, is taken to be due. It is put off for
        those that would then have to load again: the longer, the less work of its files there is."""
        policy, loads_s = self._policy, again_s(self._costs, at, row, self._lineup.files)
        if not loads_s:
            return TOGETHER_S
        share = min(policy.worth * loads_s / max(work_s, 1e-9), 1e3)
        return min(loads_s * math.pow(share, policy.power), policy.put_off_s)

    def _should_stay(self, number: int, others: Ints, at: int) -> bool:
        """Whether the peer is needed more where it is than for this group, which other peers have warm."""
        lineup = self._lineup
        needs_peer = self._horizon.head_start_s.item(number) > 0.0
        if not lineup.load.item(number, at) or not lineup.warm.item(number) or needs_peer:
            return False
        alike = lineup.priority[others] == lineup.priority.item(number)
        warm = others[alike & (lineup.load[others, at] == 0.0)]
        soon = self.ready <= self._now_s + self._policy.put_off_s  # nobody waits for a peer longer
        return is_needed_more(self._costs, lineup, at, number, warm, soon)

    def _since_starving(self, at: int) -> int:
        """How many starts ago that column asked for a starving job. Each has a count of its own: the turns of
        one for all could fall on the same column for ever. They begin out of step, so that not all ask at
        once; a peer that gets the column of a removed one goes on with its count."""
        turn = self._policy.starving_turn
        return self._unstarved.get(at, turn - at % turn)

    def _starving(self, here: Ints) -> int | None:
        """The group of a job that has waited long behind others of a higher priority, or that came that long
        before those of few peers that go first. Its oldest job then is its next one."""
        lineup, line = self._lineup, self._line
        numbers: list[int] = here.tolist()
        oldest = {n: head for n in numbers if (head := line.head(lineup.groups[n].group, oldest=True))}
        first = here.item(0)
        number = min(oldest, key=lambda n: oldest[n].since_s)
        head, ahead = oldest[number], lineup.groups[first].head or oldest[number]
        is_below = head.priority < lineup.priority.item(first)
        is_behind = is_below or lineup.few.item(first) < lineup.few.item(number)
        waited_s = (self._now_s if is_below else ahead.since_s) - head.since_s
        if not is_behind or waited_s < self._policy.starving_s:
            return None
        lineup.groups[number].head = head
        return number
