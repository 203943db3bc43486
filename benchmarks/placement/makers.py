"""Traces of ten kinds, from a seed. Sizes and times are those of picture and video models on home and office
machines: a run of some seconds to a few minutes, models of 2 to 24 GB that load at a second a GB or so.

Unless said otherwise, a part of the jobs waits from the beginning and the others come while those are worked
off: there is always something to choose from, and the fleet is busy to the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from .trace import Event, Job, Peer, Trace

CLIENTS = ("ann", "bob", "cem")
ALREADY = 0.4  #: so many jobs wait from the beginning
COMING_FOR = 0.6  #: the others come within so much of the time that all the work takes


class _Kinds:
    """Kinds of graphs: each with a usual length and its model files."""

    def __init__(self, dice: random.Random, models: Sequence[str], per_model: int, longest_s: float = 60.0):
        self._dice = dice
        self.all = [
            (f"{model}/{n}", (model,), 5.0 * (longest_s / 5.0) ** dice.random())
            for model in models
            for n in range(per_model)
        ]

    def job(self, n: int, at_s: float, weights: Sequence[float] | None = None) -> Job:
        dice = self._dice
        kind, files, usual_s = dice.choices(self.all, weights)[0]
        work_s = usual_s * min(max(dice.gauss(1.0, 0.05), 0.8), 1.2)
        return Job(f"j{n}", round(at_s, 3), dice.choice(CLIENTS), 0.0, kind, round(work_s, 3), files)


def _backlog(
    dice: random.Random, kinds: _Kinds, count: int, speed: float, weights: Sequence[float] | None = None
) -> tuple[Job, ...]:
    jobs = [kinds.job(n, 0.0, weights) for n in range(count)]
    horizon_s = COMING_FOR * sum(job.work_s for job in jobs) / speed
    moments = [0.0 if dice.random() < ALREADY else dice.uniform(0.0, horizon_s) for _ in jobs]
    return _sorted(replace(job, at_s=round(moment, 3)) for job, moment in zip(jobs, moments, strict=True))


def uniform(seed: int) -> Trace:
    """Eight equal peers, one model."""
    dice = random.Random(seed)
    peers = tuple(Peer(f"p{n}", files=("a",)) for n in range(8))
    kinds = _Kinds(dice, ("a",), 6)
    return Trace(peers, _backlog(dice, kinds, 600, 8.0), {"a": 6.5}, (), seed)


def uneven(seed: int) -> Trace:
    """Eight peers with speeds from 1 to 8, one model."""
    dice = random.Random(seed)
    peers = tuple(Peer(f"p{n}", speed=float(n + 1), files=("a",)) for n in dice.sample(range(8), 8))
    kinds = _Kinds(dice, ("a",), 6)
    return Trace(peers, _backlog(dice, kinds, 1_200, 36.0), {"a": 6.5}, (), seed)


def two_models(seed: int) -> Trace:
    """Six peers whose memory holds one of two models."""
    dice = random.Random(seed)
    speeds = [dice.choice((1.0, 1.5, 2.0)) for _ in range(6)]
    peers = tuple(Peer(f"p{n}", speed, 16.0, ("a", "b")) for n, speed in enumerate(speeds))
    kinds = _Kinds(dice, ("a", "b"), 4, 40.0)
    return Trace(peers, _backlog(dice, kinds, 500, sum(speeds)), {"a": 12.0, "b": 10.0}, (), seed)


def many_models(seed: int) -> Trace:
    """Eight peers, twenty models asked for by Zipf's law, memory for one to five of them."""
    dice = random.Random(seed)
    models = [f"m{n}" for n in range(20)]
    sizes = {model: dice.choice((2.0, 4.0, 6.5, 6.5, 12.0)) for model in models}
    speeds = [dice.choice((1.0, 1.5, 2.0, 3.0)) for _ in range(8)]
    memory = [dice.choice((12.0, 16.0, 24.0)) for _ in range(8)]
    peers = tuple(Peer(f"p{n}", speeds[n], memory[n], tuple(models)) for n in range(8))
    kinds = _Kinds(dice, models, 2, 40.0)
    weights = [1.0 / (1 + models.index(files[0])) for _, files, _ in kinds.all]
    return Trace(peers, _backlog(dice, kinds, 800, sum(speeds), weights), sizes, (), seed)


def constrained(seed: int) -> Trace:
    """Eight peers; two models are on one peer only, one on three; most jobs could run anywhere."""
    dice = random.Random(seed)
    speeds = [dice.choice((1.0, 1.5, 2.0)) for _ in range(8)]
    special = {0: ("x", "z"), 1: ("y", "z"), 2: ("z",)}
    peers = tuple(Peer(f"p{n}", speed, 24.0, ("a", *special.get(n, ()))) for n, speed in enumerate(speeds))
    kinds = _Kinds(dice, ("a", "x", "y", "z"), 3, 40.0)
    whole = sum(speeds)
    share = {"x": 0.8 * speeds[0] / whole, "y": 0.5 * speeds[1] / whole, "z": 0.9 * speeds[2] / whole}
    share["a"] = 1.0 - sum(share.values())
    weights = [share[files[0]] / usual_s for _, files, usual_s in kinds.all]
    return Trace(
        peers,
        _backlog(dice, kinds, 800, whole, weights),
        {"a": 6.5, "x": 6.5, "y": 4.0, "z": 6.5},
        (),
        seed,
    )


def bursty(seed: int) -> Trace:
    """Six uneven peers, two models; nothing for a while, then many jobs of one person at once."""
    dice = random.Random(seed)
    speeds = [1.0, 1.0, 1.5, 2.0, 2.0, 3.0]
    peers = tuple(Peer(f"p{n}", speed, 24.0, ("a", "b")) for n, speed in enumerate(speeds))
    kinds = _Kinds(dice, ("a", "b"), 4, 40.0)
    jobs: list[Job] = []
    at_s = 0.0
    while len(jobs) < 500:
        client, (kind, files, usual_s) = dice.choice(CLIENTS), dice.choice(kinds.all)
        burst_s = 0.0
        for _ in range(dice.randint(10, 60)):
            work_s = round(usual_s * min(max(dice.gauss(1.0, 0.05), 0.8), 1.2), 3)
            burst_s += work_s
            jobs.append(Job(f"j{len(jobs)}", round(at_s, 3), client, 0.0, kind, work_s, files))
            at_s += dice.uniform(0.0, 0.5)
        at_s += dice.expovariate(0.75 * sum(speeds) / burst_s)
    return Trace(peers, _sorted(jobs), {"a": 6.5, "b": 12.0}, (), seed)


def foreign_load(seed: int) -> Trace:
    """Eight peers, three of which colleagues use half of the time."""
    dice = random.Random(seed)
    speeds = [dice.choice((1.0, 1.5, 2.0)) for _ in range(8)]
    peers = tuple(Peer(f"p{n}", speed, files=("a",)) for n, speed in enumerate(speeds))
    kinds = _Kinds(dice, ("a",), 6, 40.0)
    jobs = _backlog(dice, kinds, 600, sum(speeds) - 0.5 * sum(speeds[:3]))
    events: list[Event] = []
    for n in range(3):
        at_s = 0.0
        while at_s < 3_000:
            work_s = dice.uniform(10.0, 90.0)
            events.append(Event(round(at_s, 3), f"p{n}", "foreign", round(work_s, 3)))
            at_s += work_s / speeds[n] + dice.expovariate(speeds[n] / 50.0)
    return Trace(peers, jobs, {"a": 6.5}, tuple(events), seed)


def churn(seed: int) -> Trace:
    """Eight peers; each goes away for a minute or so now and then, or starts anew."""
    return _churn(seed, True)


def without_churn(seed: int) -> Trace:
    """The same, and no peer ever goes."""
    return _churn(seed, False)


def _churn(seed: int, goes: bool) -> Trace:
    dice = random.Random(seed)
    speeds = [dice.choice((1.0, 1.5, 2.0)) for _ in range(8)]
    peers = tuple(Peer(f"p{n}", speed, files=("a",)) for n, speed in enumerate(speeds))
    kinds = _Kinds(dice, ("a",), 6, 40.0)
    jobs = _backlog(dice, kinds, 600, sum(speeds))
    events: list[Event] = []
    for peer in peers:
        at_s = dice.expovariate(1 / 600.0)
        while at_s < 3_000 and goes:
            if dice.random() < 0.3:
                events.append(Event(round(at_s, 3), peer.id, "restart"))
            else:
                back_s = at_s + dice.uniform(20.0, 90.0)
                events.append(Event(round(at_s, 3), peer.id, "down"))
                events.append(Event(round(back_s, 3), peer.id, "up"))
                at_s = back_s
            at_s += dice.expovariate(1 / 600.0)
    return Trace(peers, jobs, {"a": 6.5}, tuple(sorted(events, key=lambda e: e.at_s)), seed)


def mixed(seed: int) -> Trace:
    """Any fleet with any work: 2 to 16 peers, 1 to 10 models, 60 to 600 jobs, at once or one by one."""
    dice = random.Random(seed)
    models = [f"m{n}" for n in range(dice.choice((1, 1, 2, 3, 5, 10)))]
    sizes = {model: dice.choice((1.0, 2.0, 4.0, 6.5, 12.0)) for model in models}
    speeds = dice.choice(((1.0,), (1.0, 1.5, 2.0), (1.0, 2.0, 4.0, 8.0), (0.25, 1.0, 1.0)))
    lacking, load_s_per_gb = dice.choice((0.0, 0.0, 0.2, 0.5)), dice.choice((0.3, 1.0, 3.0))
    peers = tuple(
        Peer(
            f"p{n}",
            dice.choice(speeds),
            dice.choice((8.0, 12.0, 24.0)),
            tuple(model for model in models if not n or dice.random() >= lacking),
            load_s_per_gb=load_s_per_gb,
        )
        for n in range(dice.choice((2, 3, 4, 6, 8, 12, 16)))
    )
    kinds = [
        (f"k{n}", (dice.choice(models),), dice.choice((3.0, 8.0, 10.0, 20.0, 30.0, 60.0, 120.0)))
        for n in range(dice.randint(1, 12))
    ]
    weights = [1.0 / (1 + n) if dice.random() < 0.5 else 1.0 for n in range(len(kinds))]
    spread, clients = dice.choice((0.0, 0.05, 0.2)), CLIENTS[: dice.choice((1, 1, 2, 3))]
    jobs = []
    for kind, files, usual_s in dice.choices(kinds, weights, k=dice.choice((60, 150, 300, 600))):
        work_s = round(usual_s * max(dice.gauss(1.0, spread), 0.3), 3)
        jobs.append(Job("", 0.0, dice.choice(clients), 0.0, kind, work_s, files))
    whole_s = sum(job.work_s for job in jobs) / sum(peer.speed for peer in peers)
    last_s = whole_s * dice.choice((0.0, 0.5, 0.9, 1.1))
    moments = [0.0 if dice.random() < 0.3 else round(dice.uniform(0.0, last_s), 3) for _ in jobs]
    events: list[Event] = []
    for peer in peers if dice.random() < 0.3 else ():
        at_s = dice.expovariate(1 / 300.0)
        while at_s < last_s + 200.0:
            events.append(Event(round(at_s, 3), peer.id, "foreign", dice.choice((5.0, 20.0, 60.0))))
            at_s += dice.expovariate(1 / 300.0)
    arrived = _sorted(replace(job, at_s=at_s) for job, at_s in zip(jobs, moments, strict=True))
    return Trace(peers, arrived, sizes, tuple(sorted(events, key=lambda e: e.at_s)), seed)


def large(seed: int, peer_count: int = 1_000, job_count: int = 100_000) -> Trace:
    """A thousand peers, a hundred thousand jobs, six models of which each peer has some."""
    dice = random.Random(seed)
    models = [f"m{n}" for n in range(6)]
    sizes = {model: dice.choice((4.0, 6.5, 12.0)) for model in models}
    peers = tuple(
        Peer(
            f"p{n}",
            dice.choice((1.0, 1.5, 2.0, 3.0)),
            dice.choice((12.0, 24.0)),
            tuple(m for m in models if m == models[0] or dice.random() < 0.6),
        )
        for n in range(peer_count)
    )
    kinds = _Kinds(dice, models, 2, 40.0)
    jobs = _backlog(dice, kinds, job_count, sum(peer.speed for peer in peers))
    return Trace(peers, jobs, sizes, (), seed)


MAKERS: dict[str, Callable[[int], Trace]] = {
    "uniform": uniform,
    "uneven": uneven,
    "two-models": two_models,
    "many-models": many_models,
    "constrained": constrained,
    "bursty": bursty,
    "foreign-load": foreign_load,
    "churn": churn,
    "mixed": mixed,
    "large": large,
}


def _sorted(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """By arrival, with names in that order."""
    ordered = sorted(jobs, key=lambda job: job.at_s)
    return tuple(replace(job, id=f"j{n}") for n, job in enumerate(ordered))
