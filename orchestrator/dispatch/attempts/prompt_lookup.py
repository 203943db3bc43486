"""Where a prompt is on its peer, and how it ended, by what the peer's queue and history say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from typing import Any

from ...backends.client import ComfyUIClient
from ...errors import AnswerTooLargeError, ResultError
from .rounds import Rounds
from .told_history import ToldHistory

#: A queue that took longer than this to read is left alone for several times as long: it costs its peer too.
SHORT_READ_S, REST_SHARE, REST_MAX_S = 0.5, 10.0, 60.0


class InQueue(Enum):
    """``UNKNOWN``: nobody can tell now."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"


class PromptLookup:
    def __init__(self, client: ComfyUIClient, rounds: Rounds, peer: str) -> None:
        self._client = client
        self._rounds = rounds
        self._peer = peer
        self._ask_queue_at_s = 0.0

    async def in_queue(self, prompt_id: str, *, note_rounds: bool) -> InQueue:
        """`note_rounds`: so that nobody takes its further rounds for somebody else's."""
        clock = asyncio.get_running_loop().time
        if clock() < self._ask_queue_at_s:
            return InQueue.UNKNOWN
        began_s = clock()
        try:
            queued = await self._client.queued({self._rounds.client_id} if note_rounds else ())
        except AnswerTooLargeError:
            return InQueue.UNKNOWN
        finally:
            rest_s = REST_SHARE * (clock() - began_s - SHORT_READ_S)
            self._ask_queue_at_s = clock() + min(rest_s, REST_MAX_S)
        if note_rounds:
            self._rounds.note(queued)
        there = [prompt for prompt in queued if prompt.prompt_id == prompt_id]
        if not there:
            return InQueue.ABSENT
        return InQueue.RUNNING if any(prompt.is_running for prompt in there) else InQueue.WAITING

    async def entry(self, prompt_id: str, told: ToldHistory) -> Mapping[str, Any] | None:
        """Its history; one that is too large is replaced by what was `told`.

        Raises:
            ResultError: it has ended, and nobody can tell how.
        """
        try:
            return await self._client.history(prompt_id)
        except AnswerTooLargeError as exc:
            entry = told.entry()
            if entry is None:
                text = f"What the job made on {self._peer} is too large to read, and not all of it was told."
                raise ResultError(text) from exc
            return entry
