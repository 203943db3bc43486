"""A job: what was asked (JobRequest), how far it is (Job), where it was tried (Attempt).

States and the only moves between them::

    waiting ──> running ──> done | failed | cancelled | set_aside
       │  ^────────┘ (its peer was lost: back to the queue)
       └──> failed | cancelled | set_aside
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from ...errors import IllegalTransitionError

Prompt = dict[str, Any]  #: API format: {node id: {"class_type": str, "inputs": {...}}}


Rank = tuple[float, float]  #: a job's place in the queue, the lowest first: minus its priority, then a number

NOTE_MAX = 1_000  #: characters of one note
NOTES_MAX = 50


class JobState(str, Enum):
    WAITING = "waiting"  #: in our queue; nothing left the machine
    RUNNING = "running"  #: handed to a peer
    DONE = "done"  #: results are here
    FAILED = "failed"  #: it cannot be done; ``error`` says why
    CANCELLED = "cancelled"  #: somebody did not want it any more
    SET_ASIDE = "set_aside"  #: it took several peers down; a person has to look at it

    @property
    def is_final(self) -> bool:
        return self not in (JobState.WAITING, JobState.RUNNING)


_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED, JobState.SET_ASIDE}),
    JobState.RUNNING: frozenset(JobState) - {JobState.RUNNING},
}


class Source(str, Enum):
    """Who asked. A node's job cannot outlive the prompt it belongs to; an HTTP job can."""

    NODE = "node"
    HTTP = "http"
    FLEET = "fleet"  #: a whole prompt of the Run button; its job id is the prompt id that the page knows


@dataclass(frozen=True)
class ResultLink:
    """The one output whose value is wanted back: ``[node_id, slot]`` of the prompt."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class JobRequest:
    """All an engine needs to run something on a peer.

    ``prompt`` (API format) is what a page or client made, and leads. ``workflow`` (UI format) is converted
    with the chosen peer's definitions where there is no prompt, or a node of it has no class: pages leave out
    the class of a node that their server does not know.
    ``drop_classes``: nodes of these classes, and what depends on them, are taken out first.
    ``changes`` maps a parameter's address to its new value.
    ``result``: the value to bring back; None = every file that the graph saves. ``exact``: a picture as it
    is, not with 8 bits a channel.
    ``peer`` pins to a peer by id or name. A peer must have all ``tags``, and must not be one to ``avoid``.
    ``priority``: higher goes first. ``targets``: the output nodes to run, empty for all.
    ``client_id``: the page that asked and hears what happens. ``retry_of``: the job that this one repeats.
    ``batch_id``: the same for all jobs of one question, ``batch_index`` their order in it, from 0.
    ``graph_id``: of the graph on the page that its nodes belong to, "" for none.
    ``request_id``: the sender's own name for this request; sent again under it, it is done once.
    ``prompt_id``: the id that the sender of a prompt gave it, where that cannot be the job's own.
    ``notes``: the job's first notes: what was done to the graph before it became one.
    ``held``: a person keeps it from being started until it is let go. ``outdated_attempts``: how many of the
    job's first attempts ran what it was to do before a person edited it.
    """

    prompt: Prompt = field(default_factory=dict)
    workflow: Mapping[str, Any] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    drop_classes: frozenset[str] = frozenset()
    result: ResultLink | None = None
    exact: bool = False
    peer: str = ""
    tags: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    source: Source = Source.HTTP
    wait_for_peer: bool = True
    title: str = ""
    extra_data: Mapping[str, Any] = field(default_factory=dict)
    priority: float = 0.0
    targets: tuple[str, ...] = ()
    client_id: str = ""
    retry_of: str = ""
    batch_id: str = ""
    batch_index: int = 0
    graph_id: str = ""
    request_id: str = ""
    prompt_id: str = ""
    notes: tuple[str, ...] = ()
    held: bool = False
    outdated_attempts: int = 0

    @property
    def is_native(self) -> bool:
        """Whether it is among ComfyUI's own prompts: Run sent it, or a page or client listens for it. A
        node's job is part of a prompt that is there already."""
        return self.source is Source.FLEET or (self.source is Source.HTTP and bool(self.client_id))


@dataclass(frozen=True)
class RemoteFile:
    """A file as a peer's history names it. None of it is trusted."""

    node_id: str
    filename: str
    subfolder: str = ""
    type: str = "output"


@dataclass(frozen=True)
class OutputFile:
    """A result file on this computer: ``path`` is absolute; the other three are what /view takes.

    ``is_extra``: it was only named beside another one, or not told at all. Not kept across a restart.
    """

    node_id: str
    path: str
    filename: str
    subfolder: str
    type: str
    is_extra: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class InputFile:
    """A file of this computer that was sent along: as the prompt names it, and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Attempt:
    """One POST of a job to one peer. ``outcome`` is empty while it runs, else done or an error's code.

    ``begun_at``: the peer began with it. ``loaded_at``: the first step of a node was told (a sampler's, say):
    until then its models were loaded and its texts read. None for what was never told. ``is_victim``: its
    peer went away while it ran this, as far as is known by this job's doing.
    """

    prompt_id: str
    backend_id: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    reason: str = ""
    begun_at: datetime | None = None
    loaded_at: datetime | None = None
    is_victim: bool = False


@dataclass(frozen=True)
class AttemptResult:
    """What a job gains by the attempt that did it; see Job for each."""

    outputs: tuple[OutputFile, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    result_type: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A job's whole story so far. ``result_type`` is the link type of a wanted value ("" for whole graphs).
    ``inputs``: what its last attempt was sent with.
    ``notes``: what a person should know of it although it may be fine, a sentence each: what a peer lacks and
    its nodes would skip, a listed file that is not there.
    ``shown``: what each node shows, as ComfyUI's history has it, with the names the files got here.
    ``previews``: how many pictures of its progress came so far; only the last one is kept.
    ``expected_s``: how long it most likely takes its peer, None while unknown. ``is_silent``: nothing was
    heard of it for long: it may be slow or dead. None of these three is kept across a restart.
    Moments are UTC. Changed only by ``to`` and ``evolve``, never in place."""

    id: str
    request: JobRequest
    created_at: datetime
    state: JobState = JobState.WAITING
    backend_id: str = ""
    attempts: tuple[Attempt, ...] = ()
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[OutputFile, ...] = ()
    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict, compare=False)
    result_type: str = ""
    error: Mapping[str, Any] | None = None
    explanation: str = ""
    progress: float = 0.0
    progress_text: str = ""
    previews: int = field(default=0, compare=False)
    started_at: datetime | None = None
    is_silent: bool = field(default=False, compare=False)
    expected_s: float | None = field(default=None, compare=False)
    ended_at: datetime | None = None

    @property
    def prompt_id(self) -> str:
        """The id under which the sender of a prompt knows it, in the host's queue, history and events."""
        return self.request.prompt_id or self.id

    @property
    def begun_at(self) -> datetime | None:
        """When the peer began with it, where it may wait first; None while it waits or nobody knows."""
        is_there = self.attempts and self.state is not JobState.WAITING
        return self.attempts[-1].begun_at if is_there else None

    @property
    def own_attempts(self) -> tuple[Attempt, ...]:
        """Those that ran what the job is to do now."""
        return self.attempts[self.request.outdated_attempts :]

    @property
    def label(self) -> str:
        """What people are told of it: its title, else as much of its id as they see elsewhere."""
        return self.request.title or self.id[:8]

    @classmethod
    def new(cls, job_id: str, request: JobRequest, created_at: datetime) -> Job:
        return cls(job_id, request, created_at).noting(*request.notes)

    def noting(self, *notes: str) -> Job:
        """The job with these notes too: each once, of NOTE_MAX characters at most, NOTES_MAX of them."""
        if not notes:
            return self
        merged = tuple(dict.fromkeys((*self.notes, *(note[:NOTE_MAX] for note in notes))))
        if len(merged) > NOTES_MAX:
            merged = (*merged[: NOTES_MAX - 1], "Further notes on this job were not kept.")
        return replace(self, notes=merged)

    @property
    def result(self) -> AttemptResult:
        """What the attempt brought that did it."""
        return AttemptResult(self.outputs, self.shown, self.texts, self.result_type, self.notes)

    def with_result(self, result: AttemptResult) -> Job:
        """The job with what that attempt brought."""
        return replace(
            self.noting(*result.notes),
            outputs=result.outputs,
            shown=result.shown,
            texts=result.texts,
            result_type=result.result_type,
        )

    def to(self, state: JobState, **changes: Any) -> Job:
        """The job in its next state.

        Raises:
            IllegalTransitionError: there is no such move (a final state is never left).
        """
        if state not in _MOVES.get(self.state, frozenset()):
            raise IllegalTransitionError(
                f"Job {self.id} is {self.state.value} and cannot become {state.value}."
            )
        return replace(self, state=state, **changes)

    def evolve(self, **changes: Any) -> Job:
        """The job with other details and the same state."""
        return replace(self, **changes)
