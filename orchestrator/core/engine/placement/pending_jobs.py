"""The queue of waiting jobs, in heaps by kind: whose turn it is among them, without looking at each.

Within a priority the job with the lowest *due* moment goes first: the moment it came. Only a client that has
lately had more than its share of the fleet is taken to have come not long ago, so that others get theirs; and
one that wants little beside another's flood need not wait for that.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...prompts.kinds import UNKNOWN_KIND, Kind
from .need import Need

#: A client that lately had more than this many times what those that wait had on average, and that many
#: seconds of the whole fleet more, counts as having waited no longer than `SHARE_WAIT_S`; half of what it had
#: is forgotten after `SHARE_HALF_S`. One that had less than the average, and has no more than `SHARE_FEW` of
#: the jobs of the client that has most, counts as having waited that much longer.
SHARE_FREE = 1.3
SHARE_FREE_S = 60.0
SHARE_FEW = 0.05
SHARE_WAIT_S = 300.0
SHARE_HALF_S = 600.0


@dataclass(frozen=True)
class WaitingJob:
    """``group``: jobs of one group have the same kind and the same verdict for each peer, whatever that is.
    ``since_s``: its place in the queue counts from then; a job that a person moved has its neighbour's.
    """

    job_id: str
    group: Hashable = None
    need: Need = field(default_factory=Need)
    kind: Kind = UNKNOWN_KIND
    priority: float = 0.0
    client: str = ""
    since_s: float = 0.0


_Entry = tuple[float, int, str]


class Head(NamedTuple):
    """The next job of a group."""

    job_id: str
    priority: float
    client: str
    due_s: float
    since_s: float


@dataclass
class Group:
    """The waiting jobs of one group. ``heaps``: by priority and client."""

    kind: Kind
    need: Need
    count: int = 0
    heaps: dict[tuple[float, str], list[_Entry]] = field(default_factory=dict)
    tally: dict[float, int] = field(default_factory=dict)
    head: Head | None = None  #: while nothing changed


class PendingJobs:
    def __init__(self) -> None:
        self.groups: dict[Hashable, Group] = {}
        self._jobs: dict[str, tuple[WaitingJob, int]] = {}
        self._numbers = itertools.count()
        self._used: dict[str, tuple[float, float]] = {}
        self._clients: dict[str, int] = {}
        self._shares: dict[str, int] = {}  #: clients that had too much (-1) or too little (1)
        self._weighed_s = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[WaitingJob]:
        return (job for job, _ in self._jobs.values())

    def find(self, job_id: str) -> WaitingJob | None:
        found = self._jobs.get(job_id)
        return found[0] if found else None

    def enter(self, job: WaitingJob) -> None:
        """Put a job into the queue, or change what is known of one that waits."""
        if job.job_id in self._jobs:
            self.leave(job.job_id)
        number = next(self._numbers)
        group = self.groups.get(job.group)
        if group is None:
            group = self.groups[job.group] = Group(job.kind, job.need)
        self._jobs[job.job_id] = job, number
        heap = group.heaps.setdefault((job.priority, job.client), [])
        heapq.heappush(heap, (job.since_s, number, job.job_id))
        group.count += 1
        group.head = None
        group.tally[job.priority] = group.tally.get(job.priority, 0) + 1
        self._clients[job.client] = self._clients.get(job.client, 0) + 1

    def leave(self, job_id: str) -> WaitingJob | None:
        """Take a job out of the queue; None when it is not there."""
        found = self._jobs.pop(job_id, None)
        if found is None:
            return None
        job = found[0]
        group = self.groups[job.group]
        group.count -= 1
        group.head = None
        group.tally[job.priority] -= 1
        if not group.count:
            del self.groups[job.group]
        elif not group.tally[job.priority]:
            del group.tally[job.priority]
        left = self._clients[job.client] - 1
        if left:
            self._clients[job.client] = left
        else:
            del self._clients[job.client]
        return job

    def weigh_clients(self, now_s: float) -> None:
        """Compute again which clients had more than their share; until then all heads stay as they are."""
        shares: dict[str, int] = {}
        if len(self._clients) > 1:
            used = {client: self.used_s(client, now_s) for client in self._clients}
            usual_s, most = sum(used.values()) / len(used), max(self._clients.values())
            for client, used_s in used.items():
                if used_s > max(SHARE_FREE * usual_s, usual_s + SHARE_FREE_S):
                    shares[client] = -1
                elif used_s <= usual_s and self._clients[client] <= SHARE_FEW * most:
                    shares[client] = 1
        if shares or self._shares:
            self._shares, self._weighed_s = shares, now_s
            for group in self.groups.values():
                group.head = None

    def head(self, group: Group, *, oldest: bool = False) -> Head | None:
        """Whose turn it is in this group; with `oldest`, whatever the priorities and clients are."""
        if group.head is not None and (not oldest or len(group.heaps) == 1):
            return group.head
        best: tuple[tuple[float, float], Head] | None = None
        for (priority, client), heap in list(group.heaps.items()):
            while heap and self._is_stale(heap[0]):
                heapq.heappop(heap)
            if not heap:
                del group.heaps[priority, client]
                continue
            since_s = heap[0][0]
            due_s = self._due_s(client, since_s)
            key = (0.0, since_s) if oldest else (-priority, due_s)
            if best is None or key < best[0]:
                best = key, Head(heap[0][2], priority, client, due_s, since_s)
        if best is not None and not oldest:
            group.head = best[1]
        return best[1] if best else None

    def _due_s(self, client: str, since_s: float) -> float:
        share = self._shares.get(client)
        if share is None:
            return since_s
        if share > 0:
            return since_s - SHARE_WAIT_S
        soonest_s = self._weighed_s - SHARE_WAIT_S
        return since_s if since_s > soonest_s else soonest_s - 1e-3 * (soonest_s - since_s)

    def note_start(self, client: str, fleet_s: float, now_s: float) -> None:
        """A client's job got a peer; `fleet_s`: its run time divided by the number of peers."""
        self._used[client] = (self.used_s(client, now_s) + fleet_s, now_s)
        if len(self._used) > 1_000:
            oldest = min(self._used, key=lambda known: self._used[known][1])
            del self._used[oldest]

    def used_s(self, client: str, now_s: float) -> float:
        """Seconds of the whole fleet that a client had lately."""
        used, at_s = self._used.get(client, (0.0, now_s))
        return used * math.exp(math.log(0.5) * (now_s - at_s) / SHARE_HALF_S)

    def _is_stale(self, entry: _Entry) -> bool:
        found = self._jobs.get(entry[2])
        return found is None or found[1] != entry[1]
