"""What a page and the host's history are told of a fleet job."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Any

import pytest

from orchestrator.backends.events import PeerEvent
from orchestrator.core.models.job import HERE, Job, JobRequest, JobState, Source
from orchestrator.host.fleet_mirror import FleetMirror

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
WAITING = Job("job", JobRequest(prompt={}, source=Source.FLEET, client_id="page"), NOW)
RUNNING = WAITING.to(JobState.RUNNING, backend_id="a", begun_at=NOW)


class Surroundings:
    """Stands in for the server, the runtime and the native queue."""

    def __init__(self) -> None:
        self.sockets = {"page": None}
        self.sent: list[tuple[str, Any]] = []
        self.history: list[tuple[str, Any]] = []
        self.known: list[Job] = []

    def jobs(self) -> list[Job]:
        return self.known

    def on_job(self, listener: Any) -> None:
        self.tell = listener

    def on_message(self, listener: Any) -> None:
        self.say = listener

    def send_sync(self, kind: str, data: Any, client_id: str) -> None:
        self.sent.append((kind, data))

    def next_number(self) -> float:
        return 1.0

    def show_waiting(self, item: Any) -> None: ...

    def show_running(self, item: Any) -> None: ...

    def forget(self, job_id: str) -> None: ...

    def finish(self, item: Any, outputs: Any, is_done: bool, messages: list[tuple[str, Any]]) -> None:
        self.history = messages


@pytest.mark.parametrize("back_to", [WAITING, WAITING.evolve(backend_id=HERE)])
async def test_nothing_of_a_lost_attempt_is_told_of_the_next(back_to: Job) -> None:
    around = Surroundings()
    mirror = FleetMirror(around, around, around)  # type: ignore[arg-type]
    mirror.start()
    around.tell(WAITING)
    around.tell(RUNNING)
    around.say(RUNNING, PeerEvent("execution_cached", {"nodes": ["1", "2"]}))
    around.say(RUNNING, PeerEvent("progress_state", {"nodes": {}}))
    around.tell(back_to)
    for _ in range(3):  # the progress that is due would be told now
        await asyncio.sleep(0)
    assert "progress_state" not in [kind for kind, _ in around.sent]

    around.known = [RUNNING]
    around.tell(RUNNING)
    around.sent.clear()
    mirror.greet("page")
    assert [kind for kind, _ in around.sent] == ["execution_start"]
    around.say(RUNNING, PeerEvent("execution_cached", {"nodes": ["1"]}))
    around.tell(RUNNING.to(JobState.DONE, ended_at=NOW))
    cached = [data["nodes"] for kind, data in around.history if kind == "execution_cached"]
    assert cached == [["1"]]
