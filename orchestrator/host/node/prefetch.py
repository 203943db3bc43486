"""Starts the dispatch nodes of prompts as soon as the host has accepted them: a node only awaits its job.

The host runs one prompt after the other; without this so would the peers. And while it gets the first one
under way, in another thread, that one's upstream is on its way to a peer already.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...core.models.job import JobRequest
from ...core.workflow.cut import DISPATCH_CLASS, STASH_KEY, VALUE_INPUT, Stash
from ...core.workflow.prompt import class_of, is_link, upstream
from ...errors import OrchestratorError
from ...runtime import Runtime
from .request import ALWAYS, AUTOMATIC, EIGHT_BIT, FAIL, node_request

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 0.5
REMEMBERED = 200  #: nodes that asked for their job, and values that they asked for


@dataclass(frozen=True)
class _Begun:
    """``is_ahead``: its prompt had to wait, so that much may have changed until its node asks."""

    job_id: str
    request: JobRequest
    is_ahead: bool


class Prefetch:
    """`queue` is the host's prompt queue. All methods belong to the server's loop."""

    def __init__(self, queue: Any, runtime: Runtime) -> None:
        self._queue = queue
        self._runtime = runtime
        self._begun: dict[tuple[str, str], _Begun] = {}
        self._asked: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)
        self._last: dict[str, Any] = {}
        self._lately: deque[Any] = deque(maxlen=REMEMBERED)
        self._sweeper: asyncio.Task[None] | None = None

    async def begin(self, prompt_id: str) -> None:
        """The host has accepted a prompt: start what its dispatch nodes will want, unless it has the value.

        The same as last time comes out of the host's cache, or a class in it says that it changed, and the
        node starts the job itself. The host may remember more, as it was told to at its start; for a prompt
        that runs already a moment's head start is not worth a job for nothing.
        """
        running, waiting = self._queue.get_current_queue_volatile()
        now = next((item for item in (*waiting, *running) if item[1] == prompt_id), None)
        if now is None:
            return
        is_ahead = now in waiting
        reached = upstream(now[2], now[4])  # a part of the graph may have been asked for
        for node_id, inputs in _dispatch_nodes(now[2]):
            if node_id not in reached:
                continue
            wanted = (node_id, inputs[VALUE_INPUT][STASH_KEY], _options(inputs))
            is_known = self._last.get(node_id) == wanted if is_ahead else wanted in self._lately
            is_known = is_known and inputs.get("run_again") != ALWAYS
            self._last[node_id] = wanted
            self._lately.append(wanted)
            if not is_known and (prompt_id, node_id) not in self._asked:
                await self._start(prompt_id, node_id, inputs, now[3], is_ahead)

    async def _start(
        self,
        prompt_id: str,
        node_id: str,
        inputs: Mapping[str, Any],
        extra: Mapping[str, Any],
        is_ahead: bool,
    ) -> None:
        begun: _Begun | None = None
        try:
            stash = Stash.from_input(inputs[VALUE_INPUT])
            options = _options(inputs)
            if stash is None or stash.boundaries or any(is_link(value) for value in options.values()):
                return  # it depends on values that are not there yet
            if inputs.get("copies", 1) != 1:
                return  # which are several jobs
            request = node_request(
                stash, stash.prompt, node_id=node_id, extra_pnginfo=extra.get("extra_pnginfo"), **options
            )
            begun = _Begun(uuid.uuid4().hex, request, is_ahead)
            self._begun[prompt_id, node_id] = begun  # before it is submitted: the node may ask meanwhile
            await self._runtime.jobs.submit(request, job_id=begun.job_id)
        except OrchestratorError as exc:
            if begun is not None and self._begun.get((prompt_id, node_id)) is begun:
                del self._begun[prompt_id, node_id]
            log.debug("Node %s of a prompt is not started ahead: %s", node_id, exc)
            return
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep_on(), name="remote-dispatch prefetch")

    def claim(self, prompt_id: str, node_id: str, request: JobRequest) -> str | None:
        """The job that was started for this very node and request, if that is of use."""
        self._asked.append((prompt_id, node_id))
        begun = self._begun.pop((prompt_id, node_id), None)
        if begun is None:
            return None
        job = self._runtime.jobs.find(begun.job_id)
        error = (job.error or {}).get("code") if job else "forgotten"
        # A peer that was not there then may be there now.
        is_old = begun.is_ahead and error == "no_eligible_peer"
        # A node that ran in between may have written into the workflow that goes along.
        is_same = replace(begun.request, extra_data=request.extra_data) == request
        if is_same and not is_old and error not in ("forgotten", "cancelled"):
            return begun.job_id
        self._drop(begun)
        return None

    def sweep(self) -> None:
        """End what was started for prompts that are gone, or that did not need it."""
        running, waiting = self._queue.get_current_queue_volatile()
        alive = {item[1] for item in (*running, *waiting)}
        for key in [key for key in self._begun if key[0] not in alive]:
            self._last.pop(key[1], None)
            self._drop(self._begun.pop(key))

    async def _sweep_on(self) -> None:
        while self._begun:
            await asyncio.sleep(SWEEP_EVERY_S)
            self.sweep()

    def _drop(self, begun: _Begun) -> None:
        job = self._runtime.jobs.find(begun.job_id)
        if job is not None and not job.state.is_final:
            self._runtime.jobs.cancel_soon(begun.job_id)


def _dispatch_nodes(prompt: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if class_of(node) == DISPATCH_CLASS else None
        value = inputs.get(VALUE_INPUT) if isinstance(inputs, Mapping) else None
        if isinstance(inputs, Mapping) and isinstance(value, Mapping) and STASH_KEY in value:
            yield str(node_id), inputs


def _options(inputs: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {"overrides": "", "peer": AUTOMATIC, "if_no_peer": FAIL, "precision": EIGHT_BIT}
    return {name: inputs.get(name, default) for name, default in defaults.items()}
