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
    """A waiting job goes to a peer now. ``finish_s``: in so many seconds it should be done. ``takes_s``: for
    so many the peer works on it; None where nothing of this graph is known. ``explain`` puts the reasons into
    words; to be asked before anything else changes."""

    job_id: str
    backend_id: str
    finish_s: float
    takes_s: float | None
    explain: Callable[[], str]


@dataclass(frozen=True)
class TakeBack:
    """A job that its peer has not begun is better got back: `to` could be through with it sooner."""

    job_id: str
    backend_id: str
    to: str
    reason: str


@dataclass(frozen=True)
class SecondCopy:
    """The running job may run a second time on a peer that is through with it much sooner."""

    job_id: str
    backend_id: str
    explanation: str


@dataclass(frozen=True)
class Plan:
    """What to do now. ``look_again_s``: in so many seconds there is more to decide, even if nothing happens
    until then; None when there is not. At 0 this is only the first part of what there is to do now: the plan
    was broken off before it took too long."""

    starts: tuple[Start, ...] = ()
    take_backs: tuple[TakeBack, ...] = ()
    copies: tuple[SecondCopy, ...] = ()
    look_again_s: float | None = None
