"""Most of the fleet lost at once is no fault of peers or jobs: a pure judgement over when each was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...models.backend import Health

_THERE = (Health.UP, Health.EJECTED, Health.ZOMBIE)


@dataclass(frozen=True)
class OutagePolicy:
    """More than `share` of the peers that were up, lost within `window_s`, hold the queue for `hold_s`."""

    share: float = 0.5
    window_s: float = 60.0
    hold_s: float = 120.0


@dataclass(frozen=True)
class FleetHistory:
    """Who is there, and when each of the others was lost (seconds on a steady clock). Peers that were never
    there are in neither."""

    there: frozenset[str] = frozenset()
    lost_at_s: Mapping[str, float] = field(default_factory=dict)


def after_health(history: FleetHistory, backend_id: str, health: Health | None, at_s: float) -> FleetHistory:
    """`health` is None for a peer that was removed or switched off: nobody misses it."""
    lost = {peer: moment for peer, moment in history.lost_at_s.items() if peer != backend_id}
    there = history.there - {backend_id}
    if health in _THERE:
        return FleetHistory(there | {backend_id}, lost)
    if health is not None and backend_id in history.there:
        return FleetHistory(there, {**lost, backend_id: at_s})
    if health is not None and backend_id in history.lost_at_s:
        return history
    return FleetHistory(there, lost)


def outage_ends_at_s(history: FleetHistory, at_s: float, policy: OutagePolicy) -> float | None:
    """Until when the queue is held at most; None when most of the fleet is there, or one peer alone went."""
    last = max(history.lost_at_s.values(), default=0.0)
    together = [moment for moment in history.lost_at_s.values() if last - moment <= policy.window_s]
    ends_at_s = last + policy.hold_s
    most = len(together) > policy.share * (len(together) + len(history.there))
    return ends_at_s if len(together) > 1 and most and at_s < ends_at_s else None
