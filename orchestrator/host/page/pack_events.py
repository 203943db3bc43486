"""Events that node packs send their own code on the page: which of a peer's are told on, and how many.

That code trusts its own server, so only what it would have heard from this computer as well passes: events of
a class that this computer has from the same pack, while a prompt runs there, for the client that sent it.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ...backends.wire import COMFYUI_TYPES, PeerEvent
from ...core.models.job import Job
from ...core.workflow.prompt import class_of
from ...runtime import Runtime
from ..sanitise import sanitise

EVENT_MAX_BYTES = 64 << 10
PER_S = 20  #: of one job
_JOBS_MAX = 1_000
_NAME = re.compile(r"[\w.:/ -]{1,100}")
#: What the page's own parts tell each other by the same channel, and what newer hosts tell.
_RESERVED = re.compile(
    r"orchestrator\.|asset|b_preview|progress_text|graph(Changed|Cleared)$|prompt(Queueing|Queued)$"
    r"|reconnect(ing|ed)$|display_component$"
)
_COPY = re.compile(r"([-_](main|master)|@.*)$")


class PackEvents:
    """`own_module`: which module of this computer's a class comes from, "" for one that it lacks. `clock`: in
    seconds."""

    def __init__(
        self,
        runtime: Runtime,
        own_module: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._own_module = own_module
        self._clock = clock
        self._told: dict[str, deque[float]] = {}

    def data_of(self, job: Job, event: PeerEvent, node_id: str) -> Any:
        """What is told on of an event that came while `node_id` was at work, fit for JSON; None: nothing."""
        if event.type in COMFYUI_TYPES or _RESERVED.match(event.type) or not _NAME.fullmatch(event.type):
            return None
        if not self.may_tell(job, node_id):
            return None
        data = sanitise(event.data if event.other is None else event.other)
        return data if len(json.dumps(data)) <= EVENT_MAX_BYTES else None

    def may_tell(self, job: Job, node_id: str) -> bool:
        """Whether the class of that node may tell the page something now; counts it."""
        return self._is_trusted(job, class_of(job.request.prompt.get(node_id))) and self._is_in_time(job.id)

    def _is_trusted(self, job: Job, class_type: str) -> bool:
        config = self._runtime.manager.find(job.backend_id)
        info = self._runtime.manager.get_object_info(job.backend_id) if config else None
        if config is None or info is None or not class_type or not config.relays_events:
            return False
        ours, theirs = pack_of(self._own_module(class_type)), pack_of(info.module_of(class_type))
        return bool(ours) and ours == theirs

    def _is_in_time(self, job_id: str) -> bool:
        now = self._clock()
        told = self._told.setdefault(job_id, deque(maxlen=PER_S))
        if len(told) == PER_S and now - told[0] < 1.0:
            return False
        told.append(now)
        while len(self._told) > _JOBS_MAX:
            del self._told[next(iter(self._told))]
        return True


def pack_of(module: str) -> str:
    """The pack that a class's ``python_module`` belongs to, however its folder is spelled; "" for none."""
    first, _, folder = module.partition(".")
    if first != "custom_nodes" or not folder:
        return ""
    return _COPY.sub("", folder.lower()).replace("_", "-")
