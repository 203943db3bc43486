"""A peer's health from one poll to the next: a pure state machine.

::

    unknown ──good──> up ──miss──> suspect ──3 misses──> down ──2 goods──> up
       └────miss────> down             └──good──> up
    any ──wants a key──> needs_key ──good──> up
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ...errors import PeerAuthError, PeerError
from ..models.backend import BackendStatus, Health, Vitals


@dataclass(frozen=True)
class HealthPolicy:
    """Seconds between polls, and how many of them decide. A pause varies by up to ±`jitter` of itself.

    A node list younger than `list_fresh_s` is not worth reading again.
    """

    poll_s: float = 2.0
    jitter: float = 0.2
    timeout_s: float = 5.0
    down_after: int = 3
    up_after: int = 2
    list_fresh_s: float = 10.0


def after_answer(
    status: BackendStatus, vitals: Vitals | None, now: datetime, policy: HealthPolicy
) -> BackendStatus:
    """The status after a good answer. `vitals` is None when the check said only that all is well."""
    goods = status.goods + 1
    waits = status.health is Health.DOWN and goods < policy.up_after
    old = status.vitals
    updated = bool(old and vitals and old.comfyui_version != vitals.comfyui_version)
    return replace(
        status,
        health=Health.DOWN if waits else Health.UP,
        reason="it answers again; one more answer and it is used" if waits else "",
        vitals=vitals or old,
        misses=0,
        goods=goods,
        # After an outage it may be another process: what was known of it has to be read again.
        generation=status.generation + (1 if status.misses or updated else 0),
        checked_at=now,
    )


def after_failure(
    status: BackendStatus, error: PeerError, now: datetime, policy: HealthPolicy
) -> BackendStatus:
    """The status after no answer, or one that is not a healthy ComfyUI's."""
    misses = status.misses + 1
    if isinstance(error, PeerAuthError):
        health = Health.NEEDS_KEY
    elif status.health in (Health.UP, Health.SUSPECT) and misses < policy.down_after:
        health = Health.SUSPECT
    else:
        health = Health.DOWN
    return replace(status, health=health, reason=str(error), misses=misses, goods=0, checked_at=now)
