"""One policy on one trace, in figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from .bound import lower_bound
from .ours import Ours
from .rivals import RIVALS
from .trace import Trace
from .world import Policy, Result, World

POLICIES: dict[str, Callable[[World], Policy]] = {"ours": Ours, **RIVALS}


@dataclass(frozen=True)
class Figures:
    """``makespan_ratio``: to the lower bound. A job waits from its arrival until its models are loaded and it
    runs. ``fairness``: Jain's index over clients of how much longer than alone their jobs took, 1 when equal.
    ``load_s``: of all peers, as is ``idle_while_waiting_s``: free and up while a job waited, here or in
    another peer's queue, that it could have run. ``lost``: jobs that never were done.
    """

    makespan_ratio: float
    mean_wait_s: float
    p95_wait_s: float
    fairness: float
    load_s: float
    idle_while_waiting_s: float
    lost: int
    decisions_per_s: float


def measure(trace: Trace, policy: str, bound_s: float | None = None) -> Figures:
    """Run all of the trace through the policy of this name."""
    world = World(trace)
    result = world.run(POLICIES[policy](world))
    return figures(trace, world, result, lower_bound(trace) if bound_s is None else bound_s)


def figures(trace: Trace, world: World, result: Result, bound_s: float) -> Figures:
    first_s = min(job.at_s for job in trace.jobs)
    done = [job for job in trace.jobs if job.id in result.done_s]
    waits = np.array([result.ready_s[job.id] - job.at_s for job in done])
    fastest: dict[object, float] = {}
    slower: dict[str, list[float]] = defaultdict(list)
    for job in done:
        key = (job.files, job.classes, job.vram_gb)
        if key not in fastest:
            fastest[key] = max(station.peer.speed for station in world.eligible(job))
        slower[job.client].append((result.done_s[job.id] - job.at_s) / (job.work_s / fastest[key]))
    means = np.array([np.mean(times) for times in slower.values()])
    return Figures(
        makespan_ratio=(max(result.done_s.values()) - first_s) / bound_s,
        mean_wait_s=float(waits.mean()),
        p95_wait_s=float(np.quantile(waits, 0.95)),
        fairness=float(means.sum() ** 2 / (len(means) * (means**2).sum())),
        load_s=result.load_s,
        idle_while_waiting_s=result.idle_while_waiting_s,
        lost=len(trace.jobs) - len(done),
        decisions_per_s=result.decisions / max(result.policy_s, 1e-9),
    )


def as_json(found: dict[str, Figures]) -> dict[str, dict[str, float]]:
    return {name: {key: round(value, 4) for key, value in asdict(f).items()} for name, f in found.items()}
