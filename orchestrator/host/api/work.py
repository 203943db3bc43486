"""What each peer did over a while, as the monitor asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field

from ...clock import utc_now
from ...core.models.peer_work import Turn, work_of
from ...errors import ConfigError
from ...runtime import Runtime
from .answers import WorkView
from .bodies import Body, must
from .views import moment_text

DAYS_MAX = 7
_MOMENT = must("must be a moment with its time zone, such as 2026-03-01T00:00:00Z.")


class WorkQuery(Body):
    """What stands behind the question mark."""

    model_config = ConfigDict(strict=False)

    since: Annotated[AwareDatetime | None, _MOMENT] = Field(
        default=None,
        description=f"The while begins then: {DAYS_MAX} days ago at most, in ISO 8601; else a day ago.",
    )

    def begin(self, now: datetime) -> datetime:
        """Raises ConfigError: it is not one of the last days."""
        since = self.since or now - timedelta(days=1)
        if not now - timedelta(days=DAYS_MAX) <= since <= now:
            raise ConfigError(f'"since" must lie in the last {DAYS_MAX} days.', field="since")
        return since


async def work(runtime: Runtime, query: WorkQuery) -> WorkView:
    """Counted off the loop: a day of a large fleet has thousands of attempts."""
    now = utc_now()
    since = query.begin(now)
    running = [
        Turn(attempt.backend_id, "", attempt.begun_at, None)
        for job in runtime.jobs.running()
        for attempt in job.attempts
        if attempt.ended_at is None
    ]
    ended = await runtime.store.load_turns(since)
    return await asyncio.to_thread(work_view, [*ended, *running], since, now, runtime.peers.name)


def work_view(
    turns: Sequence[Turn], since: datetime, now: datetime, peer_name: Callable[[str], str]
) -> WorkView:
    return {
        "since": moment_text(since),
        "until": moment_text(now),
        "peers": [
            {
                "peer_id": peer_id,
                "peer": peer_name(peer_id),
                "done": found.done,
                "failed": found.failed,
                "busy_s": round(found.busy_s, 1),
                "busy": [round(part, 3) for part in found.busy],
                "failures": found.failures,
            }
            for peer_id, found in work_of(turns, since, now).items()
        ],
    }
