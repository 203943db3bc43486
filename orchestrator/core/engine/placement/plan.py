"""What a scheduler answers: whom to start where, what to take back, what to run twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """The peer chosen, and why, in words. ``takes_s``: see Start."""

    backend_id: str
    explanation: str
    takes_s: float | None = None


@dataclass(frozen=True)
class Start:
    """Start a waiting job on a peer now. ``finish_s``: expected seconds until it is done. ``takes_s``:
    expected seconds of work on the peer, None where nothing is known of this graph. ``explain`` puts the
    reasons into words; call it before anything else changes."""

    job_id: str
    backend_id: str
    finish_s: float
    takes_s: float | None
    explain: Callable[[], str]


@dataclass(frozen=True)
class TakeBack:
    """Take back a job that its peer has not begun: `to` could finish it sooner."""

    job_id: str
    backend_id: str
    to: str
    reason: str


@dataclass(frozen=True)
class SecondCopy:
    """Run a running job a second time, on a peer that should finish it much sooner. `reason`: why."""

    job_id: str
    backend_id: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What to do now. ``look_again_s``: seconds until there is more to decide even if nothing happens
    meanwhile; None when there is not. 0 means that this is only the first part: planning stopped before it
    took too long."""

    starts: tuple[Start, ...] = ()
    take_backs: tuple[TakeBack, ...] = ()
    copies: tuple[SecondCopy, ...] = ()
    look_again_s: float | None = None
