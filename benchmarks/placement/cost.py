"""What a decision costs, and the memory it takes, by the size of the fleet and of the line."""

from __future__ import annotations

import random
import time
import tracemalloc

from orchestrator.core.engine.kinds import Kind
from orchestrator.core.engine.knowledge import Knowledge
from orchestrator.core.engine.need import Need
from orchestrator.core.engine.ordering import WaitingJob
from orchestrator.core.engine.peers import OurJob, PeerSnapshot
from orchestrator.core.engine.scheduler import Scheduler, Start
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals

GROUPS, MANY_GROUPS = 12, 200
DECISIONS = 2_000


def cost(peers: int, waiting: int, *, words: bool = False, groups: int = GROUPS) -> tuple[float, float]:
    """Microseconds a decision, over a full fleet of which one job after another ends: telling of the end, of
    the run and of the next beginning, and the plan; with `words`, the explanation of each too. And megabytes
    of fleet, line and knowledge together."""
    dice = random.Random(1)
    tracemalloc.start()
    scheduler = Scheduler(Knowledge())
    kinds = [Kind(f"k{n}", files=(f"m{n * 6 // groups}",)) for n in range(groups)]
    status = BackendStatus(Health.UP, "", Vitals(devices=(Device("gpu", "cuda", 24 * 2**30, 24 * 2**30),)))
    configs = [BackendConfig(id=f"p{n}", host="127.0.0.1") for n in range(peers)]
    may = [{c.id: () if n < 2 or dice.random() < 0.6 else ("no",) for c in configs} for n in range(groups)]
    needs = [Need(unmet=lacks) for lacks in may]
    speeds = {config.id: dice.choice((1.0, 1.5, 2.0, 3.0)) for config in configs}
    now_s = 0.0
    for config in configs:
        scheduler.set_peer(PeerSnapshot(config, status), now_s)
    for n in range(waiting + peers * 2):
        which = dice.randrange(groups)
        scheduler.enter(WaitingJob(f"j{n}", which, needs[which], kinds[which], 0.0, "me", float(n) / 1e6))
    on: dict[str, list[OurJob]] = {config.id: [] for config in configs}
    by_id = {config.id: config for config in configs}

    def hand_over(starts: tuple[Start, ...]) -> None:
        for start in starts:
            group = int(group_of[start.job_id])
            on[start.backend_id].append(OurJob(start.job_id, group, needs[group], kinds[group]))
            if words:
                start.explain()

    group_of = {job.job_id: str(job.group) for job in scheduler.line}
    hand_over(scheduler.plan(now_s).starts)
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    total_s, made = 0.0, 0
    while made < min(DECISIONS, waiting):
        now_s += 20.0 / peers
        peer = configs[dice.randrange(peers)].id
        if not on[peer]:
            continue
        done, on[peer] = on[peer][0], on[peer][1:]
        jobs = tuple(OurJob(j.job_id, j.group, j.need, j.kind, now_s) for j in on[peer][:1])
        begun = time.thread_time()
        cold = scheduler.knowledge.note_begun(peer, done.kind)
        run_s = (10.0 + int(done.kind.signature[1:])) / speeds[peer]
        scheduler.knowledge.note_run(peer, done.kind, run_s, 0.5, cold)
        scheduler.set_peer(PeerSnapshot(by_id[peer], status, jobs=jobs), now_s)
        starts = scheduler.plan(now_s).starts
        hand_over(starts)
        total_s += time.thread_time() - begun
        made += len(starts)
    return 1e6 * total_s / max(made, 1), megabytes


def cost_table() -> str:
    lines = [
        "| peers | waiting jobs | kinds | µs a decision | decisions / s | with its words | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    sizes = [(peers, waiting, GROUPS) for peers in (10, 100, 1_000) for waiting in (1_000, 10_000, 100_000)]
    for peers, waiting, groups in [*sizes, (100, 10_000, MANY_GROUPS)]:
        each, megabytes = cost(peers, waiting, groups=groups)
        worded, _ = cost(peers, waiting, words=True, groups=groups)
        figures = (f"{value:.0f}" for value in (each, 1e6 / each, 1e6 / worded, megabytes))
        lines.append("| " + " | ".join(map(str, (peers, waiting, groups, *figures))) + " |")
    return "\n".join(lines)
