"""No schedule can be done before this: a lower bound of the makespan, whatever the policy knows.

Take any set of jobs and the peers that may run one of them. Those jobs need their work, in seconds at speed
1; until a moment T such a peer can have done at most speed × (T - the first arrival - its shortest loading),
less the time it was down: at the start nothing is warm, so that whoever runs anything has loaded something.
The earliest T at which all of them together can have done the work is a bound, even if jobs could be cut at
will and run on several peers at once. It is taken over every set of jobs that only some peers can run, and
for each of these over the jobs that arrive from some moment on (for those without loading, which may have
happened before). And no job is done before it arrived and ran, warm, on the fastest peer that may run it.

Other people's prompts are not in it (a schedule that knew the future could be ahead of them): on traces with
many of them nobody comes near it. Nor is the loading of one model in place of another: with many models and
little memory nobody comes quite near it either. Jobs that no peer can run are left out.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from .trace import Job, Trace, may_run

MOMENTS = 40
SETS_MAX = 8

Floats = npt.NDArray[np.float64]
_Key = tuple[tuple[str, ...], tuple[str, ...], float]


def lower_bound(trace: Trace) -> float:
    """Seconds from the first arrival to the last end, at least."""
    first_s = min(job.at_s for job in trace.jobs)
    by_key: dict[_Key, list[Job]] = defaultdict(list)
    for job in trace.jobs:
        by_key[job.files, job.classes, job.vram_gb].append(job)
    peers_of: dict[_Key, frozenset[int]] = {}
    for key, jobs in by_key.items():
        able = frozenset(n for n, peer in enumerate(trace.peers) if may_run(jobs[0], peer))
        if able:
            peers_of[key] = able
    speeds = np.array([peer.speed for peer in trace.peers])
    bound = max(
        job.at_s + job.work_s / speeds[list(able)].max()
        for key, able in peers_of.items()
        for job in by_key[key]
    )
    away = _away(trace)
    for peers in _sets(peers_of.values()):
        inside = [key for key, able in peers_of.items() if able <= peers]
        jobs = [job for key in inside for job in by_key[key]]
        if not jobs:
            continue
        arrivals = np.sort(np.array([job.at_s for job in jobs]))
        members = sorted(peers)
        loads = np.array([_shortest_load(trace, n, inside, peers_of) for n in members])
        moments = [*np.unique(np.quantile(arrivals, np.linspace(0, 1, MOMENTS), method="lower"))]
        for n, since_s in enumerate(moments):
            work_s = sum(job.work_s for job in jobs if job.at_s >= since_s)
            ready = since_s + (loads if n == 0 else np.zeros(len(members)))
            bound = max(bound, _earliest(work_s, ready, speeds[members], [away[m] for m in members]))
    return float(bound - first_s)


def _sets(able: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """The sets of peers that some jobs are confined to, and unions of them."""
    single = sorted(set(able), key=lambda peers: (len(peers), sorted(peers)))
    few = single[:SETS_MAX]
    unions = {
        frozenset[int]().union(*some)
        for size in range(1, len(few) + 1)
        for some in itertools.combinations(few, size)
    }
    return list({*single, frozenset[int]().union(*single), *unions})


def _shortest_load(trace: Trace, n: int, keys: list[_Key], peers_of: dict[_Key, frozenset[int]]) -> float:
    sums = [sum(trace.sizes_gb.get(file, 0.0) for file in key[0]) for key in keys if n in peers_of[key]]
    return min(sums, default=0.0) * trace.peers[n].load_s_per_gb


def _away(trace: Trace) -> list[list[tuple[float, float]]]:
    """When each peer is down, from and until."""
    found: list[list[tuple[float, float]]] = []
    for peer in trace.peers:
        spans: list[tuple[float, float]] = []
        since: float | None = None
        for event in sorted((e for e in trace.events if e.peer == peer.id), key=lambda e: e.at_s):
            if event.what == "down" and since is None:
                since = event.at_s
            elif event.what == "up" and since is not None:
                spans.append((since, event.at_s))
                since = None
        if since is not None:
            spans.append((since, float("inf")))
        found.append(spans)
    return found


def _earliest(work_s: float, ready: Floats, speeds: Floats, away: list[list[tuple[float, float]]]) -> float:
    """The first moment by which so much work can be done; each peer works from `ready` on, while it is up."""
    changes: list[tuple[float, float]] = []
    for moment_s, speed, spans in zip(ready.tolist(), speeds.tolist(), away, strict=True):
        changes.append((moment_s, speed))
        for start_s, end_s in spans:
            if end_s > moment_s:
                changes += [(max(start_s, moment_s), -speed), (end_s, speed)]
    changes.sort()
    rate, at_s, left_s = 0.0, changes[0][0], work_s
    for moment_s, change in changes:
        if rate > 1e-12 and left_s <= rate * (moment_s - at_s):
            return at_s + left_s / rate
        left_s -= rate * (moment_s - at_s)
        at_s, rate = moment_s, rate + change
    return at_s + left_s / rate if rate > 1e-12 else at_s
