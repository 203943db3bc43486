"""The master itself, as one of the machines that jobs are placed on."""

from __future__ import annotations

from ...core.models.backend import Vitals
from ...core.models.job import Job
from ...errors import PromptRefusedError
from ..interfaces import Here, RanHere


class LocalPeer:
    """Takes no jobs until the host has said, by ``use``, how it runs one."""

    def __init__(self) -> None:
        self._here: Here | None = None

    def use(self, here: Here) -> None:
        self._here = here

    def is_wanted(self) -> bool:
        """Whether it is to run jobs at all."""
        return self._here is not None and self._here.is_wanted()

    def is_free(self) -> bool:
        """Whether a job would start here at once."""
        return self._here is not None and self._here.is_free()

    def vitals(self) -> Vitals | None:
        """What it computes on; None while it takes no jobs, or where the host does not tell."""
        return self._here.vitals() if self._here is not None and self._here.is_wanted() else None

    async def run(self, job: Job) -> RanHere:
        """See Here. Raises PromptRefusedError where the host runs none of our jobs."""
        if self._here is None:
            raise PromptRefusedError("This computer runs no jobs of the fleet.")
        return await self._here.run(job)
