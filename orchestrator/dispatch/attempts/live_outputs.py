"""What a node has made, told while its prompt still runs, with the names that its files will have here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...backends.events import PeerEvent
from ...background import BackgroundTasks
from ...core.models.job import RemoteFile
from ...core.prompts.output_names import OutputNames
from ...core.workflow.result_files import sequence_of
from ...core.workflow.shown_outputs import shown_of
from .results import Results

log = logging.getLogger(__name__)


Shown = Mapping[str, Any]


@dataclass(frozen=True)
class NodeOutput(PeerEvent):
    """A peer's ``executed``. ``shown``, asked at once by who has somebody to tell it: its output as this
    machine shows it, once its files have their names; None where that cannot be known before the prompt has
    ended."""

    shown: Callable[[], asyncio.Future[Shown | None]] | None = None


class LiveOutputs:
    """Of one attempt. The names are kept for the files until the attempt has ended; it may still fail, and
    another attempt then tells its own."""

    def __init__(self, results: Results, names: OutputNames) -> None:
        self._results = results
        self._names = names
        self._naming = BackgroundTasks()

    def named(self, event: PeerEvent, told: Mapping[str, Any], files: tuple[RemoteFile, ...]) -> NodeOutput:
        """The event as a NodeOutput: it tells these outputs, whose `files` are expected."""

        def shown() -> asyncio.Future[Shown | None]:
            return self._naming.start(self._shown(told, files), "naming of results")

        return NodeOutput(event.type, event.data, event.of_prompt, event.other, shown)

    @property
    def is_naming(self) -> bool:
        return len(self._naming) > 0

    async def settled(self) -> None:
        """Until all names are known that can be."""
        await self._naming.settled()

    async def aclose(self) -> None:
        await self._naming.aclose()

    async def _shown(self, told: Mapping[str, Any], files: tuple[RemoteFile, ...]) -> Shown | None:
        if any(sequence_of(file) is not None for file in files):
            return None  # how many there are is asked at the end
        try:
            places = await self._results.name(files) if files else {}
        except OSError as exc:
            log.info("Results could not be named early: %s", exc)
            return None
        [shown] = shown_of(told, places, self._names.restored).values()
        return dict(shown)
