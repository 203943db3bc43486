"""Calls a job back to an attempt that was given up, when its peer is there again and still has it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from ...backends.manager import BackendManager
from ...core.models.backend import LOCAL_PEER_ID
from ...core.models.job import JobState
from ..queue.registry import JobRegistry, LiveJob

log = logging.getLogger(__name__)


class Recall:
    """The claims of jobs on prompts that are to end, see Withdrawals."""

    def __init__(self, manager: BackendManager, register: JobRegistry) -> None:
        self._manager = manager
        self._register = register

    def may_want(self, prompt_id: str) -> bool:
        return self._register.of_prompt(prompt_id) is not None

    def takes(self, prompt_id: str, has_begun: bool) -> bool:
        """Whether a job goes on with this prompt, which its peer still has: by now, or in a moment.
        `has_begun`: it runs there, or is done."""
        entry = self._register.of_prompt(prompt_id)
        if entry is None or entry.cancel_reason or entry.task is None or entry.task.done():
            return False
        last = entry.job.attempts[-1]
        if entry.recalled == prompt_id or (last.prompt_id == prompt_id and last.ended_at is None):
            return True
        first = next(attempt for attempt in entry.job.attempts if attempt.prompt_id == prompt_id)
        is_elsewhere = entry.job.state is JobState.RUNNING
        is_older = first.started_at < last.started_at  # else it was a second copy
        is_late = (
            entry.second is not None or entry.delivery.is_under_way or entry.job.backend_id == LOCAL_PEER_ID
        )
        if not entry.may_recall or entry.recalled or is_late or first.ended_at is None:
            return False
        if (is_elsewhere and not (has_begun and is_older)) or not self._may_run_on(first.backend_id, entry):
            return False
        log.info("Job %s goes on with %s: its peer is back", entry.job.id, prompt_id)
        entry.recalled = prompt_id
        entry.task.cancel()
        return True

    def _may_run_on(self, backend_id: str, entry: LiveJob) -> bool:
        """A person may have removed that peer, or given the job to another one."""
        pinned = self._manager.find(entry.ticket.request.peer) if entry.ticket.request.peer else None
        return self._manager.find(backend_id) is not None and (pinned is None or pinned.id == backend_id)


def is_called_back(entry: LiveJob) -> bool:
    """Whether it was this that cancelled what the job was at; that is then no end of it."""
    if not entry.recalled or entry.cancel_reason:
        return False
    with suppress(AttributeError):  # Python 3.10 keeps no count
        asyncio.current_task().uncancel()  # type: ignore[union-attr]
    return True


def reopened(entry: LiveJob) -> None:
    """Its record as it was while that attempt was under way, and the attempts since then before it."""
    prompt_id = entry.recalled
    others = tuple(a for a in entry.job.attempts if a.prompt_id != prompt_id)
    first = next(a for a in entry.job.attempts if a.prompt_id == prompt_id)
    first = replace(first, ended_at=None, outcome="", reason="", is_victim=False)
    entry.job = entry.job.to(
        JobState.RUNNING,
        backend_id=first.backend_id,
        attempts=(*others, first),
        progress_text="its peer is back, and it goes on there",
    )
    entry.ticket.tried.pop(first.backend_id, None)
