"""Shows fleet jobs in the host's own queue and history, beside the prompts it runs itself.

Its running and waiting lists are never written to: the prompt worker would run what is in them, and an
interrupt would hit the local prompt. Ours are added where the host reads them for a browser.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..doors import strangers
from ..host_queue import is_replaced, notice_about, pack_behind

log = logging.getLogger(__name__)

SHOWN_WAITING = 200  #: of a very long queue; the Fleet tab has all
STATUS_EVERY_S = 0.1
_TRY = "remote-dispatch-try"  #: stands in queue and history for a moment, to see whether it is seen there
HISTORY_MAX = 10_000  #: as the host's own MAXIMUM_HISTORY_SIZE

Item = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]
"""As in the host's queue: number (an integer, unless the sender chose it), prompt id, prompt, extra data,
output nodes."""


class NativeQueue:
    """`server` is the PromptServer. All methods but the two the host calls belong to its loop."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.queue: Any = None  #: the host's, once ``install`` was called
        self.keeps_history = True
        self._running: dict[str, Item] = {}
        self._waiting: dict[str, Item] = {}
        self._ended: set[str] = set()  #: our prompt ids in the host's history
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")

    def install(self) -> str:
        """Let the host's answers about its queue include ours. Called when all node packs are loaded.

        Returns what a person has to know of a queue that another pack has put in its place; "" when ours is
        shown as it should be.
        """
        self.queue = self._server.prompt_queue
        pack = pack_behind(self.queue)
        for name, with_ours in (
            ("get_current_queue_volatile", self._with_ours),
            ("get_tasks_remaining", self._count_with_ours),
            ("get_history", self._history_for_asker),
        ):
            original = getattr(self.queue, name, None)
            if callable(original):
                with suppress(Exception):  # a class with slots, say; looked at next
                    setattr(self.queue, name, _extended(original, with_ours))
        for name in ("wipe_history", "delete_history_item"):
            original = getattr(self.queue, name, None)
            if callable(original):
                with suppress(Exception):
                    setattr(self.queue, name, self._keeping_ours(original))
        shows_queue, self.keeps_history = self._shows_queue(), self._keeps_history()
        if shows_queue and self.keeps_history and not is_replaced(self.queue):
            return ""
        return notice_about(pack, shows_queue=shows_queue, keeps_history=self.keeps_history)

    def next_number(self) -> int:
        """A number for a prompt, from the host's own counter."""
        number = int(self._server.number)
        self._server.number += 1
        return number

    def show_waiting(self, job_id: str, item: Item) -> None:
        self._running.pop(job_id, None)
        self._waiting[job_id] = item
        self._changed()

    def show_running(self, job_id: str, item: Item) -> None:
        self._waiting.pop(job_id, None)
        self._running[job_id] = item
        self._changed()

    def finish(
        self,
        job_id: str,
        item: Item,
        outputs: Mapping[str, Any],
        meta: Mapping[str, Any],
        succeeded: bool,
        messages: Sequence[tuple[str, Any]],
    ) -> None:
        """Move it to the host's history. `meta`: for each output, which boxes it belongs to."""
        self._running.pop(job_id, None)
        self._waiting.pop(job_id, None)
        # The page hides an entry whose number is not above those it has seen: number it by its end.
        number = type(item[0])(self.next_number())
        entry = {
            "prompt": (number, *item[1:]),
            "outputs": dict(outputs),
            "status": {
                "status_str": "success" if succeeded else "error",
                "completed": succeeded,
                "messages": list(messages),
            },
            "meta": dict(meta),
        }
        if self.keeps_history:
            with self.queue.mutex:
                while len(self.queue.history) >= HISTORY_MAX:
                    self.queue.history.pop(next(iter(self.queue.history)))
                self.queue.history[item[1]] = entry
                self._note_ended(item[1])
        self._changed()

    def _note_ended(self, prompt_id: str) -> None:
        self._ended.add(prompt_id)
        if len(self._ended) > 2 * HISTORY_MAX:
            self._ended &= set(self.queue.history)

    def forget(self, job_id: str) -> None:
        """It was taken out of the queue before it ran: like the host, leave no trace."""
        self._running.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._changed()

    def _shows_queue(self) -> bool:
        """Whether the caller who asks the host for its queue sees one of our jobs."""
        self._running[_TRY] = (0, _TRY, {}, {}, [])
        try:
            running, _ = self.queue.get_current_queue_volatile()
            return any(item[1] == _TRY for item in running)
        except Exception as exc:  # whatever another pack's code may raise
            log.debug("The host's queue cannot be read: %s", exc)
            return False
        finally:
            del self._running[_TRY]

    def _keeps_history(self) -> bool:
        """Whether who asks the host for an ended prompt gets what we write there."""
        entry: dict[str, Any] = {"prompt": (0, _TRY, {}, {}, []), "outputs": {}, "status": None, "meta": {}}
        try:
            with self.queue.mutex:
                self.queue.history[_TRY] = entry
            try:  # without the lock: another pack's may be one that nobody takes twice
                return _TRY in self.queue.get_history(prompt_id=_TRY)
            finally:
                with self.queue.mutex:
                    self.queue.history.pop(_TRY, None)
        except Exception as exc:  # whatever another pack's code may raise
            log.debug("The host's history cannot be used: %s", exc)
            return False

    def _with_ours(self, theirs: Any) -> Any:
        if strangers.is_asking():
            return theirs
        running, waiting = theirs
        shown = itertools.islice(tuple(self._waiting.values()), SHOWN_WAITING)
        return [*running, *tuple(self._running.values())], [*waiting, *shown]

    def _count_with_ours(self, theirs: Any) -> Any:
        # What a stranger does here may tell everybody how long the queue is.
        return theirs if strangers.is_reading() else theirs + self.count_ours()

    def count_ours(self) -> int:
        """How many of our jobs are shown."""
        return len(self._running) + len(self._waiting)

    def _history_for_asker(self, entries: Any) -> Any:
        if not strangers.is_asking():
            return entries
        return {prompt_id: entry for prompt_id, entry in entries.items() if prompt_id not in self._ended}

    def _keeping_ours(self, change: Any) -> Any:
        """What takes entries out of the history; a stranger reaches none of our jobs."""

        def call(*given: Any, **named: Any) -> Any:
            if not strangers.is_asking():
                return change(*given, **named)
            with self.queue.mutex:
                ours = {i: entry for i, entry in self.queue.history.items() if i in self._ended}
            result = change(*given, **named)
            with self.queue.mutex:
                self.queue.history = {**ours, **self.queue.history}
            return result

        return call

    def _changed(self) -> None:
        """Tell the pages how long the queue is: at once, but not more often than they can draw."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait_s = max(0.0, self._told_at + STATUS_EVERY_S - loop.time())
            self._timer = loop.call_later(wait_s, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        try:
            self._server.queue_updated()
        except Exception as exc:  # another pack's queue may not know how long it is
            log.debug("The pages could not be told of the queue: %s", exc)


def _extended(original: Any, with_ours: Any) -> Any:
    def call(*given: Any, **named: Any) -> Any:
        theirs = original(*given, **named)
        try:
            return with_ours(theirs)
        except Exception:
            log.exception("The host's queue could not be told with the jobs of the fleet")
            return theirs

    return call
