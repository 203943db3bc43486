"""How soon peers together finish some work: the arithmetic under placement, on plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_HALVINGS = 14
_ONE_BY_ONE = 6


def fluid_level(ready_s: Floats, speed: Floats, work_s: float) -> float:
    """The earliest moment by which peers, each free from `ready_s`, can have done `work_s` seconds of work
    at speed 1, if it could be cut at will. Infinite without peers."""
    if not len(ready_s):
        return float("inf")
    order = ready_s.argsort()
    ready, rate = ready_s[order], speed[order]
    return float(np.minimum.reduce((work_s + (ready * rate).cumsum()) / rate.cumsum()))


def fluid_levels(ready_s: Floats, speed: Floats, may: Bools, work_s: Floats) -> Floats:
    """The same for several kinds of work at once, each by the peers that `may` do it, row by row."""
    if len(may) <= _ONE_BY_ONE:
        each = (
            fluid_level(ready_s[mine], speed[mine], its_s) for mine, its_s in zip(may, work_s, strict=True)
        )
        return np.fromiter(each, np.float64, len(may))
    order = ready_s.argsort(kind="stable")
    ready, rate, may = ready_s[order], speed[order], may[:, order]
    done = work_s[:, None] + np.where(may, ready * rate, 0.0).cumsum(axis=1)
    rates = np.where(may, rate, 0.0).cumsum(axis=1)
    level = np.divide(done, rates, out=np.full(rates.shape, np.inf), where=rates > 0.0)
    soonest: Floats = np.minimum.reduce(level, axis=1)
    return soonest


def in_turn(amounts: Floats) -> Floats:
    """The sum of each row, added up in this order: the same amounts give the same sum, whatever zeros lie
    between them."""
    total: Floats = amounts.cumsum(axis=1)[:, -1]
    return total


def share_out(ready_s: Floats, run_s: Floats, count: int) -> Ints:
    """How many of `count` equal jobs each peer gets when all are to be done as early as possible.

    `ready_s`: when a peer could start one, loading done; `run_s`: what one takes there. A peer gets none that
    another one, though busy, would finish sooner.
    """
    given = np.zeros(len(ready_s), np.int64)
    if count <= _ONE_BY_ONE:
        done = ready_s + run_s
        for _ in range(count):
            best = int(done.argmin())
            given[best] += 1
            done[best] += run_s[best]
        return given
    low = fluid_level(ready_s, 1.0 / run_s, float(count))
    high = low + float(run_s.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.add.reduce(_done_by(middle, ready_s, run_s)) >= count:
            high = middle
        else:
            low = middle
    given = _done_by(high, ready_s, run_s).astype(np.int64)
    surplus = int(given.sum()) - count
    if surplus > 0:
        ends = np.where(given > 0, ready_s + given * run_s, -np.inf)
        last = np.argpartition(-ends, surplus - 1)[:surplus]
        given[last] -= 1
    return given


def _done_by(moment_s: float, ready_s: Floats, run_s: Floats) -> Floats:
    """A number of whole jobs."""
    done: Floats = np.floor((moment_s - ready_s) / run_s + 1e-9)
    return np.maximum(done, 0.0, out=done)
