"""Prompts that nobody waits for any more, and when one has ended on its peer: by evidence, not by having
been told. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class WithdrawalPolicy:
    """Seconds. A peer is asked again after `first_s`, then after twice as long each time, up to `every_s`;
    and every `every_s` while it does not answer, for `for_s` in all.

    ``late_s``: a POST that was lost on its way may still arrive this long after its peer answers again.
    """

    first_s: float = 0.1
    every_s: float = 5.0
    late_s: float = 60.0
    for_s: float = 7 * 86_400.0


@dataclass(frozen=True)
class Unwanted:
    """A prompt that is to end on this peer. ``was_there``: the peer had it for certain; else its POST may
    still be on its way."""

    prompt_id: str
    backend_id: str
    since: datetime
    was_there: bool = False


@dataclass(frozen=True)
class Sight:
    """What one look at the peer found of it. ``absent_s``: for how long all looks have found nothing."""

    is_listed: bool
    is_in_history: bool = False
    absent_s: float = 0.0


def has_ended(unwanted: Unwanted, sight: Sight, policy: WithdrawalPolicy) -> bool:
    """Whether it has ended there: the peer had it and lists it no more, or its history tells its end."""
    if sight.is_listed:
        return False
    return unwanted.was_there or sight.is_in_history or sight.absent_s >= policy.late_s


def pause_s(looks: int, policy: WithdrawalPolicy) -> float:
    """Before the next look; `looks` were answered since anything was new."""
    return min(policy.first_s * 2.0 ** min(looks, 16), policy.every_s)


def is_too_old(unwanted: Unwanted, now: datetime, policy: WithdrawalPolicy) -> bool:
    return (now - unwanted.since).total_seconds() > policy.for_s
