"""How soon peers together are through with some work: the arithmetic under placement, on plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
_HALVINGS = 14
_ONE_BY_ONE = 6


def fluid_level(ready_s: Floats, speed: Floats, work_s: float) -> float:
    """The earliest moment by which peers, each free from `ready_s`, can have done `work_s` seconds of work
    at speed 1, if it could be cut at will. Infinite without peers."""
    if not len(ready_s):
        return float("inf")
    order = ready_s.argsort()
    ready, rate = ready_s[order], speed[order]
    return float(((work_s + (ready * rate).cumsum()) / rate.cumsum()).min())


def share_out(ready_s: Floats, run_s: Floats, count: int) -> Counts:
    """How many of `count` equal jobs each peer gets when all are to be done as early as possible.

    `ready_s`: when a peer could start one, loading done; `run_s`: what one takes there. A peer gets none that
    another one, though busy, would be through with sooner.
    """
    given = np.zeros(len(ready_s), np.int64)
    if count <= _ONE_BY_ONE:
        done = ready_s + run_s
        for _ in range(count):
            best = int(np.argmin(done))
            given[best] += 1
            done[best] += run_s[best]
        return given
    low = fluid_level(ready_s, 1.0 / run_s, float(count))
    high = low + float(run_s.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _done_by(middle, ready_s, run_s).sum() >= count:
            high = middle
        else:
            low = middle
    given = _done_by(high, ready_s, run_s)
    surplus = int(given.sum()) - count
    if surplus > 0:
        ends = np.where(given > 0, ready_s + given * run_s, -np.inf)
        last = np.argpartition(-ends, surplus - 1)[:surplus]
        given[last] -= 1
    return given


def _done_by(moment_s: float, ready_s: Floats, run_s: Floats) -> Counts:
    whole = np.floor((moment_s - ready_s) / run_s + 1e-9)
    return np.maximum(whole, 0.0).astype(np.int64)
