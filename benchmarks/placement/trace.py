"""A trace: peers, files, jobs and what happens to the peers; JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Peer:
    """``speed``: work seconds a second. It keeps files warm up to ``vram_gb``, least recently used out."""

    id: str
    speed: float = 1.0
    vram_gb: float = 24.0
    files: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("KSampler",)
    tags: tuple[str, ...] = ()
    load_s_per_gb: float = 1.0


@dataclass(frozen=True)
class Job:
    """``work_s``: seconds at speed 1, loading apart. It runs on peers with its files, classes and memory."""

    id: str
    at_s: float = 0.0
    client: str = "c1"
    priority: float = 0.0
    kind: str = "k1"
    work_s: float = 10.0
    files: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("KSampler",)
    vram_gb: float = 0.0


@dataclass(frozen=True)
class Event:
    """``what``: down, up, restart, or foreign: somebody else's prompt of ``work_s`` seconds at speed 1."""

    at_s: float
    peer: str
    what: str
    work_s: float = 0.0


@dataclass(frozen=True)
class Trace:
    """``sizes_gb``: of each file."""

    peers: tuple[Peer, ...]
    jobs: tuple[Job, ...]
    sizes_gb: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    seed: int = 0


def read_trace(path: Path) -> Trace:
    return trace_of(json.loads(path.read_text("utf-8")))


def trace_of(raw: Mapping[str, Any]) -> Trace:
    """The trace that its JSON describes; what is left out has the defaults above.

    Raises:
        ValueError, TypeError, KeyError: it is no trace.
    """
    trace = Trace(
        tuple(Peer(**_tuples(peer)) for peer in raw["peers"]),
        tuple(Job(**_tuples(job)) for job in raw["jobs"]),
        {name: float(file["gb"]) for name, file in raw.get("files", {}).items()},
        tuple(Event(**event) for event in raw.get("events", ())),
        int(raw.get("seed", 0)),
    )
    if not trace.jobs or not trace.peers:
        raise ValueError("it has no jobs or no peers")
    unknown = {event.what for event in trace.events} - {"down", "up", "restart", "foreign"}
    unknown |= {event.peer for event in trace.events} - {peer.id for peer in trace.peers}
    if unknown:
        raise ValueError(f"its events name {', '.join(sorted(unknown))}")
    return trace


def write_trace(trace: Trace, path: Path) -> None:
    raw = {
        "peers": [asdict(peer) for peer in trace.peers],
        "files": {name: {"gb": gb} for name, gb in trace.sizes_gb.items()},
        "jobs": [asdict(job) for job in trace.jobs],
        "events": [asdict(event) for event in trace.events],
        "seed": trace.seed,
    }
    path.write_text(json.dumps(raw), "utf-8")


def may_run(job: Job, peer: Peer) -> bool:
    """Whether the peer has all that the job needs."""
    has_all = set(job.files) <= set(peer.files) and set(job.classes) <= set(peer.classes)
    return has_all and job.vram_gb <= peer.vram_gb


def _tuples(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
