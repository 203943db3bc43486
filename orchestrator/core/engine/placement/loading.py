"""What a model switch costs: what it evicts, and which model's backlog grows by it."""

from __future__ import annotations

import numpy as np

from .costs import CostMatrix, Row
from .levels import Bools, Floats, Ints, in_turn
from .lineup import Lineup


def again_s(costs: CostMatrix, at: int, row: Row, wanted: frozenset[str]) -> float:
    """Seconds to load again, on the peer in column `at`, what this row's files would take the place of there
    and is `wanted`."""
    lost = costs.evicted(at, row) & wanted
    return sum(costs.knowledge.load_s(costs.id(at), file) for file in lost) if lost else 0.0


def is_needed_more(
    costs: CostMatrix, lineup: Lineup, at: int, number: int, others: Ints, soon: Bools
) -> bool:
    """Whether a model that is warm on the peer in column `at`, and that this group's files would take the
    place of, would have the longer backlog: that one without this peer, this group with only the peers that
    have it and come free ``soon``. ``others``: groups that are warm there."""
    lost = costs.evicted(at, lineup.groups[number].row)
    displaced = [n for n in others.tolist() if not lost.isdisjoint(lineup.groups[n].row.kind.files)]
    if not displaced:
        return False
    rate = lineup.rates(costs.speed)
    lasts_s = _lasts_s(rate, lineup.are_warm(np.array([number])) & soon)
    elsewhere = np.arange(len(rate)) != at
    return bool(_lasts_s(rate, lineup.are_warm(np.array(displaced)) & elsewhere).max() > lasts_s.max())


def _lasts_s(rate: Floats, warm: Bools) -> Floats:
    """For each row of these, seconds until the peers that have a model warm have worked off its backlog. Each
    peer finishes all that is warm there in 1 / `rate`, and what it does of this backlog is in proportion."""
    together = in_turn(np.where(warm, rate, 0.0))
    lasts_s: Floats = np.divide(1.0, together, out=np.full(len(together), np.inf), where=together > 0.0)
    return lasts_s
