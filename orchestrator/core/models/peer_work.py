"""What each peer did over a while: jobs done, jobs failed, and how much of the time it was at work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ...errors import JobCancelledError, OvertakenError, TakenBackError

PARTS = 48  #: that the while is cut into, for a picture of it
DONE = "done"
#: Ends of an attempt that are nobody's failure, besides DONE
SPARED = frozenset(kind.code for kind in (JobCancelledError, OvertakenError, TakenBackError))


@dataclass(frozen=True)
class Turn:
    """An attempt, as far as it is counted. ``ended_at``: None while it runs."""

    backend_id: str
    outcome: str
    begun_at: datetime | None
    ended_at: datetime | None


@dataclass
class PeerWork:
    """``busy_s``: seconds at work. ``busy``: how much of each part it was, 0 to 1. ``failures``: in each."""

    done: int = 0
    failed: int = 0
    busy_s: float = 0.0
    busy: list[float] = field(default_factory=lambda: [0.0] * PARTS)
    failures: list[int] = field(default_factory=lambda: [0] * PARTS)


def work_of(turns: Iterable[Turn], since: datetime, now: datetime) -> dict[str, PeerWork]:
    """What the peers of these turns did from `since` to `now`, by their ids. Each runs one at a time."""
    found: dict[str, PeerWork] = {}
    part_s = max((now - since).total_seconds(), 1.0) / PARTS
    for turn in turns:
        end_s = ((turn.ended_at or now) - since).total_seconds()
        if end_s < 0:
            continue
        work = found.setdefault(turn.backend_id, PeerWork())
        if turn.ended_at is not None:
            _count(work, turn.outcome, min(int(end_s / part_s), PARTS - 1))
        if turn.begun_at is not None:
            _fill(work, max(0.0, (turn.begun_at - since).total_seconds()), end_s, part_s)
    return found


def _count(work: PeerWork, outcome: str, part: int) -> None:
    if outcome == DONE:
        work.done += 1
    elif outcome not in SPARED:
        work.failed += 1
        work.failures[part] += 1


def _fill(work: PeerWork, from_s: float, to_s: float, part_s: float) -> None:
    work.busy_s += max(0.0, to_s - from_s)
    for part in range(int(from_s / part_s), min(int(to_s / part_s), PARTS - 1) + 1):
        inside_s = min(to_s, (part + 1) * part_s) - max(from_s, part * part_s)
        work.busy[part] = min(1.0, work.busy[part] + max(0.0, inside_s) / part_s)
