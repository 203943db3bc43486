"""The fleet as it is: peers that load, run, go away and have other people's prompts; and the clock.

A policy is told what its engine would hear of, and sends jobs. What it is not told (how long a job will take,
how fast a peer is, what fits into its memory) it has to find out. Events are exact: there is no step of time.
What a rival's own engine could not do is granted to all: jobs on a peer that goes down come back after three
missed polls, and nothing is sent to a peer that is down.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .trace import Event, Job, Peer, Trace, may_run

LOST_AFTER_S = 6.0  #: until a policy knows that what was on a peer is lost: three polls
BACK_AFTER_S = 4.0  #: until a peer that answers again is used: two polls


class Policy(Protocol):
    """What the simulator tells an engine. ``look`` is called once after all events of a moment."""

    def arrived(self, job: Job) -> None: ...
    def begun(self, job: Job, peer: str) -> None: ...
    def ended(self, job: Job, peer: str, total_s: float, head_s: float) -> None: ...
    def came_back(self, job: Job, peer: str) -> None: ...
    def peer_changed(self, peer: str) -> None: ...
    def foreign_ended(self, peer: str, run_s: float) -> None: ...
    def look(self) -> None: ...


@dataclass
class Run:
    """A job, or somebody else's prompt (``job`` is None), on a peer."""

    job: Job | None
    work_s: float
    begun_s: float | None = None
    load_s: float = 0.0
    ended: bool = False


@dataclass
class Station:
    """A peer and what is there. ``known_up``: what a policy knows of it."""

    peer: Peer
    queue: deque[Run] = field(default_factory=deque)
    running: Run | None = None
    warm: OrderedDict[str, None] = field(default_factory=OrderedDict)
    up: bool = True
    known_up: bool = True
    generation: int = 0

    @property
    def runs(self) -> list[Run]:
        return [*([self.running] if self.running else ()), *self.queue]

    @property
    def ours(self) -> int:
        return sum(run.job is not None for run in self.runs)

    @property
    def foreign(self) -> int:
        return sum(run.job is None for run in self.runs)


@dataclass
class Result:
    """Per job the moments it was ready to run (models loaded) and done; sums over all peers in seconds."""

    ready_s: dict[str, float] = field(default_factory=dict)
    done_s: dict[str, float] = field(default_factory=dict)
    load_s: float = 0.0
    idle_while_waiting_s: float = 0.0
    policy_s: float = 0.0
    decisions: int = 0


class World:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.now_s = 0.0
        self.stations = {peer.id: Station(peer) for peer in trace.peers}
        self.result = Result()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._where: dict[str, str] = {}
        self._columns = {peer.id: n for n, peer in enumerate(trace.peers)}
        self._classes: dict[Any, int] = {}
        self._class_of: dict[str, int] = {}
        self._classify()
        self._idle = np.ones(len(trace.peers), np.bool_)
        self._counted_s = 0.0
        self._policy: Policy

    def eligible(self, job: Job) -> list[Station]:
        """Peers that have what the job needs, whether they are up or not."""
        row = self._may[self._class_of[job.id]]
        stations = list(self.stations.values())
        return [stations[at] for at in np.nonzero(row)[0]]

    def selectivity(self, job: Job) -> int:
        """How many peers have what the job needs."""
        return self._few[self._class_of[job.id]]

    def run(self, policy: Policy) -> Result:
        """All jobs through this policy."""
        self._policy = policy
        for job in self.trace.jobs:
            self.at(job.at_s, lambda job=job: self._arrive(job))  # type: ignore[misc]
        for event in self.trace.events:
            self.at(event.at_s, lambda event=event: self._happen(event))  # type: ignore[misc]
        while self._events and len(self.result.done_s) < len(self.trace.jobs):
            moment_s = self._events[0][0]
            self._count_idle(moment_s)
            self.now_s = moment_s
            while self._events and self._events[0][0] <= moment_s:
                heapq.heappop(self._events)[2]()
            self._tell(policy.look)
        return self.result

    def at(self, moment_s: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(moment_s, self.now_s), next(self._numbers), happens))

    def wake(self, moment_s: float) -> None:
        """Ask the policy again at that moment."""
        self.at(moment_s, lambda: None)

    # What a policy does

    def send(self, job: Job, peer: str) -> None:
        begun = time.thread_time()
        station = self.stations[peer]
        assert station.up and may_run(job, station.peer), f"{job.id} was sent to {peer}"
        station.queue.append(Run(job, job.work_s))
        self._where[job.id] = peer
        self.result.decisions += 1
        self._begin_next(station)
        self.result.policy_s -= time.thread_time() - begun  # of the policy's time only what it is told

    def take_back(self, job: Job) -> bool:
        """Get a job back that its peer has not begun."""
        begun = time.thread_time()
        station = self.stations[self._where[job.id]]
        run = next((run for run in station.queue if run.job is job and station.up), None)
        if run is not None:
            station.queue.remove(run)
            del self._where[job.id]
        self.result.policy_s -= time.thread_time() - begun
        return run is not None

    # What happens

    def _arrive(self, job: Job) -> None:
        self._waiting[self._class_of[job.id]] += 1
        self._tell(self._policy.arrived, job)

    def _happen(self, event: Event) -> None:
        station = self.stations[event.peer]
        if event.what == "foreign":
            if station.up:
                station.queue.append(Run(None, event.work_s))
                self._begin_next(station)
                self._tell(self._policy.peer_changed, event.peer)
        elif event.what == "up":
            station.up = True
            self._idle[self._columns[event.peer]] = station.running is None
            self.at(self.now_s + BACK_AFTER_S, lambda: self._known_up(station))
        elif event.what in ("down", "restart"):
            self._lose_all(station)
            if event.what == "down":
                station.up = station.known_up = False
                self._idle[self._columns[event.peer]] = False
            self._tell(self._policy.peer_changed, event.peer)

    def _known_up(self, station: Station) -> None:
        if station.up:
            station.known_up = True
            self._tell(self._policy.peer_changed, station.peer.id)

    def _lose_all(self, station: Station) -> None:
        lost = [run.job for run in station.runs if run.job is not None]
        if station.running is not None:
            station.running.ended = True
            if station.running.job is not None:
                self._waiting[self._class_of[station.running.job.id]] += 1
        station.queue.clear()
        station.running = None
        station.warm.clear()
        station.generation += 1
        self._idle[self._columns[station.peer.id]] = True
        for job in lost:
            del self._where[job.id]
            self.at(self.now_s + LOST_AFTER_S, lambda job=job: self._come_back(job, station))  # type: ignore[misc]

    def _come_back(self, job: Job, station: Station) -> None:
        self._tell(self._policy.came_back, job, station.peer.id)

    def _begin_next(self, station: Station) -> None:
        if station.running is not None or not station.queue or not station.up:
            return
        run = station.running = station.queue.popleft()
        self._idle[self._columns[station.peer.id]] = False
        run.begun_s = self.now_s
        if run.job is not None:
            run.load_s = self._load(station, run.job)
            self.result.load_s += run.load_s
            self._waiting[self._class_of[run.job.id]] -= 1
            self.result.ready_s[run.job.id] = self.now_s + run.load_s
            self._tell(self._policy.begun, run.job, station.peer.id)
        end_s = self.now_s + run.load_s + run.work_s / station.peer.speed
        self.at(end_s, lambda: self._end(station, run))

    def _end(self, station: Station, run: Run) -> None:
        if run.ended:
            return
        run.ended = True
        station.running = None
        self._idle[self._columns[station.peer.id]] = True
        total_s = self.now_s - (run.begun_s or 0.0)
        if run.job is not None:
            self.result.done_s[run.job.id] = self.now_s
            del self._where[run.job.id]
        if run.job is not None:
            self._tell(self._policy.ended, run.job, station.peer.id, total_s, run.load_s)
        else:
            self._tell(self._policy.foreign_ended, station.peer.id, total_s)
        self._begin_next(station)

    def _load(self, station: Station, job: Job) -> float:
        sizes, peer, warm = self.trace.sizes_gb, station.peer, station.warm
        cold = [file for file in job.files if file not in warm]
        for file in job.files:
            warm[file] = None
            warm.move_to_end(file)
        total = sum(sizes.get(file, 0.0) for file in warm)
        while total > peer.vram_gb and len(warm) > len(job.files):
            total -= sizes.get(warm.popitem(last=False)[0], 0.0)
        return sum(sizes.get(file, 0.0) for file in cold) * peer.load_s_per_gb

    # What is measured

    def _classify(self) -> None:
        rows = []
        for job in self.trace.jobs:
            key = (job.files, job.classes, job.vram_gb)
            if key not in self._classes:
                self._classes[key] = len(rows)
                rows.append([may_run(job, peer) for peer in self.trace.peers])
            self._class_of[job.id] = self._classes[key]
        self._may = np.array(rows, np.bool_).reshape(len(rows), len(self.trace.peers))
        self._few = self._may.sum(axis=1).tolist()
        self._waiting = np.zeros(len(rows), np.int64)

    def _count_idle(self, until_s: float) -> None:
        past_s, self._counted_s = until_s - self._counted_s, until_s
        if past_s > 0 and self._idle.any() and self._waiting.any():
            could = self._may[self._waiting > 0].any(axis=0)
            self.result.idle_while_waiting_s += past_s * int((could & self._idle).sum())

    def _tell(self, call: Callable[..., None], *what: Any) -> None:
        begun = time.thread_time()
        call(*what)
        self.result.policy_s += time.thread_time() - begun
