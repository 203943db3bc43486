"""All jobs of one Remote Dispatch node in one prompt: ComfyUI calls the node once for each item of a list.

The calls know nothing of each other. Here they have one batch, one progress on the boxes that they share, and
one end: the first that fails for good ends the rest.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ...core.models.job import Job, JobRequest, JobState


class BoxState(NamedTuple):
    """How far a box of the graph is; ``kind`` is "running" or "finished"."""

    kind: str
    value: float
    top: float

    @property
    def share(self) -> float:
        if self.kind == "finished":
            return 1.0
        return min(self.value / self.top, 1.0) if self.top > 0 else 0.0


SAID_EVERY_S = 0.25
_ENDED = BoxState("finished", 1.0, 1.0)


@dataclass(eq=False)
class Piece:
    """One of the calls. ``boxes``: how far it is on each; ``job`` as it was last heard of. ``is_kept``: its
    result was there already."""

    boxes: dict[str, BoxState] = field(default_factory=dict)
    job: Job | None = None
    is_kept: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_kept or (self.job is not None and self.job.state.is_final)


class Fan:
    """The pieces of one node. Belongs to the server's loop. `end` cancels a job by its id."""

    def __init__(self, end: Callable[[str], None] = lambda job_id: None) -> None:
        self.id = uuid.uuid4().hex
        self.failure: BaseException | None = None
        self._end = end
        self._pieces: list[Piece] = []
        self._said, self._said_at = "", 0.0

    def join(self) -> Piece:
        """One call more."""
        piece = Piece()
        self._pieces.append(piece)
        return piece

    def placed(self, request: JobRequest, item: int | None) -> JobRequest:
        """The request as one of a batch, where there may be several."""
        return request if item is None else replace(request, batch_id=self.id, batch_index=item)

    def fail(self, why: BaseException, piece: Piece | None = None) -> BaseException:
        """A piece came to a bad end, or somebody stopped the prompt, which ComfyUI tells one call alone. The
        first end is what is told of them all."""
        if self.failure is None:
            self.failure = why
            for other in self._pieces:
                if other is not piece and other.job is not None and not other.job.state.is_final:
                    self._end(other.job.id)
        return self.failure

    def merged(self, boxes: Mapping[str, BoxState]) -> dict[str, BoxState]:
        """Those boxes as all pieces together have them."""
        count = len(self._pieces)
        if count == 1:
            return dict(boxes)
        found: dict[str, BoxState] = {}
        for box in boxes:
            states = [piece.boxes[box] for piece in self._pieces if box in piece.boxes]
            states += [_ENDED for piece in self._pieces if piece.is_kept]
            ended = sum(state.kind == "finished" for state in states)
            kind = "finished" if ended == count else "running"
            found[box] = BoxState(kind, sum(state.share for state in states), float(count))
        return found

    def says(self, text: str, now: float, *, is_urgent: bool) -> bool:
        """Whether the node's line is to say this at the moment `now`, in seconds: what is urgent at once, all
        else now and then. Of several pieces only the end of the last is urgent."""
        is_last = all(piece.is_over for piece in self._pieces)
        is_urgent = is_urgent and (is_last or len(self._pieces) == 1)
        if text == self._said or not (is_urgent or now - self._said_at >= SAID_EVERY_S):
            return False
        self._said, self._said_at = text, now
        return True

    def text(self, peer_name: Callable[[str], str]) -> str:
        """How far all are, in one line; "" for a single one, which speaks for itself."""
        if len(self._pieces) < 2:
            return ""
        jobs = [piece.job for piece in self._pieces if piece.job is not None]
        done = sum(job.state is JobState.DONE for job in jobs) + sum(p.is_kept for p in self._pieces)
        running = Counter(peer_name(job.backend_id) for job in jobs if job.state is JobState.RUNNING)
        waiting = len(self._pieces) - done - running.total()
        at = [f"{name}: {count}" for name, count in sorted(running.items())]
        rest = [f"{waiting} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
        listed = ", ".join([*at, *rest])
        return f"{done} of {len(self._pieces)} pieces{f'; {listed}' if listed else ''}"


class Fans:
    """The fans of the prompts that run, for as long as those do. Belongs to the server's loop."""

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._known: WeakKeyDictionary[object, dict[str, Fan]] = WeakKeyDictionary()

    def of(self, registry: object, node_id: str) -> Fan:
        """`registry`: the host's progress registry, one for each run of a prompt. An id may come again."""
        fans = self._known.setdefault(registry, {})
        if node_id not in fans:
            fans[node_id] = Fan(self._end)
        return fans[node_id]
