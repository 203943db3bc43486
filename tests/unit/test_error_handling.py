"""Contract: a scheduler without peers refuses with a ValueError."""

import pytest
from orchestrator.core.engine.scheduler import Scheduler


def test_scheduler_raises_when_no_backends() -> None:
    scheduler = Scheduler()
    with pytest.raises(ValueError):
        scheduler.select_backend(None, None)
