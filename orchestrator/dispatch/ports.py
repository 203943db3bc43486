"""What the dispatcher needs of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..backends.client import ComfyUIClient
from ..backends.events import EventStream
from ..core.models.backend import BackendConfig
from ..core.models.job import Job, Rank


class Journal(Protocol):
    async def save_job(self, job: Job) -> None: ...
    async def save_request(self, job: Job) -> None: ...
    async def save_places(self, places: Mapping[str, Rank]) -> None: ...
    async def delivered(self, paths: Sequence[str]) -> frozenset[str]: ...


class Peers(Protocol):
    """Connections to peers (backends/pool.py)."""

    def __call__(self, config: BackendConfig) -> ComfyUIClient: ...
    def events(self, config: BackendConfig) -> EventStream: ...


class Here(Protocol):
    """The master as a place to run (host/this_machine.py)."""

    def is_free(self) -> bool: ...
    async def run(self, job: Job) -> dict[str, Any]: ...
