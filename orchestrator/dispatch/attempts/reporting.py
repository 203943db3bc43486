"""What an attempt tells while it is under way, written into its job's record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...backends.events import Message, PeerEvent
from ...clock import utc_now
from ...core.engine.estimates.node_times import NODES_MAX, whole_run_s
from ...core.models.job import Attempt, Job
from ...core.workflow.outputs import ProgressMeter
from ..queue.registry import JobRegistry, LiveJob


@dataclass(frozen=True)
class Measured:
    """Seconds from the peer's first word to its last, and until the first step of a node where one was told.
    ``is_part``: what makes something new with each seed was in the peer's cache. ``node_s``: seconds of each
    node; empty where some were in the cache."""

    total_s: float
    head_s: float | None
    is_part: bool
    node_s: Mapping[str, float] = field(default_factory=dict)


class Reporter:
    """`output_nodes`: those whose running alone says nothing of how long the work takes. `seeded_nodes`:
    those that make something new with each seed."""

    def __init__(
        self,
        registry: JobRegistry,
        live: LiveJob,
        peer: str,
        on_begun: Callable[[], None],
        output_nodes: Collection[str] = (),
        seeded_nodes: frozenset[str] = frozenset(),
    ) -> None:
        self._on_begun = on_begun
        self._output_nodes = output_nodes
        self._seeded_nodes = seeded_nodes
        self._has_computed = self._is_part = False
        self._begun_at_s = self._loaded_at_s = self._ended_at_s = 0.0
        self._registry = registry
        self._entry = live
        self._peer = peer
        self._clock = asyncio.get_running_loop().time
        live.heard_at_s, live.at_node, live.has_copy = self._clock(), "", False
        self._expected_s = live.job.expected_s
        self._node_s: dict[str, float] = {}
        self._node, self._node_since_s = "", 0.0
        self._has_cached = False
        live.job = live.job.evolve(is_silent=False) if live.job.is_silent else live.job

    def on_event(self, message: Message) -> None:
        live = self._entry
        live.heard_at_s = self._clock()
        if live.job.attempts[-1].begun_at is None:  # its first word, whichever came through
            self._on_begun()
            self._begun_at_s = live.heard_at_s
            attempts = with_last(live.job, begun_at=utc_now())
            self._registry.update(live, attempts=attempts, progress_text=f"started on {self._peer}")
        elif live.job.is_silent:
            self._registry.update(live, is_silent=False, progress_text=f"at work on {self._peer}")
        if isinstance(message, PeerEvent):
            node = message.data.get("node") if message.type == "executing" else None
            if message.type in ("executing", "execution_success"):
                self._note_node(node if isinstance(node, str) else "")
            live.at_node = node if isinstance(node, str) else live.at_node
            self._has_computed |= node is not None and node not in self._output_nodes
            if message.type == "execution_cached":
                cached = message.data.get("nodes")
                self._has_cached = bool(cached)
                self._is_part = isinstance(cached, list) and not self._seeded_nodes.isdisjoint(
                    map(str, cached)
                )
            if message.type == "execution_success":
                self._ended_at_s = live.heard_at_s
        self._registry.hear(live, message)

    def measured(self) -> Measured | None:
        """None where nothing was computed, or not all of it was heard."""
        if not (self._has_computed and self._begun_at_s and self._ended_at_s):
            return None
        head_s = self._loaded_at_s - self._begun_at_s if self._loaded_at_s else None
        node_s = {} if self._has_cached else self._node_s
        return Measured(self._ended_at_s - self._begun_at_s, head_s, self._is_part, node_s)

    def on_trouble(self, text: str) -> None:
        self._registry.say(self._entry, text)

    def on_progress(self, meter: ProgressMeter) -> None:
        attempts = self._entry.job.attempts
        if meter.has_stepped and attempts[-1].loaded_at is None:
            self._loaded_at_s = self._clock()
            attempts = with_last(self._entry.job, loaded_at=utc_now())
        # Of one that an earlier process, or an outage, left behind nobody knows how long it was at work.
        is_timed = bool(self._expected_s and self._begun_at_s)
        told = {"expected_s": self._expected_now_s(meter.fraction)} if is_timed else {}
        self._registry.update(
            self._entry, progress=meter.fraction, progress_text=meter.text, attempts=attempts, **told
        )

    def _expected_now_s(self, fraction: float) -> float:
        """How long the run will have taken in all, as it looks now."""
        return whole_run_s(self._expected_s or 0.0, self._clock() - self._begun_at_s, fraction)

    def _note_node(self, node_id: str) -> None:
        """This node begins, or with "" none: the one before it is done."""
        now_s = self._clock()
        if self._node and len(self._node_s) < NODES_MAX:
            self._node_s[self._node] = self._node_s.get(self._node, 0.0) + now_s - self._node_since_s
        self._node, self._node_since_s = node_id, now_s


def with_last(job: Job, **changes: Any) -> tuple[Attempt, ...]:
    """The attempts of a job, the present one with these changes."""
    return (*job.attempts[:-1], replace(job.attempts[-1], **changes))


def cautioned(live: LiveJob, cautions: tuple[str, ...]) -> Job:
    """The job with notes of what speaks against the peer that it goes to, in place of those of another."""
    before, live.cautions = live.cautions, cautions
    if not before and not cautions:
        return live.job
    notes = tuple(note for note in live.job.notes if note not in before)
    return replace(live.job, notes=notes).noting(*cautions)
