"""The order of the waiting jobs: each has its place, which a person may change."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from ...core.models.job import Rank
from .queued_job import APART_S, QueuedJob, rank_between, rank_of


class QueueOrder:
    """The tickets that wait, the next first. All moments are seconds on the loop's clock."""

    def __init__(self) -> None:
        self._line: list[QueuedJob] = []
        self._base_s = self._first_s = self._last_s = 0.0

    def __iter__(self) -> Iterator[QueuedJob]:
        return iter(self._line)

    def __len__(self) -> int:
        return len(self._line)

    def give(self, ticket: QueuedJob, now_s: float, *, front: bool = False, rank: Rank | None = None) -> Rank:
        """Give a job its place: behind its equals, before all of its priority, or this one. It is not there
        before it is added."""
        if not self._base_s:
            self._base_s = self._first_s = self._last_s = now_s
        if rank is not None:
            ticket.rank = rank
        elif front:
            lowest = min((rank_of(waiting)[1] for waiting in self._line), default=self._first_s)
            self._first_s = min(lowest, self._first_s) - 1.0
            ticket.rank = -ticket.request.priority, self._first_s
        else:
            self._last_s = max(now_s, self._last_s + APART_S)
            ticket.rank = -ticket.request.priority, self._last_s
        return ticket.rank

    def add(self, ticket: QueuedJob) -> None:
        bisect.insort(self._line, ticket, key=rank_of)

    def remove(self, ticket: QueuedJob) -> None:
        """Nothing happens when it is not there."""
        at = bisect.bisect_left(self._line, rank_of(ticket), key=rank_of)
        if at < len(self._line) and self._line[at] is ticket:
            del self._line[at]
        elif ticket in self._line:
            self._line.remove(ticket)

    def move(self, ticket: QueuedJob, before: QueuedJob | None) -> tuple[QueuedJob, ...]:
        """Put a waiting job before another one, or at the end; gives the jobs that got new ranks by it."""
        if ticket not in self._line:
            return ()
        self._line.remove(ticket)
        at = self._line.index(before) if before in self._line else len(self._line)
        ahead = self._line[at - 1] if at else None
        behind = self._line[at] if at < len(self._line) else None
        ticket.rank = rank_between(ahead, behind, rank_of(ticket))
        self._line.insert(at, ticket)
        return (ticket,) if self._is_between(ahead, ticket, behind) else self._spread(ticket.rank[0])

    def since_s(self, ticket: QueuedJob) -> float:
        """From when on it counts as waiting: a place that somebody gave it is no moment."""
        since_s = rank_of(ticket)[1]
        return since_s if since_s >= self._base_s else self._base_s - (self._base_s - since_s) * APART_S

    def _is_between(self, *neighbours: QueuedJob | None) -> bool:
        """Whether they differ for the scheduler too: a gap can be halved so many times only."""
        places = [(rank_of(ticket)[0], self.since_s(ticket)) for ticket in neighbours if ticket]
        return places == sorted(set(places))

    def _spread(self, urgency: float) -> tuple[QueuedJob, ...]:
        """Give the jobs of this urgency places far apart, in their order."""
        equals = tuple(ticket for ticket in self._line if rank_of(ticket)[0] == urgency)
        first_s = min(*(rank_of(ticket)[1] for ticket in equals), self._first_s) - len(equals)
        for place, ticket in enumerate(equals):
            ticket.rank = urgency, first_s + place
        return equals
