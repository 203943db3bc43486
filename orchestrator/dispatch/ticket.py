"""A job's place among those that wait, and what is known of it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from ..core.engine.preparation import Prepared
from ..core.engine.scheduler import Placement
from ..core.models.job import JobRequest, Rank, Source
from ..core.workflow.object_info import ObjectInfo


async def too_late() -> bool:
    """A job that has begun is not taken back."""
    return False


@dataclass(eq=False)
class Ticket:
    """One job here or on a peer. ``tried``: peers that failed it, with the reason.

    ``rank`` is its place in the line, the lowest first. ``begun``: its peer has started it. ``take_back``
    gets it back from a peer that has not; False when it was too late. ``may_run_here``: the master itself has
    not refused it. ``memory_bytes``: a peer with so much had too little memory for it. ``lost_in_outage``: it
    was under way when most of the fleet was lost, and waits for it even if it would not wait for a first one.
    """

    request: JobRequest
    tried: dict[str, str] = field(default_factory=dict)
    on_waiting: Callable[[str], None] = lambda reason: None
    take_back: Callable[[], Awaitable[bool]] = too_late
    rank: Rank | None = None
    begun: bool = False
    prepared: dict[ObjectInfo, Prepared] = field(default_factory=dict)
    kind: Hashable = None
    settled: bool = False
    may_run_here: bool = True
    taking_back: bool = False
    memory_bytes: int = 0
    lost_in_outage: bool = False
    backend_id: str = ""
    future: asyncio.Future[Placement] | None = None

    @property
    def fits_here(self) -> bool:
        """Whether the master itself may run it."""
        request = self.request
        is_free = request.source is Source.FLEET and not request.peer and not request.tags
        return self.may_run_here and is_free


def rank_of(ticket: Ticket) -> Rank:
    return ticket.rank or (0.0, 0.0)
