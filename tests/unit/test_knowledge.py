"""What is learned of peers, and what is expected of them then."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict

import pytest

from orchestrator.core.engine.estimates import learned
from orchestrator.core.engine.estimates.knowledge import GUESSED_RUN_S, LONGEST_S, Knowledge, Origin
from orchestrator.core.engine.estimates.learned import LearnedRow
from orchestrator.core.prompts.kinds import Kind, kind_of
from tests.fakes.fleet import recalled

PORTRAIT = Kind("portrait", "shape", 100.0, ("a.safetensors",))
PLAIN = Kind("plain")


def ran(knowledge: Knowledge, peer: str, kind: Kind, total_s: float, head_s: float | None = None) -> None:
    cold = knowledge.note_begun(peer, kind)
    knowledge.note_run(peer, kind, total_s, head_s, cold)


def test_with_no_history_every_peer_is_taken_for_the_same() -> None:
    knowledge = Knowledge()
    found = knowledge.estimate("p", PLAIN)
    assert (found.run_s, found.origin) == (GUESSED_RUN_S, Origin.NOTHING)


def test_a_peer_without_a_gpu_is_taken_for_slow_until_something_ran_there() -> None:
    knowledge = Knowledge()
    knowledge.note_peer("cpu", has_gpu=False)
    assert knowledge.estimate("cpu", PLAIN).run_s > 10 * knowledge.estimate("gpu", PLAIN).run_s
    for _ in range(3):
        ran(knowledge, "cpu", PLAIN, 2.0)
    assert knowledge.estimate("cpu", PLAIN).run_s == pytest.approx(2.0)


def test_the_first_run_after_a_load_does_not_spoil_the_run_time() -> None:
    knowledge = Knowledge()
    ran(knowledge, "p", PORTRAIT, 68.0, 60.5)
    for _ in range(3):
        ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    found = knowledge.estimate("p", PORTRAIT)
    assert found.run_s == pytest.approx(8.0)
    assert (found.load_s, found.cold) == (0.0, ())
    knowledge.note_restart("p")
    found = knowledge.estimate("p", PORTRAIT)
    assert found.load_s == pytest.approx(60.5)
    assert found.cold == ("a.safetensors",)


def test_where_no_step_is_told_loading_is_what_a_cold_run_takes_more_than_a_warm_one() -> None:
    knowledge = Knowledge()
    ran(knowledge, "p", PORTRAIT, 68.0)
    ran(knowledge, "p", PORTRAIT, 8.0)
    knowledge.note_restart("p")
    ran(knowledge, "p", PORTRAIT, 58.0)
    knowledge.note_restart("p")
    assert knowledge.estimate("p", PORTRAIT).run_s == pytest.approx(8.0)
    assert knowledge.estimate("p", PORTRAIT).load_s == pytest.approx(50.0)


def test_a_run_that_had_to_load_against_expectation_does_not_spoil_the_run_time_either() -> None:
    knowledge = Knowledge()
    for _ in range(3):
        ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    ran(knowledge, "p", PORTRAIT, 48.0, 40.5)
    assert knowledge.estimate("p", PORTRAIT).run_s == pytest.approx(8.0)


def test_models_that_turn_out_not_to_fit_together_are_expected_to_be_loaded_in_turn() -> None:
    knowledge = Knowledge()
    knowledge.note_peer("p", memory_gb=24.0)
    other = Kind("other", "shape", 100.0, ("b.safetensors",))
    for kind in (PORTRAIT, other):
        ran(knowledge, "p", kind, 28.0, 20.5)
        for _ in range(3):
            ran(knowledge, "p", kind, 8.0, 0.5)
    assert knowledge.estimate("p", PORTRAIT).load_s == 0.0  # both have room, one would think
    ran(knowledge, "p", PORTRAIT, 18.0, 10.5)
    assert knowledge.estimate("p", PORTRAIT).load_s == 0.0
    assert knowledge.estimate("p", other).load_s == pytest.approx(20.0, rel=0.1)
    ran(knowledge, "p", other, 8.0, 0.5)  # it was there after all
    ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    assert knowledge.estimate("p", other).load_s == 0.0


def test_a_slow_start_of_a_graph_without_models_says_nothing_of_what_fits() -> None:
    knowledge = Knowledge()
    knowledge.note_peer("p", memory_gb=24.0)
    knowledge.note_size("a.safetensors", 6.5)
    ran(knowledge, "p", PORTRAIT, 28.0, 20.5)
    for _ in range(3):
        ran(knowledge, "p", PLAIN, 4.0, 0.5)
    ran(knowledge, "p", PLAIN, 14.0, 10.5)
    assert knowledge.warm.of("p") == {"a.safetensors"}
    assert knowledge.warm.room_gb("p", frozenset()) == 24.0


def test_a_loading_that_did_not_happen_is_no_quick_loading() -> None:
    knowledge = Knowledge()
    for _ in range(3):
        ran(knowledge, "p", PORTRAIT, 28.0, 20.5)
        knowledge.note_restart("p")
    ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    assert knowledge.load_s("p", "a.safetensors") == pytest.approx(20.0, rel=0.1)


def test_a_cancelled_run_that_had_to_load_does_not_count_for_the_next_one() -> None:
    knowledge = Knowledge()
    for _ in range(3):
        ran(knowledge, "p", PORTRAIT, 28.0, 20.5)
        knowledge.note_restart("p")
    knowledge.note_begun("p", PORTRAIT)  # and cancelled
    ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    knowledge.note_restart("p")
    assert knowledge.estimate("p", PORTRAIT).load_s == pytest.approx(20.0, rel=0.1)


def test_a_good_run_after_two_bad_ones_makes_it_better() -> None:
    knowledge, found = Knowledge(), []
    for run_s in (60.0, 60.0, 4.0, 4.0, 4.0, 4.0):
        ran(knowledge, "p", PLAIN, run_s)
        found.append(knowledge.run_s("p", PLAIN))
    assert found[1:] == sorted(found[1:], reverse=True) and found[-1] == pytest.approx(4.0)


def test_what_was_measured_long_ago_is_put_to_the_test_the_less_often_the_more_there_is_of_it() -> None:
    knowledge = Knowledge()
    tried = []
    for n in range(1000):
        ran(knowledge, "a", PLAIN, 5.0)
        if n == 0 or knowledge.run_s("b", PLAIN) < 10.0:
            ran(knowledge, "b", PLAIN, 60.0)
            tried.append(n)
    pauses = [later - before for before, later in itertools.pairwise(tried)]
    assert len(tried) < 8 and pauses == sorted(pauses)
    for _ in range(2000):
        ran(knowledge, "a", PLAIN, 5.0)
    assert knowledge.run_s("b", PLAIN) < 10.0  # its time has come again
    ran(knowledge, "b", PLAIN, 4.0)
    assert knowledge.run_s("b", PLAIN) == pytest.approx(4.0)  # the machine is another one now


def test_the_first_run_of_another_size_does_not_make_a_peer_many_times_as_fast() -> None:
    knowledge = Knowledge()
    for _ in range(3):
        ran(knowledge, "a", Kind("small", "shape", 1.0), 10.0)
        ran(knowledge, "a", PLAIN, 30.0)
    ran(knowledge, "b", Kind("large", "shape", 40.0), 14.0)  # the work is not what it looks like
    assert 20.0 < knowledge.estimate("b", PLAIN).run_s < 40.0


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e308])
def test_a_size_beyond_all_sense_spoils_no_estimate(size: float) -> None:
    prompt = {"1": {"class_type": "Sleep", "inputs": {"seconds": size}}}
    usual = {"1": {"class_type": "Sleep", "inputs": {"seconds": 4.0}}}
    knowledge = Knowledge()
    for peer in ("a", "b"):
        ran(knowledge, peer, kind_of(usual), 4.0)
    ran(knowledge, "a", kind_of(prompt), 0.01)
    ran(knowledge, "b", kind_of({"1": {"class_type": "Sleep", "inputs": {"seconds": 8.0}}}), 8.0)
    assert knowledge.weight_s(kind_of(prompt)) > 0
    for peer in ("a", "b"):
        assert knowledge.estimate(peer, kind_of(prompt)).run_s <= LONGEST_S
        assert knowledge.estimate(peer, kind_of(usual)).run_s == pytest.approx(4.0)
        assert 0.5 < knowledge.speed(peer) < 2.0


def test_one_odd_run_among_several_does_not_move_the_mean() -> None:
    knowledge = Knowledge()
    for total_s in (10.0, 10.2, 300.0, 9.8, 10.0):
        ran(knowledge, "p", PLAIN, total_s)
    assert knowledge.estimate("p", PLAIN).run_s == pytest.approx(10.0, abs=0.2)


def test_a_kind_seen_elsewhere_is_scaled_by_the_peers_relative_speed() -> None:
    knowledge = Knowledge()
    for _ in range(4):
        ran(knowledge, "fast", PLAIN, 5.0)
        ran(knowledge, "slow", PLAIN, 20.0)
    for _ in range(2):
        ran(knowledge, "fast", Kind("new"), 3.0)
    found = knowledge.estimate("slow", Kind("new"))
    assert found.run_s == pytest.approx(12.0, rel=0.15)
    assert found.origin is Origin.ELSEWHERE


def test_a_run_whose_work_lay_in_the_cache_does_not_pass_for_a_whole_one() -> None:
    knowledge = Knowledge()
    knowledge.note_part("p", PLAIN, 0.5)
    assert knowledge.estimate("p", PLAIN).run_s == pytest.approx(0.5)  # nothing better is known
    ran(knowledge, "p", PLAIN, 20.0)
    knowledge.note_part("p", PLAIN, 0.5)
    assert knowledge.estimate("p", PLAIN).run_s == pytest.approx(20.0)
    for _ in range(6):
        knowledge.note_part("p", PLAIN, 40.0)
    assert knowledge.estimate("p", PLAIN).run_s == pytest.approx(40.0)  # the whole takes no less


def test_the_first_run_on_a_peer_of_which_nothing_else_is_known_is_believed() -> None:
    knowledge = Knowledge()
    for _ in range(4):
        ran(knowledge, "quick", PLAIN, 1.0)
    ran(knowledge, "slow", PLAIN, 4.0)
    assert knowledge.run_s("slow", PLAIN) == pytest.approx(4.0)


def test_runs_too_short_to_tell_do_not_make_a_peer_slow() -> None:
    knowledge = Knowledge()
    for n in range(20):
        ran(knowledge, "a", Kind(f"tiny {n}"), 0.05)
        ran(knowledge, "b", Kind(f"tiny {n}"), 0.4)
    ran(knowledge, "a", PLAIN, 10.0)
    assert knowledge.estimate("b", PLAIN).run_s < 1.5 * knowledge.estimate("a", PLAIN).run_s


def test_a_few_long_runs_tell_how_slow_a_peer_is() -> None:
    knowledge = Knowledge()
    for n in range(4):
        ran(knowledge, "a", Kind(f"long {n}"), 10.0)
        ran(knowledge, "b", Kind(f"long {n}"), 40.0)
    ran(knowledge, "a", PLAIN, 10.0)
    assert knowledge.estimate("b", PLAIN).run_s == pytest.approx(40.0, rel=0.25)


def test_another_size_of_the_same_graph_is_scaled_by_its_work() -> None:
    knowledge = Knowledge()
    ran(knowledge, "p", Kind("small", "shape", 100.0), 4.0)
    found = knowledge.estimate("p", Kind("big", "shape", 400.0))
    assert found.run_s == pytest.approx(16.0)
    assert found.origin is Origin.SHAPE
    assert found.spread_s > knowledge.estimate("p", Kind("small", "shape", 100.0)).spread_s


def test_an_unknown_graph_is_taken_for_a_usual_one() -> None:
    knowledge = Knowledge()
    ran(knowledge, "p", Kind("x"), 4.0)
    ran(knowledge, "p", Kind("y"), 8.0)
    assert 3.0 < knowledge.estimate("p", Kind("z")).run_s < 9.0


def test_memory_holds_what_was_used_last() -> None:
    knowledge = Knowledge()
    knowledge.note_peer("p", memory_gb=16.0)
    for name, gb in (("a", 8.0), ("b", 6.0), ("c", 6.0)):
        knowledge.note_size(name, gb)
        knowledge.note_begun("p", Kind(name, files=(name,)))
    assert knowledge.warm.of("p") == {"b", "c"}
    knowledge.note_begun("p", Kind("b", files=("b",)))
    knowledge.note_begun("p", Kind("a", files=("a",)))
    assert knowledge.warm.of("p") == {"a", "b"}


def test_loading_an_unseen_file_is_foretold_by_its_size_and_the_peers_disk() -> None:
    knowledge = Knowledge()
    knowledge.note_size("a", 10.0)
    knowledge.note_size("b", 5.0)
    ran(knowledge, "p", Kind("x", files=("a",)), 30.0, 20.0)
    assert knowledge.estimate("p", Kind("y", files=("b",))).load_s == pytest.approx(10.0)


def test_the_end_of_a_run_told_after_the_next_one_began_counts_for_the_right_one() -> None:
    knowledge = Knowledge()
    other = Kind("other", files=("b.safetensors",))
    cold = knowledge.note_begun("p", PORTRAIT)
    knowledge.note_begun("p", other)
    knowledge.note_run("p", PORTRAIT, 30.0, 20.0, cold)
    assert knowledge.load_s("p", "a.safetensors") == pytest.approx(20.0)


def test_other_peoples_prompts_tend_to_take_what_they_took() -> None:
    knowledge = Knowledge()
    for run_s in (40.0, 44.0, 42.0):
        knowledge.note_foreign("p", run_s)
    assert knowledge.foreign_s("p") == pytest.approx(42.0, rel=0.05)
    assert knowledge.foreign_s("q") == pytest.approx(42.0, rel=0.05)


def test_what_was_learned_survives_as_rows_of_plain_values() -> None:
    knowledge = Knowledge()
    knowledge.note_size("a.safetensors", 7.0)
    ran(knowledge, "p", PORTRAIT, 68.0, 60.5)
    ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    ran(knowledge, "q", PORTRAIT, 90.0, 74.0)
    knowledge.note_foreign("p", 33.0)
    raw = json.loads(json.dumps([asdict(row) for row in knowledge.rows()]))
    again = recalled(LearnedRow(**{**row, "values": tuple(row["values"])}) for row in raw)
    assert again.rows() == knowledge.rows()
    for kind in (PORTRAIT, Kind("big", "shape", 300.0)):
        ours, theirs = knowledge.estimate("q", kind, frozenset()), again.estimate("q", kind, frozenset())
        assert theirs.run_s == pytest.approx(ours.run_s)
        assert theirs.load_s == pytest.approx(ours.load_s)


def test_only_changed_rows_are_told_and_only_once() -> None:
    knowledge = Knowledge()
    ran(knowledge, "p", PLAIN, 8.0)
    assert {row.topic for row in knowledge.take_changes()} >= {"run", "kind", "speed"}
    assert knowledge.take_changes() == ()
    ran(knowledge, "q", PLAIN, 9.0)
    assert {row.peer for row in knowledge.take_changes()} <= {"q", ""}


def test_what_is_told_of_changes_alone_is_the_same_as_all_of_it() -> None:
    knowledge, kept = Knowledge(), dict[tuple[str, str, str], LearnedRow]()

    def take() -> None:
        for row in knowledge.take_changes():
            kept.pop((row.topic, row.peer, row.name), None)
            if row.values:
                kept[row.topic, row.peer, row.name] = row

    for n in range(learned.KINDS_MAX + 100):
        ran(knowledge, f"p{n % 7}", Kind(f"k{n}", f"s{n}", 1.0, (f"f{n}",)), 5.0, 4.0)
        if n % 100 == 0:
            knowledge.forget_peer("p1")
            take()
    for n in range(learned.FILES_MAX + 100):
        knowledge.note_size(f"f{n}", 1.0)
    take()
    for n in range(learned.PEERS_MAX + 100):
        knowledge.note_foreign(f"p{n}", 3.0)
    for n in range(learned.RUNS_MAX + 100):
        knowledge.read(
            [LearnedRow("run", "p", f"k{n}", (1.0, 2.0)), LearnedRow("load", "p", f"f{n}", (1.0, 2.0))]
        )
    take()
    # What is read, and a speed that nothing was learned of, is no change.
    assert set(kept.values()) <= set(knowledge.rows())
    topics = ("kind", "shape", "foreign", "size")
    assert {row for row in knowledge.rows() if row.topic in topics} <= set(kept.values())


def test_rows_that_make_no_sense_are_left_out() -> None:
    inf = float("inf")
    rows = [
        LearnedRow("run", "p", "x", ()),
        LearnedRow("kind", "", "x", (1.0,)),
        LearnedRow("nothing", "", "", (1.0,)),
    ]
    rows += [LearnedRow("speed", "p", "", (inf, 1.0)), LearnedRow("run", "p", "y", (3.0, 4.0))]
    rows += [
        LearnedRow("run", "p", "z", (3.0, 0.0)),
        LearnedRow("load", "p", "f", (1.0, -5.0)),
        LearnedRow("size", "", "f", (-1.0,)),
    ]
    rows += [LearnedRow("kind", "", "y", (1.0, -1.0, 1.0)), LearnedRow("speed", "p", "", (0.0, -1.0))]
    knowledge = recalled(rows)
    assert knowledge.estimate("p", Kind("y")).run_s == 4.0
    assert knowledge.estimate("p", Kind("z", files=("f",))).run_s > 0
    assert knowledge.load_s("p", "f") > 0
    ran(knowledge, "p", Kind("y"), 4.0)


def test_a_huge_or_hostile_fleet_does_not_grow_it_without_end() -> None:
    knowledge = Knowledge()
    for n in range(learned.KINDS_MAX + 200):
        ran(knowledge, f"p{n % 7}", Kind(f"k{n}", f"s{n}", 1.0, (f"f{n}",)), 1.0)
        knowledge.note_size(f"f{n}", 1.0)
    assert sum(row.topic == "kind" for row in knowledge.rows()) == learned.KINDS_MAX
    ran(knowledge, "p", PLAIN, float("inf"))
    ran(knowledge, "p", PLAIN, -1.0)
    assert knowledge.times_seen(PLAIN) == 0


def test_a_removed_peer_is_forgotten() -> None:
    knowledge = Knowledge()
    ran(knowledge, "p", PORTRAIT, 8.0, 0.5)
    knowledge.forget_peer("p")
    assert not any(row.peer == "p" for row in knowledge.rows())
