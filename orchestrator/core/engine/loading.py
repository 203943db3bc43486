"""What it costs to load another model: what it takes the place of, and whose line then lasts longer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from .grid import Bools, Grid, Row
from .levels import Floats


def again_s(grid: Grid, at: int, row: Row, wanted: frozenset[str]) -> float:
    """Seconds to load again, on the peer in column `at`, what this row's files would take the place of there
    and is `wanted`."""
    lost = grid.evicted(at, row) & wanted
    return sum(grid.knowledge.load_s(grid.id(at), file) for file in lost) if lost else 0.0


def is_needed_more(grid: Grid, at: int, row: Row, others: Sequence[Row], rate: Floats, soon: Bools) -> bool:
    """Whether a model that is warm on the peer in column `at`, and that this row's files would take the place
    of, would have the longer line: that one without this peer, this row with only the peers that have it and
    come free ``soon``. ``others``: rows that are warm there; ``rate``: see ``rates``."""
    lost = grid.evicted(at, row)
    displaced = [other for other in others if not lost.isdisjoint(other.kind.files)]
    if not displaced:
        return False
    lasts_s = _lasts_s(rate, _is_warm(row) & soon)
    elsewhere = np.arange(len(rate)) != at
    return any(_lasts_s(rate, _is_warm(other) & elsewhere) > lasts_s for other in displaced)


def rates(grid: Grid, waiting: Iterable[tuple[Row, float]]) -> Floats:
    """How often a second each peer would be through with all that is warm there. ``waiting``: each row with
    its seconds of work at speed 1."""
    work_s = np.zeros(len(grid.speed))
    for each, its_work_s in waiting:
        work_s += np.where(_is_warm(each), its_work_s, 0.0)
    rate: Floats = grid.speed / np.maximum(work_s, 1e-9)
    return rate


def _is_warm(row: Row) -> Bools:
    warm: Bools = row.may & (row.load == 0.0)
    return warm


def _lasts_s(rate: Floats, warm: Bools) -> float:
    """Seconds until the line of a model is worked off by the peers that have it warm. Each of them is through
    with all that is warm there in 1 / `rate`, and what it does of this line is in proportion."""
    together = float(rate[warm].sum())
    return 1.0 / together if together > 0.0 else math.inf
