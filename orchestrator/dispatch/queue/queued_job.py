"""A job's place among those that wait, and what is known of it there."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ...core.engine.placement.plan import Placement
from ...core.models.job import JobRequest, Rank, Source
from ...core.prompts.kinds import UNKNOWN_KIND, Kind
from ...core.prompts.preparation import Prepared
from ...core.workflow.object_info import ObjectInfo
from ...core.workflow.runs_here import HereClasses

NONE_ADDED = HereClasses()
APART_S = 1e-6  #: between two jobs that came at the same moment
_numbers = itertools.count(1)


class Hold:
    """What has a job just now, and gives it back. This one has nothing: the job waits, or has begun."""

    async def take_back(self) -> bool:
        """Get the job back from a peer that has not begun it; False when it was too late."""
        return False

    def call_off(self) -> bool:
        """Get it back while its files are still being sent to a peer; False when they are not."""
        return False


NOT_HELD = Hold()


@dataclass(eq=False)
class QueuedJob:
    """One copy of a job, here or on a peer. ``tried``: peers that failed it, with the reason.

    ``rank`` is its place in the queue, the lowest first: minus its priority, then the moment, on the loop's
    clock, from which it counts as waiting, or a lower number that somebody gave it. ``kind``: what kind of
    work it is; ``group``: equal for jobs that are all the same to placement, None until its prompt is
    prepared, for peers as they were in that ``edition``. ``begun_at_s``: when its peer started it, on the
    same clock; ``cold``: the model files that it had to load then; ``is_copied``: it runs, or ran,
    elsewhere too. ``hold``: what has it just now.
    ``asked_at``: when somebody asked for it. ``here_classes``: what no peer could get when its prompt was
    prepared. ``may_run_here``: the master itself has not refused it. ``memory_bytes``: the most memory that
    was too little for it.
    ``input_bytes``: of each file here that its inputs name; ``oversized``: what peers, by id,
    do not take of them. ``here``: what other names and paths of its prompt are on this computer, "file" or
    "folder", "" for neither; ``cautions``, by the peers' definitions, and ``outranked``: see Need.
    ``left_at``: when an earlier process began its first attempt; that may have brought files which the
    journal does not have. ``lost_in_outage``: it was under way when most of the fleet was lost, and waits for
    it even if it would not wait for a first one.
    """

    request: JobRequest
    tried: dict[str, str] = field(default_factory=dict)
    on_waiting: Callable[[str], None] = lambda reason: None
    hold: Hold = NOT_HELD
    rank: Rank | None = None
    begun_at_s: float | None = None
    cold: tuple[str, ...] = ()
    prepared: dict[ObjectInfo, Prepared] = field(default_factory=dict)
    here_classes: HereClasses = NONE_ADDED
    kind: Kind = UNKNOWN_KIND
    group: Hashable = None
    edition: int = 0
    settled: bool = False
    may_run_here: bool = True
    taking_back: bool = False
    is_copied: bool = False
    memory_bytes: int = 0
    input_bytes: dict[str, int] = field(default_factory=dict)
    oversized: dict[str, tuple[str, ...]] = field(default_factory=dict)
    here: dict[str, str] = field(default_factory=dict)
    cautions: dict[ObjectInfo, tuple[str, ...]] = field(default_factory=dict)
    outranked: frozenset[str] = frozenset()
    left_at: datetime | None = None
    lost_in_outage: bool = False
    asked_at: datetime | None = None
    backend_id: str = ""
    future: asyncio.Future[Placement] | None = None
    id: str = field(default_factory=lambda: f"t{next(_numbers)}")

    def renew(self, request: JobRequest) -> None:
        """It is to do something else now: what was learned of its old graph says nothing of it."""
        self.request, self.kind, self.memory_bytes = request, UNKNOWN_KIND, 0
        self.tried, self.prepared, self.cautions = {}, {}, {}
        self.input_bytes, self.oversized, self.here = {}, {}, {}
        self.may_run_here = True

    @property
    def fits_here(self) -> bool:
        """Whether the master itself may run it."""
        request = self.request
        is_free = request.source is Source.FLEET and not request.peer and not request.tags
        return self.may_run_here and is_free


def rank_of(queued: QueuedJob) -> Rank:
    return queued.rank or (0.0, 0.0)


def ranks_between(
    ahead: QueuedJob | None, behind: QueuedJob | None, block: Sequence[QueuedJob]
) -> list[Rank]:
    """A person's order: what is put at the front goes before all, whatever speaks for the others."""
    steps = range(1, len(block) + 1)
    if behind is None:
        if ahead is None:
            urgency, since_s = rank_of(block[0])
            return [(urgency, since_s + (step - 1) * APART_S) for step in steps]
        urgency, since_s = rank_of(ahead)
        return [(urgency, since_s + step * APART_S / 2) for step in steps]
    urgency, since_s = rank_of(behind)
    if ahead is None:
        first = math.nextafter(urgency, -math.inf)
        return [(first, since_s + (step - 1) * APART_S) for step in steps]
    is_apart = rank_of(ahead)[0] != urgency
    from_s = since_s - APART_S if is_apart else rank_of(ahead)[1]
    return [(urgency, from_s + (since_s - from_s) * step / (len(block) + 1)) for step in steps]
