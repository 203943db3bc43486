"""An engine whose wall clock jumps while a job runs and another waits: `python -m tests.faults.clock HOME`.

A process of its own: the clock is replaced before anything else is imported. Prints what the jumps did.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
import time
from pathlib import Path

HOUR_S = 3600.0
_true_time, _TrueDatetime = time.time, datetime.datetime
_ahead_s = 0.0


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _Datetime:
        now = _TrueDatetime.now(tz) + datetime.timedelta(seconds=_ahead_s)
        return cls.combine(now.date(), now.timetz())


def jump(seconds: float) -> None:
    global _ahead_s
    _ahead_s += seconds


async def main(home: Path) -> None:
    from orchestrator.core.models.job import JobState
    from tests.fakes.master import outcomes
    from tests.fakes.waiting import until

    from .rig import standing

    async with standing(home) as rig:
        running = await rig.submit_to(rig.a)
        rig.b.on_prompt = "hold"
        others = [await rig.submit() for _ in range(4)]
        seen = []
        for seconds in (HOUR_S, -2 * HOUR_S, HOUR_S):
            jump(seconds)
            asked = [len(peer.asked("/queue")) for peer in (rig.a, rig.b)]
            await until(
                lambda asked=asked: all(
                    len(peer.asked("/queue")) > before + 5
                    for peer, before in zip((rig.a, rig.b), asked, strict=True)
                ),
                "both peers are asked again and again",
            )
            seen.append([rig.health("a"), rig.health("b"), rig.master.job(running).state.value])
        posts = sum(rig.posts())
        for peer in (rig.a, rig.b):
            peer.on_prompt = "run"
            if peer.running:
                await peer.finish(peer.running)
        ended = [await rig.end_of(job) for job in (running, *others)]
        assert all(job.state is JobState.DONE for job in ended)
        print(json.dumps({"seen": seen, "posts": posts, "attempts": [outcomes(job) for job in ended]}))


if __name__ == "__main__":
    time.time = lambda: _true_time() + _ahead_s
    datetime.datetime = _Datetime  # type: ignore[misc]
    asyncio.run(main(Path(sys.argv[1])))
