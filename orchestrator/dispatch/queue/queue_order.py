"""The order of the waiting jobs: each has its place, which a person may change."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from ...core.models.job import Rank
from .queued_job import APART_S, QueuedJob, rank_between, rank_of


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

    def move(self, queued: QueuedJob, before: QueuedJob | None) -> tuple[QueuedJob, ...]:
        """Put a waiting job before another one, or at the end; gives the jobs that got new ranks by it."""
        if queued not in self._line:
            return ()
        self._line.remove(queued)
        at = self._line.index(before) if before in self._line else len(self._line)
        ahead = self._line[at - 1] if at else None
        behind = self._line[at] if at < len(self._line) else None
        queued.rank = rank_between(ahead, behind, rank_of(queued))
        self._line.insert(at, queued)
        return (queued,) if self._is_between(ahead, queued, behind) else self._spread(queued.rank[0])

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
