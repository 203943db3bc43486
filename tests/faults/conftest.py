"""A rig for each case; the checker runs behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.rig import Rig, standing


@pytest.fixture
async def rig(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Rig]:
    async with standing(tmp_path) as rig:
        yield rig
    await rig.check_afterwards(caplog.text)
