"""The order of the waiting jobs: each has its place, which a person may change."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from ...core.models.job import Rank
from .queued_job import APART_S, QueuedJob, rank_of, ranks_between


class QueueOrder:
    """The jobs that wait, the next one first. All moments are seconds on the loop's clock."""

    def __init__(self) -> None:
        self._line: list[QueuedJob] = []
        self._base_s = self._first_s = self._last_s = 0.0

    def __iter__(self) -> Iterator[QueuedJob]:
        return iter(self._line)

    def __len__(self) -> int:
        return len(self._line)

    def give(self, queued: QueuedJob, now_s: float, *, front: bool = False, rank: Rank | None = None) -> Rank:
        """Give a job its place: behind its equals, before all of its priority, or this one. It is not there
        before it is added."""
        if not self._base_s:
            self._base_s = self._first_s = self._last_s = now_s
        if rank is not None:
            queued.rank = rank
        elif front:
            lowest = min((rank_of(waiting)[1] for waiting in self._line), default=self._first_s)
            self._first_s = min(lowest, self._first_s) - 1.0
            queued.rank = -queued.request.priority, self._first_s
        else:
            self._last_s = max(now_s, self._last_s + APART_S)
            queued.rank = -queued.request.priority, self._last_s
        return queued.rank

    def add(self, queued: QueuedJob) -> None:
        bisect.insort(self._line, queued, key=rank_of)

    def remove(self, queued: QueuedJob) -> None:
        """Nothing happens when it is not there."""
        at = bisect.bisect_left(self._line, rank_of(queued), key=rank_of)
        if at < len(self._line) and self._line[at] is queued:
            del self._line[at]
        elif queued in self._line:
            self._line.remove(queued)

    def move(self, some: Sequence[QueuedJob], before: QueuedJob | None) -> tuple[QueuedJob, ...]:
        """Put waiting jobs, in this order, before another one, or at the end; gives the jobs that got new
        ranks by it. All at once: one after the other each would halve what is left of the same gap."""
        there, moving = set(self._line), set(some)
        block = [queued for queued in dict.fromkeys(some) if queued in there]
        if not block:
            return ()
        at = self._line.index(before) if before in there else len(self._line)
        behind = next((queued for queued in self._line[at:] if queued not in moving), None)
        self._line = [queued for queued in self._line if queued not in moving]
        at = self._line.index(behind) if behind else len(self._line)
        ahead = self._line[at - 1] if at else None
        for queued, rank in zip(block, ranks_between(ahead, behind, block), strict=True):
            queued.rank = rank
        self._line[at:at] = block
        is_between = self._is_between(ahead, *block, behind)
        return tuple(block) if is_between else self._spread(rank_of(block[0])[0])

    def since_s(self, queued: QueuedJob) -> float:
        """From when on it counts as waiting: a place that somebody gave it is no moment."""
        since_s = rank_of(queued)[1]
        return since_s if since_s >= self._base_s else self._base_s - (self._base_s - since_s) * APART_S

    def _is_between(self, *neighbours: QueuedJob | None) -> bool:
        """Whether they differ for the scheduler too: a gap cannot be halved for ever."""
        places = [(rank_of(queued)[0], self.since_s(queued)) for queued in neighbours if queued]
        return places == sorted(set(places))

    def _spread(self, urgency: float) -> tuple[QueuedJob, ...]:
        """Give the jobs of this urgency places far apart, in their order."""
        equals = tuple(queued for queued in self._line if rank_of(queued)[0] == urgency)
        first_s = min(*(rank_of(queued)[1] for queued in equals), self._first_s) - len(equals)
        for place, queued in enumerate(equals):
            queued.rank = urgency, first_s + place
        return equals
