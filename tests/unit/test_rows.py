"""The arrays that placement computes with: levels of many groups, sets of peers, counts that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.core.engine.kinds import Kind
from orchestrator.core.engine.levels import fluid_level, fluid_levels
from orchestrator.core.engine.need import Need
from orchestrator.core.engine.peer_sets import PeerSets
from orchestrator.core.engine.rows import Rows


@pytest.mark.parametrize("groups", [1, 40])
def test_the_levels_of_many_groups_are_those_of_each(groups: int) -> None:
    dice = np.random.default_rng(groups)
    ready, speed = dice.uniform(0.0, 50.0, 9), dice.uniform(0.5, 4.0, 9)
    ready[3] = np.inf  # a column of no peer: nobody may use it
    may = dice.random((groups, 9)) < 0.4
    may[:, 3], may[:, 4] = False, True
    work = dice.uniform(1.0, 500.0, groups)
    each = [fluid_level(ready[mine], speed[mine], its) for mine, its in zip(may, work.tolist(), strict=True)]
    assert fluid_levels(ready, speed, may, work).tolist() == each


def test_what_lies_within_a_set_of_peers_is_known_for_sets_that_come_later_too() -> None:
    sets = PeerSets(3)
    masks = [np.array(bits, np.bool_) for bits in ((1, 1, 0), (1, 1, 1), (0, 1, 0), (0, 0, 0), (0, 1, 1))]
    numbers = [sets.number(mask) for mask in masks]
    assert [sets.number(mask.copy()) for mask in masks] == numbers
    for a, outer in zip(numbers, masks, strict=True):
        for b, inner in zip(numbers, masks, strict=True):
            assert sets.within[a, b] == (inner.any() and not (inner & ~outer).any())


def test_how_many_peers_may_take_a_job_and_are_warm_is_counted_as_they_change() -> None:
    rows = Rows()
    rows.widen(4)
    for number in range(40):
        kind = Kind(f"kind {number}", files=(f"file {number % 3}",))
        rows.add(number, kind, Need(), [number % 2 == 0, True, False, False])
    rows.keep_only({number for number in range(40) if number % 4})
    rows.add("new", Kind("new"), Need(), [False, True, True, False])
    for row in rows.of.values():
        rows.warm[row.number] = (row.may & (row.load == 0.0)).sum()
    rows.set_eligible(2, np.arange(len(rows.few)) % 3 == 0)
    rows.load_anew(1, [7.0 * n for n in range(len(rows.file_sets))])
    rows.widen(8)
    rows.set_eligible(1, np.zeros(len(rows.few), np.bool_))
    for row in rows.of.values():
        assert row.few == row.may.sum()
        assert row.warm == (row.may & (row.load == 0.0)).sum()
    assert {rows.files[row.number] for row in rows.of.values()} == set(rows.file_sets.values())
