"""What it costs to load another model: what it takes the place of, and whose line then lasts longer."""

from __future__ import annotations

import numpy as np

from .grid import Grid
from .levels import Bools, Floats, Ints, in_turn
from .rows import GroupRow


def again_s(grid: Grid, at: int, row: GroupRow, wanted: frozenset[str]) -> float:
    """Seconds to load again, on the peer in column `at`, what this row's files would take the place of there
    and is `wanted`."""
    lost = grid.evicted(at, row) & wanted
    return sum(grid.knowledge.load_s(grid.id(at), file) for file in lost) if lost else 0.0


def is_needed_more(grid: Grid, at: int, row: GroupRow, others: Ints, rate: Floats, soon: Bools) -> bool:
    """Whether a model that is warm on the peer in column `at`, and that this row's files would take the place
    of, would have the longer line: that one without this peer, this row with only the peers that have it and
    come free ``soon``. ``others``: the numbers of rows that are warm there; ``rate``: see ``rates``."""
    lost = grid.evicted(at, row)
    if not lost:
        return False
    is_lost = np.array([not lost.isdisjoint(files) for files in grid.rows.file_sets])
    displaced = others[is_lost[grid.rows.files[others]]]
    if not len(displaced):
        return False
    lasts_s = _lasts_s(rate, _are_warm(grid, np.array([row.number])) & soon)
    elsewhere = np.arange(len(rate)) != at
    return bool(_lasts_s(rate, _are_warm(grid, displaced) & elsewhere).max() > lasts_s.max())


def rates(grid: Grid, waiting: Ints, work_s: Floats) -> Floats:
    """How often a second each peer would finish all that is warm there. ``waiting``: the numbers of
    rows, each with its seconds of work at speed 1."""
    together_s = np.where(_are_warm(grid, waiting), work_s[:, None], 0.0).sum(axis=0)
    rate: Floats = grid.speed / np.maximum(together_s, 1e-9)
    return rate


def _are_warm(grid: Grid, rows: Ints) -> Bools:
    warm: Bools = grid.rows.may[rows] & (grid.rows.load[rows] == 0.0)
    return warm


def _lasts_s(rate: Floats, warm: Bools) -> Floats:
    """Seconds until the line of a model is worked off by the peers that have it warm, for each row of these.
    Each peer finishes all that is warm there in 1 / `rate`, and what it does of this line is in
    proportion."""
    together = in_turn(np.where(warm, rate, 0.0))
    lasts_s: Floats = np.divide(1.0, together, out=np.full(len(together), np.inf), where=together > 0.0)
    return lasts_s
