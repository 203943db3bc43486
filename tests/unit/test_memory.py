"""What kinds of graphs need of memory, and where they go because of it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest

from orchestrator.core.engine.estimates import learned
from orchestrator.core.engine.estimates.knowledge import GUESSED_RUN_S, Knowledge, Origin
from orchestrator.core.engine.estimates.learned import LearnedRow
from orchestrator.core.engine.estimates.memory import RAN_OUT, SLOWER_MAX
from orchestrator.core.engine.placement.costs import CostMatrix
from orchestrator.core.engine.placement.explain import caution, in_full
from orchestrator.core.engine.placement.need import Need
from orchestrator.core.engine.placement.peers import SLOTS_PER_PEER, PeerSnapshot, memory_of, used_memory_of
from orchestrator.core.engine.placement.pending_jobs import WaitingJob
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals
from orchestrator.core.prompts.kinds import Kind
from tests.fakes.fleet import recalled

GIB = 2**30
FLUX = Kind("flux", files=("unet.safetensors", "clip.safetensors"))
PLAIN = Kind("plain")


def fleet_of(**memory_gb: float) -> Knowledge:
    knowledge = Knowledge()
    for peer, gb in memory_gb.items():
        knowledge.note_peer(peer, memory_gb=gb)
    return knowledge


def ran(knowledge: Knowledge, peer: str, kind: Kind, run_s: float = 10.0) -> None:
    cold = knowledge.note_begun(peer, kind)
    knowledge.note_run(peer, kind, run_s, 0.0, cold)


def ran_with(knowledge: Knowledge, peer: str, kind: Kind, used_gb: float) -> float:
    """A run at whose end so much had been in use at most; what the kind is then taken to need."""
    ran(knowledge, peer, kind)
    knowledge.note_peak(peer, kind, used_gb)
    return knowledge.memory_need(kind).gb


def sizes(knowledge: Knowledge, **gb: float) -> None:
    knowledge.note_sizes({f"{name}.safetensors": value for name, value in gb.items()})
    knowledge.keep_sizes(FLUX.files)


# What a kind needs


def test_where_nothing_was_learned_the_files_of_a_kind_weigh_what_it_needs() -> None:
    knowledge = fleet_of()
    sizes(knowledge, unet=12.0)
    assert knowledge.memory_need(FLUX).gb == 0.0  # of one file nobody told
    sizes(knowledge, clip=2.5)
    assert knowledge.memory_need(FLUX).gb == 14.5


def test_a_size_is_kept_once_a_kind_uses_the_file_and_the_last_word_counts() -> None:
    knowledge = fleet_of()
    knowledge.note_sizes({"unet.safetensors": 12.0, "clip.safetensors": 1.0, "nobodys.safetensors": 3.0})
    assert knowledge.rows() == ()
    knowledge.note_begun("a", FLUX)
    assert {row.name for row in knowledge.take_changes()} == set(FLUX.files)
    knowledge.note_sizes({"clip.safetensors": 2.0})
    assert [(row.name, row.values) for row in knowledge.take_changes()] == [("clip.safetensors", (2.0,))]
    knowledge.note_sizes({"clip.safetensors": 2.0})
    assert knowledge.take_changes() == ()


def test_loading_is_foretold_by_the_size_that_a_peer_told() -> None:
    knowledge = fleet_of(a=24.0)
    sizes(knowledge, unet=12.0, clip=2.0)
    assert knowledge.estimate("a", FLUX).load_s == pytest.approx(14.0)


def test_of_several_runs_the_one_that_used_least_tells_the_need() -> None:
    knowledge = fleet_of(a=24.0)
    sizes(knowledge, unet=12.0, clip=2.0)
    assert [ran_with(knowledge, "a", FLUX, gb) for gb in (17.0, 15.0, 19.0)] == [17.0, 15.0, 15.0]


def test_what_else_may_have_been_in_memory_is_no_need() -> None:
    knowledge = fleet_of(a=24.0, full=24.0, unknown=0.0)
    ran(knowledge, "a", Kind("other", files=("b.safetensors",)))
    assert ran_with(knowledge, "a", FLUX, 15.0) == 0.0
    assert ran_with(knowledge, "full", FLUX, 23.0) == 0.0
    assert ran_with(knowledge, "unknown", FLUX, 15.0) == 0.0
    assert ran_with(knowledge, "full", FLUX, 15.0) == 15.0


# What too little costs


def test_a_peer_with_clearly_less_memory_is_taken_for_slower_until_it_ran_there() -> None:
    knowledge = fleet_of(big=24.0, small=8.0, tiny=2.0, near=13.5)
    sizes(knowledge, unet=12.0, clip=2.0)
    ran(knowledge, "big", FLUX, 10.0)
    small = knowledge.estimate("small", FLUX)
    assert (small.run_s, small.origin) == (pytest.approx(17.5), Origin.ELSEWHERE)
    assert small.shortage is not None and (small.shortage.need_gb, small.shortage.memory_gb) == (14.0, 8.0)
    assert knowledge.estimate("tiny", FLUX).run_s == pytest.approx(10.0 * SLOWER_MAX)
    assert knowledge.estimate("near", FLUX).shortage is None
    assert knowledge.run_s("near", FLUX) == pytest.approx(10.0)
    for _ in range(3):
        ran(knowledge, "small", FLUX, 12.0)
    small = knowledge.estimate("small", FLUX)
    assert (small.run_s, small.shortage) == (pytest.approx(12.0), None)


def test_a_peer_or_a_kind_of_which_nothing_is_known_is_taken_for_no_slower() -> None:
    knowledge = fleet_of(untold=0.0, small=8.0)
    sizes(knowledge, unet=12.0, clip=2.0)
    assert knowledge.run_s("untold", FLUX) == knowledge.run_s("small", PLAIN) == GUESSED_RUN_S


def test_where_one_ran_out_of_memory_the_next_is_expected_to_as_well() -> None:
    knowledge = fleet_of(big=24.0, eight=8.0, other=8.2, tiny=6.0)
    for _ in range(3):
        ran(knowledge, "eight", PLAIN, 10.0)
    knowledge.note_too_little("eight", PLAIN)
    for peer in ("eight", "other", "tiny"):
        found = knowledge.estimate(peer, PLAIN)
        assert found.run_s == pytest.approx(10.0 * RAN_OUT, rel=0.1)
        assert found.shortage is not None and found.shortage.ran_out
    assert knowledge.estimate("big", PLAIN).shortage is None
    knowledge.note_too_little("tiny", PLAIN)
    assert knowledge.run_s("tiny", PLAIN) > 1.9 * 10.0 * RAN_OUT


def test_what_runs_took_where_one_ran_out_of_memory_is_forgotten_on_the_disk_too() -> None:
    knowledge = fleet_of(eight=8.0)
    ran(knowledge, "eight", PLAIN, 10.0)
    on_disk = {(row.topic, row.peer, row.name): row for row in knowledge.take_changes()}
    knowledge.note_too_little("eight", PLAIN)
    on_disk |= {(row.topic, row.peer, row.name): row for row in knowledge.take_changes()}
    again = recalled(on_disk.values())
    assert again.estimate("eight", PLAIN).origin is Origin.ELSEWHERE


def test_a_run_with_as_much_memory_shows_that_running_out_was_bad_luck() -> None:
    knowledge = fleet_of(big=24.0, eight=8.0, other=8.0)
    knowledge.note_too_little("eight", PLAIN)
    ran(knowledge, "big", PLAIN)
    assert knowledge.estimate("eight", PLAIN).shortage is not None
    ran(knowledge, "other", PLAIN)
    assert knowledge.estimate("eight", PLAIN).shortage is None


# Kept


def test_needs_survive_as_rows_and_what_makes_no_sense_is_left_out() -> None:
    knowledge = fleet_of(a=24.0, b=8.0)
    ran_with(knowledge, "a", FLUX, 15.0)
    knowledge.note_too_little("b", FLUX)
    raw = json.loads(json.dumps([asdict(row) for row in knowledge.rows()]))
    again = recalled(LearnedRow(**{**row, "values": tuple(row["values"])}) for row in raw)
    assert again.rows() == knowledge.rows()
    assert again.memory_need(FLUX) == knowledge.memory_need(FLUX)
    bad = [(), (1.0,), (-1.0, 0.0, 0.0), (math.nan, 0.0, 0.0), (math.inf, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0)]
    hostile = recalled(LearnedRow("memory", "", "flux", values) for values in bad)
    assert hostile.rows() == ()
    huge = recalled([LearnedRow("memory", "", "flux", (1e30, 1e30, 1e30))])
    huge.note_peer("a", memory_gb=8.0)
    assert huge.run_s("a", FLUX) < 1e6


def test_needs_and_sizes_without_end_are_not_kept() -> None:
    knowledge = fleet_of(a=24.0)
    for n in range(learned.KINDS_MAX + 50):
        knowledge.note_too_little("a", Kind(f"k{n}"))
    assert sum(row.topic == "memory" for row in knowledge.rows()) == learned.KINDS_MAX
    names = [f"f{n}.safetensors" for n in range(learned.TOLD_MAX + 50)]
    knowledge.note_sizes(dict.fromkeys(names, 1.0))
    knowledge.keep_sizes((names[0], names[-1]))
    assert knowledge.memory_need(Kind("first", files=(names[0],))).gb == 0.0
    assert knowledge.memory_need(Kind("last", files=(names[-1],))).gb == 1.0
    knowledge.note_sizes({"x.safetensors": math.nan, "y.safetensors": 1e9, "z.safetensors": -1.0})
    knowledge.keep_sizes(("x.safetensors", "y.safetensors", "z.safetensors"))
    assert {row.name for row in knowledge.rows() if row.topic == "size"} == {names[-1]}


# Where jobs go


def peer(name: str, memory_gb: float, *, foreign: int = 0, kind_of_device: str = "cuda") -> PeerSnapshot:
    device = Device("gpu", kind_of_device, int(memory_gb * GIB), int(memory_gb * GIB) - GIB)
    status = BackendStatus(Health.UP, vitals=Vitals(ram_total_bytes=64 * GIB, devices=(device,)))
    return PeerSnapshot(BackendConfig(name, name, host=name), status, foreign=foreign)


class Choice:
    """A scheduler with these peers, one of them fast and small; jobs of one kind that any may take."""

    def __init__(self, *peers: PeerSnapshot) -> None:
        self.scheduler = Scheduler()
        self.peers = peers
        self.knowledge = self.scheduler.knowledge
        self.need = Need(unmet={one.config.id: () for one in peers})
        self.show()

    def show(self) -> None:
        for one in self.peers:
            self.scheduler.set_peer(one, 0.0)

    def wait(self, kind: Kind = FLUX) -> None:
        self.scheduler.enter(WaitingJob("j", kind.signature, self.need, kind))

    def of_the_next(self) -> str:
        (start,) = self.scheduler.plan(0.0).starts
        return start.backend_id


def uneven() -> Choice:
    """The small peer is the faster one by a quarter."""
    choice = Choice(peer("big", 24.0), peer("small", 8.0))
    for _ in range(8):
        ran(choice.knowledge, "big", PLAIN, 10.0)
        ran(choice.knowledge, "small", PLAIN, 8.0)
    ran(choice.knowledge, "big", Kind("another"), 10.0)
    choice.show()
    return choice


def test_a_job_goes_rather_to_a_peer_with_enough_memory() -> None:
    choice = uneven()
    choice.wait()
    assert choice.of_the_next() == "small"
    choice.show()  # it is gone from there
    sizes(choice.knowledge, unet=12.0, clip=2.0)
    choice.wait()
    assert choice.of_the_next() == "big"


def test_sizes_that_are_told_while_a_job_waits_count_for_it() -> None:
    choice = uneven()
    idle = choice.peers
    choice.peers = (*(replace(one, ours=SLOTS_PER_PEER) for one in idle), peer("unable", 24.0))
    choice.show()
    choice.wait()
    assert choice.scheduler.plan(0.0).starts == ()
    sizes(choice.knowledge, unet=12.0, clip=2.0)
    choice.peers = idle
    choice.show()
    assert choice.of_the_next() == "big"


def test_a_peer_that_tells_its_memory_later_is_seen_anew() -> None:
    choice = uneven()
    big, small = choice.peers
    choice.peers = (big, replace(small, status=BackendStatus(Health.UP)))
    choice.scheduler.remove_peer("small")
    choice.knowledge.warm.remove("small")
    choice.show()
    sizes(choice.knowledge, unet=12.0, clip=2.0)
    choice.wait()
    assert choice.of_the_next() == "small"
    choice.peers = (big, small)
    choice.show()
    choice.wait()
    assert choice.of_the_next() == "big"


def test_a_peer_with_too_little_memory_gets_the_job_where_others_are_much_later() -> None:
    choice = Choice(peer("big", 24.0, foreign=9), peer("small", 8.0))
    sizes(choice.knowledge, unet=12.0, clip=2.0)
    choice.wait()
    assert choice.of_the_next() == "small"


def test_after_one_ran_out_of_memory_the_next_prefers_more_of_it_from_the_start() -> None:
    choice = uneven()
    for _ in range(3):
        ran(choice.knowledge, "small", FLUX, 5.0)
    choice.show()
    choice.wait()
    assert choice.of_the_next() == "small"
    choice = uneven()
    for _ in range(3):
        ran(choice.knowledge, "small", FLUX, 5.0)
    choice.show()
    choice.wait()
    choice.knowledge.note_too_little("small", FLUX)
    assert choice.of_the_next() == "big"


def test_too_little_memory_is_told_as_a_caution_and_no_refusal() -> None:
    choice = Choice(peer("big", 24.0), peer("small", 8.0))
    sizes(choice.knowledge, unet=12.0, clip=0.4)
    told = {one.eligibility.name: one for one in choice.scheduler.forecasts(FLUX, choice.need, 0.0)}
    assert (told["small"].eligibility.eligible, told["small"].need_gb) == (True, pytest.approx(12.4))
    assert caution(told["small"]) == "needs about 12 GB, it has 8"
    assert in_full(told["small"]) == "idle, 7.0 GB free; needs about 12 GB, it has 8"
    assert caution(told["big"]) == ""
    choice.wait()
    (start,) = choice.scheduler.plan(0.0).starts
    assert start.explain().endswith("(small: idle, 7.0 GB free; needs about 12 GB, it has 8)")
    ran(choice.knowledge, "big", FLUX, 10.0)
    choice.knowledge.note_too_little("small", FLUX)
    told = {one.eligibility.name: one for one in choice.scheduler.forecasts(FLUX, choice.need, 0.0)}
    assert in_full(told["small"]).endswith(
        "guessed from other peers; such a job ran out of memory with 8 GB, it has 8"
    )


# What a peer tells of its memory


def test_directml_tells_no_memory_and_a_machines_own_memory_is_not_the_models() -> None:
    directml, cpu, cuda = (peer("p", 16.0, kind_of_device=name) for name in ("privateuseone", "cpu", "cuda"))
    assert [memory_of(one.status) // GIB for one in (directml, cpu, cuda)] == [0, 16, 16]
    assert [used_memory_of(one.status) // GIB for one in (directml, cpu, cuda)] == [0, 0, 1]
    assert used_memory_of(BackendStatus()) == 0


def test_after_running_out_and_then_enough_elsewhere_a_peer_is_expected_anew() -> None:
    knowledge = fleet_of(a=8.0, b=8.0)
    costs, peers = CostMatrix(knowledge), {name: peer(name, 8.0) for name in ("a", "b")}
    for name, run_s in (("a", 5.0), ("b", 8.0)):
        ran(knowledge, name, PLAIN, run_s)
        costs.set_peer(peers[name], 0.0)
    need = Need(unmet={"a": (), "b": ()})
    assert costs.row("group", PLAIN, need).run.tolist() == [5.0, 8.0]
    knowledge.note_too_little("a", PLAIN)
    costs.set_peer(peers["a"], 1.0)
    assert costs.row("group", PLAIN, need).run[0] > 3 * 8.0
    ran(knowledge, "b", PLAIN, 8.0)
    costs.set_peer(peers["b"], 2.0)
    assert costs.row("group", PLAIN, need).run.tolist() == [knowledge.run_s("a", PLAIN), 8.0]
