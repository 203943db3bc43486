"""Placement on small traces, the lower bound, and the figures and files of the simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.placement.bound import lower_bound
from benchmarks.placement.makers import MAKERS, large
from benchmarks.placement.measure import POLICIES, as_json, measure
from benchmarks.placement.table import markdown, plot
from benchmarks.placement.trace import Event, Job, Peer, Trace, read_trace, trace_of, write_trace

ROOT = Path(__file__).parents[2]
PAIR = (Peer("p1", 1.0, files=("a",)), Peer("p2", 4.0, files=("a",)))


def jobs(count: int, work_s: float = 8.0, **details: object) -> tuple[Job, ...]:
    return tuple(Job(f"j{n}", work_s=work_s, files=("a",), **details) for n in range(count))  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_gets_every_job_done_though_peers_go_and_come(policy: str) -> None:
    events = (
        Event(5.0, "p1", "down"),
        Event(9.0, "p2", "restart"),
        Event(30.0, "p1", "up"),
        Event(31.0, "p1", "foreign", 12.0),
    )
    found = measure(Trace(PAIR, jobs(20), {"a": 2.0}, events), policy)
    assert found.lost == 0
    assert found.makespan_ratio >= 1.0


def test_the_bound_is_what_cannot_be_beaten() -> None:
    # 160 seconds of work on speeds 1 and 4; each loads for 2 s first.
    assert lower_bound(Trace(PAIR, jobs(20), {"a": 2.0})) == pytest.approx(2.0 + 160 / 5)
    # What is on one peer only binds that one.
    only = Trace((PAIR[0], Peer("p2", 4.0, files=("b",))), jobs(20), {"a": 2.0})
    assert lower_bound(only) == pytest.approx(2.0 + 160)
    # Nothing is done while a peer is away, and no job before it came.
    away = Trace(PAIR[:1], jobs(2), {}, (Event(4.0, "p1", "down"), Event(24.0, "p1", "up")))
    assert lower_bound(away) == pytest.approx(36.0)
    late = Trace(PAIR, (*jobs(1), Job("k", at_s=100.0, work_s=8.0, files=("a",))), {"a": 2.0})
    assert lower_bound(late) == pytest.approx(102.0)


def test_a_slow_peer_is_no_trap_for_ours_once_its_speed_is_known() -> None:
    peers = (Peer("p1", 1.0), *(Peer(f"f{n}", 4.0) for n in range(3)))
    trace = Trace(peers, tuple(Job(f"j{n}", work_s=4.0) for n in range(60)))
    ours, theirs = measure(trace, "ours"), measure(trace, "least_queue")
    assert ours.makespan_ratio < 1.1
    assert theirs.makespan_ratio > 2.0


def test_two_models_are_not_loaded_in_turns() -> None:
    peers = tuple(Peer(f"p{n}", vram_gb=12.0, files=("a", "b")) for n in range(2))
    mixed = tuple(Job(f"j{n}", work_s=5.0, kind="ab"[n % 2], files=("ab"[n % 2],)) for n in range(40))
    trace = Trace(peers, mixed, {"a": 10.0, "b": 10.0})
    assert measure(trace, "ours").load_s == pytest.approx(20.0)  # each of the two once


def test_a_trace_gives_the_same_figures_in_every_process(tmp_path: Path) -> None:
    write_trace(MAKERS["two-models"](1), tmp_path / "trace.json")
    ask = [sys.executable, "-m", "benchmarks.placement", "--trace", str(tmp_path / "trace.json")]
    found = []
    for seed in ("1", "2"):
        ran = subprocess.run(
            [*ask, "--policy", "ours"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(ran.stdout)["ours"])
        del found[-1]["decisions_per_s"]
    assert found[0] == found[1]


def test_a_fresh_fleet_is_placed_as_well_as_by_the_shortest_queue() -> None:
    trace = Trace(tuple(Peer(f"p{n}") for n in range(4)), tuple(Job(f"j{n}") for n in range(12)))
    ours, theirs = measure(trace, "ours"), measure(trace, "least_queue")
    assert ours.makespan_ratio <= theirs.makespan_ratio
    assert ours.mean_wait_s <= theirs.mean_wait_s


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "large"])
def test_a_kind_and_a_seed_make_one_trace_that_a_file_holds_whole(kind: str, tmp_path: Path) -> None:
    trace = MAKERS[kind](3)
    assert MAKERS[kind](3) == trace
    assert MAKERS[kind](4) != trace
    write_trace(trace, tmp_path / "t.json")
    assert read_trace(tmp_path / "t.json") == trace


def test_a_large_fleet_is_made_to_measure() -> None:
    trace = large(1, 20, 100)
    assert (len(trace.peers), len(trace.jobs)) == (20, 100)
    assert measure(trace, "ours").lost == 0


def test_a_trace_may_leave_out_what_has_a_default_and_nobody_may_be_able_to_run_a_job() -> None:
    raw = {"peers": [{"id": "p"}], "jobs": [{"id": "j", "files": ["x"]}, {"id": "k", "work_s": 3}]}
    trace = trace_of(raw)
    assert lower_bound(trace) == pytest.approx(3.0)
    for policy in POLICIES:
        assert measure(trace, policy).lost == 1


def test_figures_are_plain_numbers_under_the_names_that_readers_rely_on() -> None:
    found = as_json({"ours": measure(Trace(PAIR, jobs(4), {"a": 2.0}), "ours")})
    assert set(json.loads(json.dumps(found))["ours"]) == {
        "makespan_ratio", "mean_wait_s", "p95_wait_s", "fairness", "load_s", "idle_while_waiting_s", "lost",
        "decisions_per_s",
    }  # fmt: skip


def test_a_table_and_a_plot_name_every_policy() -> None:
    trace = Trace(PAIR, jobs(6), {"a": 2.0})
    seeds = [as_json({name: measure(trace, name) for name in POLICIES})]
    table, picture = markdown("uniform", seeds), plot({"uniform": seeds}, "makespan_ratio", "x", longest=3.0)
    for policy in POLICIES:
        assert f"| {policy} |" in table
        assert f">{policy}</text>" in picture
