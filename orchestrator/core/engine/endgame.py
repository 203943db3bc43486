"""Near the end of the line: whether a start there would hold up all that is left, tried out on arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .levels import Floats

_SLACK = 0.005  #: as a share of what is left: an end that is later by this is as good


@dataclass(frozen=True)
class Batch:
    """A number of jobs of one kind; ``run`` and ``load`` by column, in seconds, `run` infinite where none may
    go. What one of them loaded, the next ones there need not."""

    key: Hashable
    count: int
    run: Floats
    load: Floats


def better_start(
    ready_s: Floats, batches: Sequence[Batch], at: int, chosen: Hashable, now_s: float
) -> Hashable:
    """What the peer in column `at` should start: `chosen`, unless the rest would end later for it."""
    if len(batches) < 2:
        return chosen
    best_s, first = _longest_first(ready_s, batches)
    mine = next(batch for batch in batches if batch.key == chosen)
    after, load = ready_s.copy(), mine.load.copy()
    after[at] += mine.run[at] + mine.load[at]
    load[at] = 0.0
    rest = [b if b is not mine else replace(mine, count=mine.count - 1, load=load) for b in batches]
    end_s = max(_longest_first(after, rest)[0], float(after[at]))
    return chosen if end_s - now_s <= (1 + _SLACK) * (best_s - now_s) else first.get(at, chosen)


def _longest_first(ready_s: Floats, batches: Sequence[Batch]) -> tuple[float, dict[int, Hashable]]:
    """When all are done if the longest go first, each to the peer that ends it soonest; and what
    each column begins with."""
    ready, end_s = ready_s.copy(), 0.0
    first: dict[int, Hashable] = {}
    for batch in sorted(batches, key=lambda batch: -float(batch.run.min(initial=np.inf))):
        done, run = ready + batch.load + batch.run, batch.run
        for _ in range(batch.count):
            at = int(done.argmin())
            ready[at] = done_s = done.item(at)
            done[at] = done_s + run[at]  # loaded already
            first.setdefault(at, batch.key)
            end_s = max(end_s, done_s)
    return end_s, first
