"""What the dispatcher needs of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..backends.client import ComfyUIClient
from ..backends.events import EventStream
from ..core.engine.health import JobEnd
from ..core.engine.learned import LearnedRow
from ..core.engine.requirements import Doubt
from ..core.engine.withdrawal import Unwanted
from ..core.models.backend import BackendConfig, Vitals
from ..core.models.job import AttemptResult, Job, Rank


class Journal(Protocol):
    async def accept_jobs(self, jobs: Sequence[Job], places: Mapping[str, Rank]) -> None: ...
    async def save_job(self, job: Job) -> None: ...
    def hurry(self) -> None: ...
    async def save_request(self, job: Job) -> None: ...
    async def save_places(self, places: Mapping[str, Rank]) -> None: ...
    async def load_learned(self) -> tuple[LearnedRow, ...]: ...
    async def save_learned(self, rows: Sequence[LearnedRow], *, only: bool = False) -> None: ...
    async def save_unwanted(self, unwanted: Unwanted) -> None: ...
    async def forget_unwanted(self, prompt_id: str) -> None: ...
    async def load_unwanted(self) -> tuple[Unwanted, ...]: ...
    async def delivered(self, paths: Sequence[str]) -> frozenset[str]: ...


class Peers(Protocol):
    """Connections to peers (backends/pool.py)."""

    def __call__(self, config: BackendConfig) -> ComfyUIClient: ...
    def events(self, config: BackendConfig) -> EventStream: ...


class Claims(Protocol):
    """Of jobs on prompts that are to end (attempts/recall.py)."""

    def may_want(self, prompt_id: str) -> bool: ...
    def takes(self, prompt_id: str, has_begun: bool) -> bool: ...


class Monitor(Protocol):
    """Watches the peers (backends/health_monitor.py)."""

    def note_job(self, backend_id: str, end: JobEnd, why: str = "") -> None: ...
    def look_at(self, backend_id: str, *, is_stale: bool) -> None: ...


class SecondLook(Protocol):
    """Asks peers once more what they lack (backends/second_look.py)."""

    async def ask(self, doubts: Mapping[str, Doubt]) -> frozenset[str]: ...


@dataclass(frozen=True)
class RanHere:
    """``cached``: the nodes that were in the cache."""

    result: AttemptResult
    cached: frozenset[str]


class Here(Protocol):
    """The master as a place to run (host/this_machine.py)."""

    def is_wanted(self) -> bool: ...
    def is_free(self) -> bool: ...
    def vitals(self) -> Vitals | None: ...
    async def run(self, job: Job) -> RanHere: ...
