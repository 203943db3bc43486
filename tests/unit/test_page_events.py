"""The page and the server mean the same events."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.host.page.page_events import PageEvent

WEB = Path(__file__).parents[2] / "web"


def test_the_page_listens_to_every_event_that_is_told_and_to_no_other() -> None:
    heard = {
        name
        for path in WEB.rglob("*.js")
        for name in re.findall(r'"(orchestrator\.\w+)"', path.read_text("utf-8"))
    }
    assert heard == {event.value for event in PageEvent}
