"""What a decision costs, and the memory it takes, by the size of the fleet and of the queue."""

from __future__ import annotations

import heapq
import random
import time
import tracemalloc
from dataclasses import dataclass, replace

from orchestrator.core.engine.estimates.knowledge import Knowledge
from orchestrator.core.engine.placement.need import Need
from orchestrator.core.engine.placement.peers import OurJob, PeerSnapshot
from orchestrator.core.engine.placement.pending_jobs import WaitingJob
from orchestrator.core.engine.placement.plan import Start
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals
from orchestrator.core.prompts.kinds import Kind

GROUPS, MANY_GROUPS = 12, (200, 400)
DECISIONS = 2_000


@dataclass
class Cost:
    """``each_us``: microseconds a decision. ``longest_s``: the longest single plan, with those that fill the
    fleet at first. ``megabytes``: of fleet, line and knowledge together, where that was asked."""

    each_us: float = 0.0
    longest_s: float = 0.0
    megabytes: float = 0.0


def cost(
    peers: int, waiting: int, *, groups: int = GROUPS, words: bool = False, memory: bool = False
) -> Cost:
    """Of a full fleet of which one job after another ends: telling of the end, of the run and of the next
    beginning, and the plan; with `words`, the explanation of each too. To look at `memory` takes time in the
    first plans."""
    dice, found = random.Random(1), Cost()
    if memory:
        tracemalloc.start()
    scheduler = Scheduler(Knowledge())
    kinds = [Kind(f"k{n}", files=(f"m{n * 6 // groups}",)) for n in range(groups)]
    status = BackendStatus(Health.UP, "", Vitals(devices=(Device("gpu", "cuda", 24 * 2**30, 24 * 2**30),)))
    configs = {f"p{n}": BackendConfig(id=f"p{n}", host="127.0.0.1") for n in range(peers)}
    may = [{p: () if n < 2 or dice.random() < 0.6 else ("no",) for p in configs} for n in range(groups)]
    needs = [Need(unmet=lacks) for lacks in may]
    speeds = {peer: dice.choice((1.0, 1.5, 2.0, 3.0)) for peer in configs}
    now_s = 0.0
    for config in configs.values():
        scheduler.set_peer(PeerSnapshot(config, status), now_s)
    for n in range(waiting + peers * 2):
        which = dice.randrange(groups)
        scheduler.enter(WaitingJob(f"j{n}", which, needs[which], kinds[which], 0.0, "me", float(n) / 1e6))
    group_of = {job.job_id: int(str(job.group)) for job in scheduler.line}
    on: dict[str, list[OurJob]] = {peer: [] for peer in configs}
    ends: list[tuple[float, str]] = []

    def begin(peer: str) -> None:
        """The first job there does."""
        job = on[peer][0]
        cold = scheduler.knowledge.note_begun(peer, job.kind)
        on[peer][0] = replace(job, begun_at_s=now_s, cold=cold)
        heapq.heappush(ends, (now_s + (10.0 + int(job.kind.signature[1:])) / speeds[peer], peer))

    def tell(peer: str) -> None:
        scheduler.set_peer(PeerSnapshot(configs[peer], status, jobs=tuple(on[peer])), now_s)

    def hand_over(start: Start) -> None:
        group, peer = group_of[start.job_id], start.backend_id
        on[peer].append(OurJob(start.job_id, group, needs[group], kinds[group]))
        if len(on[peer]) == 1:
            begin(peer)
            tell(peer)

    def plan() -> int:
        """All that is to be done now; how many starts that were."""
        made = 0
        while True:
            begun = time.thread_time()
            now = scheduler.plan(now_s)
            found.longest_s = max(found.longest_s, time.thread_time() - begun)
            if words:
                for start in now.starts:
                    start.explain()
            for start in now.starts:
                hand_over(start)
            made += len(now.starts)
            if now.look_again_s != 0.0:
                return made

    plan()
    if memory:
        found.megabytes = tracemalloc.get_traced_memory()[0] / 1e6
        tracemalloc.stop()
    total_s, made = 0.0, 0
    while ends and made < min(DECISIONS, waiting):
        now_s, peer = heapq.heappop(ends)
        begun = time.thread_time()
        done = on[peer].pop(0)
        scheduler.knowledge.note_run(peer, done.kind, now_s - (done.begun_at_s or 0.0), 0.5, done.cold)
        if on[peer]:
            begin(peer)
        tell(peer)
        made += plan()
        total_s += time.thread_time() - begun
    found.each_us = 1e6 * total_s / max(made, 1)
    return found


def cost_table() -> str:
    lines = [
        "| peers | jobs | kinds | µs a decision | decisions / s | with its words | longest plan, ms | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sizes = [(peers, waiting, GROUPS) for peers in (10, 100, 1_000) for waiting in (1_000, 10_000, 100_000)]
    for peers, waiting, groups in [*sizes, *((100, 10_000, groups) for groups in MANY_GROUPS)]:
        plain = cost(peers, waiting, groups=groups)
        worded = cost(peers, waiting, groups=groups, words=True, memory=True)
        amounts = (
            plain.each_us,
            1e6 / plain.each_us,
            1e6 / worded.each_us,
            1e3 * plain.longest_s,
            worded.megabytes,
        )
        figures = (f"{amount:.0f}" for amount in amounts)
        lines.append("| " + " | ".join(map(str, (peers, waiting, groups, *figures))) + " |")
    return "\n".join(lines)
