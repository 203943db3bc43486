"""By when work can be done: the levels that placement computes with."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.core.engine.placement.levels import fluid_level, fluid_levels


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
