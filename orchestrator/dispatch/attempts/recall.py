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

    def __init__(self, manager: BackendManager, registry: JobRegistry) -> None:
        self._manager = manager
        self._registry = registry

    def may_want(self, prompt_id: str) -> bool:
        return self._registry.of_prompt(prompt_id) is not None

    def takes(self, prompt_id: str, has_begun: bool) -> bool:
        """Whether a job goes on with this prompt, which its peer still has: by now, or in a moment.
        `has_begun`: it runs there, or is done."""
        live = self._registry.of_prompt(prompt_id)
        if live is None or live.cancel_reason or live.task is None or live.task.done():
            return False
        last = live.job.attempts[-1]
        if live.recalled == prompt_id or (last.prompt_id == prompt_id and last.ended_at is None):
            return True
        first = next(attempt for attempt in live.job.attempts if attempt.prompt_id == prompt_id)
        is_elsewhere = live.job.state is JobState.RUNNING
        is_older = first.started_at < last.started_at  # else it was a second copy
        is_late = (
            live.second is not None or live.delivery.is_under_way or live.job.backend_id == LOCAL_PEER_ID
        )
        if not live.may_recall or live.recalled or is_late or first.ended_at is None:
            return False
        if (is_elsewhere and not (has_begun and is_older)) or not self._may_run_on(first.backend_id, live):
            return False
        log.info("Job %s goes on with %s: its peer is back", live.job.id, prompt_id)
        live.recalled = prompt_id
        live.task.cancel()
        return True

    def _may_run_on(self, backend_id: str, live: LiveJob) -> bool:
        """A person may have removed that peer, or given the job to another one."""
        pinned = self._manager.find(live.queued.request.peer) if live.queued.request.peer else None
        return self._manager.find(backend_id) is not None and (pinned is None or pinned.id == backend_id)


def is_called_back(live: LiveJob) -> bool:
    """Whether it was this that cancelled what the job was at; that is then no end of it."""
    if not live.recalled or live.cancel_reason:
        return False
    with suppress(AttributeError):  # Python 3.10 keeps no count
        asyncio.current_task().uncancel()  # type: ignore[union-attr]
    return True


def reopened(live: LiveJob) -> None:
    """Its record as it was while that attempt was under way, and the attempts since then before it."""
    prompt_id = live.recalled
    others = tuple(a for a in live.job.attempts if a.prompt_id != prompt_id)
    first = next(a for a in live.job.attempts if a.prompt_id == prompt_id)
    first = replace(first, ended_at=None, outcome="", reason="", is_victim=False)
    live.job = live.job.to(
        JobState.RUNNING,
        backend_id=first.backend_id,
        attempts=(*others, first),
        progress_text="its peer is back, and it goes on there",
    )
    live.queued.tried.pop(first.backend_id, None)
