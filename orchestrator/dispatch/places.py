"""Who stands where in the line: each job's place is a number, with room for others between two."""

from __future__ import annotations

from ..core.models.job import Rank
from .ticket import APART_S, Ticket, rank_between, rank_of


class Places:
    """``line``: all that wait, the next first. Moments are seconds on one steady clock."""

    def __init__(self) -> None:
        self.line: list[Ticket] = []
        self._base_s = self._first_s = self._last_s = 0.0

    def give(self, ticket: Ticket, now_s: float, *, front: bool = False, rank: Rank | None = None) -> Rank:
        """Its place once it waits: behind its equals, before all of its priority, or this one."""
        if not self._base_s:
            self._base_s = self._first_s = self._last_s = now_s
        if rank is not None:
            ticket.rank = rank
        elif front:
            lowest = min((rank_of(waiting)[1] for waiting in self.line), default=self._first_s)
            self._first_s = min(lowest, self._first_s) - 1.0
            ticket.rank = -ticket.request.priority, self._first_s
        else:
            self._last_s = max(now_s, self._last_s + APART_S)
            ticket.rank = -ticket.request.priority, self._last_s
        return ticket.rank

    def move(self, ticket: Ticket, before: Ticket | None) -> tuple[Ticket, ...]:
        """Put a waiting job before another one, or at the end; all that have another place then."""
        self.line.remove(ticket)
        at = self.line.index(before) if before in self.line else len(self.line)
        ahead = self.line[at - 1] if at else None
        behind = self.line[at] if at < len(self.line) else None
        ticket.rank = rank_between(ahead, behind, rank_of(ticket))
        self.line.insert(at, ticket)
        return (ticket,) if self._is_between(ahead, ticket, behind) else self._spread(ticket.rank[0])

    def since_s(self, ticket: Ticket) -> float:
        """A place that somebody gave it is no moment since when it waited."""
        since_s = rank_of(ticket)[1]
        return since_s if since_s >= self._base_s else self._base_s - (self._base_s - since_s) * APART_S

    def _is_between(self, *neighbours: Ticket | None) -> bool:
        """Whether they differ for the scheduler too: a gap can be halved so many times only."""
        places = [(rank_of(ticket)[0], self.since_s(ticket)) for ticket in neighbours if ticket]
        return places == sorted(set(places))

    def _spread(self, urgency: float) -> tuple[Ticket, ...]:
        """Give the jobs of this urgency places far apart, in their order."""
        equals = tuple(ticket for ticket in self.line if rank_of(ticket)[0] == urgency)
        first_s = min(*(rank_of(ticket)[1] for ticket in equals), self._first_s) - len(equals)
        for place, ticket in enumerate(equals):
            ticket.rank = urgency, first_s + place
        return equals
