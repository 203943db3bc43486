"""What a person does with the jobs that wait: hold them back, reorder them, choose another peer."""

from __future__ import annotations

from dataclasses import replace

from ..backends.manager import BackendManager
from ..core.models.job import Job, JobState
from ..errors import ConfigError, NotFoundError
from .ports import Journal
from .register import Register
from .ticket import rank_of
from .waiting_room import WaitingRoom


class Line:
    """What a person decides here is in the journal when it is said to be done."""

    def __init__(
        self, manager: BackendManager, register: Register, room: WaitingRoom, journal: Journal
    ) -> None:
        self._journal = journal
        self._manager = manager
        self._register = register
        self._room = room

    @property
    def paused(self) -> bool:
        """Whether jobs are held back; what is on a peer goes on."""
        return self._room.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._room.paused = paused

    def jobs(self) -> tuple[Job, ...]:
        """The jobs in the line, the next first."""
        by_ticket = {entry.ticket: entry.job for entry in self._register}
        return tuple(by_ticket[ticket] for ticket in self._room.line() if ticket in by_ticket)

    async def move(self, job_id: str, before: str = "") -> None:
        """Put a waiting job before another waiting one, or to the end of the line.

        Raises:
            NotFoundError: one of them does not wait. StoreError: it will not outlive a restart.
        """
        waiting = {job.id for job in self.jobs()}
        for wanted in filter(None, (job_id, before)):
            if wanted not in waiting:
                raise NotFoundError(f"No job {wanted} waits. It may have started; reload the list.")
        behind = self._register.get(before).ticket if before else None
        entry = self._register.get(job_id)
        self._room.move(entry.ticket, behind)
        self._register.announce(entry)  # so that every page reads the line anew
        places = {known.ticket: known.job.id for known in self._register}
        line = [ticket for ticket in self._room.line() if ticket in places]
        await self._journal.save_places({places[ticket]: rank_of(ticket) for ticket in line})

    async def pin(self, job_id: str, peer: str) -> Job:
        """Let a waiting job run on one peer only, or on any again.

        Raises:
            NotFoundError: it does not wait. ConfigError: there is no such peer. StoreError: see ``move``.
        """
        entry = self._register.get(job_id)
        if entry.job.state is not JobState.WAITING:
            raise NotFoundError(f"No job {job_id} waits. It may have started; reload the list.")
        if peer and self._manager.find(peer) is None:
            raise ConfigError(f"There is no peer {peer}.")
        entry.ticket.request = replace(entry.ticket.request, peer=peer)
        self._register.update(entry, request=entry.ticket.request)
        self._room.reconsider(entry.ticket)
        await self._journal.save_request(entry.job)
        return entry.job
