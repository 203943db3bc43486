"""Who gets which job: eligibility, the plan over the whole line, and its words."""

from __future__ import annotations

import gc
import itertools
import weakref
from dataclasses import replace

import pytest

from orchestrator.core.engine.estimates.knowledge import Knowledge
from orchestrator.core.engine.placement.eligibility import check_eligibility, waiting_for
from orchestrator.core.engine.placement.explain import in_full
from orchestrator.core.engine.placement.lineup import GROUPS_MAX
from orchestrator.core.engine.placement.need import Need
from orchestrator.core.engine.placement.peers import SLOTS_PER_PEER, PeerSnapshot
from orchestrator.core.engine.placement.pending_jobs import WaitingJob
from orchestrator.core.engine.placement.placer import STARTS_AT_ONCE
from orchestrator.core.engine.placement.policy import Policy
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import Health
from orchestrator.core.models.rules import PeerRules, parse_hours
from orchestrator.core.prompts.kinds import Kind
from orchestrator.errors import ConfigError, NoEligiblePeerError
from tests.fakes.fleet import GIB, Fleet, peer


def chosen(need: Need, *peers: PeerSnapshot) -> str | None:
    placement = Scheduler().select_backend(need, peers)
    return placement.backend_id if placement else None


def can_run(*names: str) -> Need:
    return Need(unmet=dict.fromkeys(names, ()))


def test_the_shortest_queue_wins_and_other_peoples_prompts_count() -> None:
    assert chosen(can_run("a", "b"), peer("a", foreign=3), peer("b", ours=1)) == "b"


def test_with_equal_queues_the_most_free_memory_wins_then_the_name() -> None:
    assert chosen(can_run("a", "b"), peer("a", free_bytes=GIB), peer("b", free_bytes=9 * GIB)) == "b"
    assert chosen(can_run("a", "b"), peer("b"), peer("a")) == "a"


def test_a_peer_that_may_lack_something_comes_behind_one_that_does_not_however_busy_that_is() -> None:
    doubted = replace(can_run("a", "b"), cautions={"a": ("it lacks the LoRA ink",)})
    assert chosen(doubted, peer("a"), peer("b", foreign=9)) == "b"
    assert chosen(doubted, peer("a"), peer("b", health=Health.DOWN)) == "a"
    both = replace(doubted, cautions={"a": ("one",), "b": ("one", "another")})
    assert chosen(both, peer("a", foreign=9), peer("b")) == "a"


def test_when_all_slots_are_taken_the_job_waits() -> None:
    assert chosen(can_run("a"), peer("a", ours=SLOTS_PER_PEER)) is None


def test_a_pin_and_tags_leave_only_those_that_match() -> None:
    both = (peer("a"), peer("b", tags=("big",), foreign=5))
    assert chosen(Need(peer="b", unmet={"a": (), "b": ()}), *both) == "b"
    assert chosen(Need(tags=("big",), unmet={"a": (), "b": ()}), *both) == "b"


def test_the_decision_explains_itself_for_every_peer() -> None:
    placement = Scheduler().select_backend(
        can_run("a", "b"),
        (peer("a"), peer("b", foreign=2), peer("c", health=Health.DOWN, reason="off")),
    )
    assert placement is not None
    assert placement.explanation == (
        "on a because it is idle, 8.0 GB free (b: 2 in its queue, 8.0 GB free; c: off)"
    )


@pytest.mark.parametrize(
    ("refused", "need", "reason"),
    [
        (peer("a", enabled=False), can_run("a"), "it is switched off in the Fleet tab"),
        (peer("a", draining=True), can_run("a"), "it is draining and takes no new jobs"),
        (peer("a", health=Health.UNKNOWN), can_run("a"), "it has not answered yet"),
        (peer("a", health=Health.DOWN, reason="refused"), can_run("a"), "refused"),
        (peer("a", health=Health.NEEDS_KEY, reason="wants a key"), can_run("a"), "wants a key"),
        (peer("a"), Need(), "its list of nodes is still being read"),
        (peer("a"), Need(unmet={"a": ("it lacks the node X", "and Y")}), "it lacks the node X; and Y"),
        (peer("a"), Need(unmet={"a": ()}, tried={"a": "it failed"}), "it failed"),
        (peer("a"), Need(peer="z", unmet={"a": ()}), "the job is pinned to z"),
        (peer("a"), Need(peer="z", peer_name="gpu-1", unmet={"a": ()}), "the job is pinned to gpu-1"),
        (peer("a"), Need(tags=("t",), unmet={"a": ()}), "it has no tag t"),
    ],
)
def test_a_refusal_names_the_peers_reason(refused: PeerSnapshot, need: Need, reason: str) -> None:
    with pytest.raises(NoEligiblePeerError, match="No peer can run this") as caught:
        Scheduler().select_backend(need, [refused])
    assert caught.value.reasons == {"a": reason}


def test_a_refusal_lists_every_peer_and_is_permanent_only_when_waiting_cannot_help() -> None:
    lacking = Need(unmet={"a": ("it lacks the node X",), "b": ("it lacks the node X",)})
    with pytest.raises(NoEligiblePeerError) as caught:
        Scheduler().select_backend(lacking, [peer("a"), peer("b")])
    assert caught.value.permanent
    assert set(caught.value.reasons) == {"a", "b"}
    assert str(caught.value) == "No peer can run this. a, b: it lacks the node X."
    many = [peer(f"p{n}") for n in range(12)]
    lacks = Need(unmet={each.config.id: ("it lacks the node X",) for each in many})
    with pytest.raises(NoEligiblePeerError, match=r"p0, p1, .*p7 and 4 more: it lacks the node X\."):
        Scheduler().select_backend(lacks, many)
    with pytest.raises(NoEligiblePeerError) as caught:
        Scheduler().select_backend(lacking, [peer("a"), peer("b", health=Health.DOWN, reason="off")])
    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("others", "begins"),
    [
        ((peer("b", health=Health.DOWN, reason="refused"),), "waiting for b, which is down. b: refused. "),
        ((peer("b", enabled=False),), "waiting for b, which is switched off. "),
        (
            (peer("b", draining=True), peer("c", enabled=False)),
            "waiting for b, which is draining, or 1 other peer. ",
        ),
        ((replace(peer("b"), is_open=False),), "waiting for b, which is outside its hours. "),
    ],
)
def test_a_job_waits_for_the_peer_that_has_all_it_wants(
    others: tuple[PeerSnapshot, ...], begins: str
) -> None:
    need = Need(unmet={"a": ("it lacks the node X",), "b": (), "c": ()})
    said = waiting_for([check_eligibility(need, one) for one in (peer("a"), *others)])
    assert said.startswith(begins)
    assert said.endswith(" No other peer can run it. a: it lacks the node X.")


def test_no_reason_tells_the_name_of_its_peer_twice() -> None:
    tried = Need(unmet={"a": (), "b": ()}, tried={"b": "b went away with the job."})
    placement = Scheduler().select_backend(tried, [peer("a"), peer("b")])
    assert placement is not None and placement.explanation.endswith("(b went away with the job.)")
    with pytest.raises(NoEligiblePeerError, match=r"^No peer can run this\. b went away with the job\.$"):
        Scheduler().select_backend(tried, [peer("b")])


@pytest.mark.parametrize(
    "away",
    [
        Need(unmet={"a": ("it lacks the node X",)}),
        Need(),
        Need(unmet={"a": ()}, tried={"a": "it failed"}),
    ],
    ids=["lacks", "untold", "tried"],
)
def test_no_job_waits_for_a_peer_that_would_not_do(away: Need) -> None:
    verdict = check_eligibility(away, peer("a", health=Health.DOWN, reason="Is it on?"))
    assert waiting_for([verdict]).startswith("No peer can run this. a: ")


def test_a_missed_poll_is_waited_for_unless_nothing_listens_there_any_more() -> None:
    need, silent = Need(unmet={"a": ()}), peer("a", health=Health.SUSPECT, reason="It does not answer.")
    closed = replace(silent, status=replace(silent.status, is_closed=True))
    assert check_eligibility(need, silent).settling
    assert not check_eligibility(need, closed).settling


# A plan over the whole line

SHORT, LONG = Kind("short"), Kind("long")
RED, BLUE = Kind("red", files=("red.safetensors",)), Kind("blue", files=("blue.safetensors",))


def test_with_no_history_jobs_spread_as_by_the_shortest_queue() -> None:
    fleet = Fleet(peer("a"), peer("b"), peer("c", foreign=2))
    for n in range(4):
        fleet.wait(f"j{n}", since_s=float(n))
    found = fleet.plan()
    assert found[:2] == [("j0", "a"), ("j1", "b")]
    assert sorted(where for _, where in found[2:]) == ["a", "b"]


def test_a_slow_peer_does_not_take_a_last_job_that_a_busy_fast_one_ends_sooner() -> None:
    fleet = Fleet(peer("fast"), peer("slow"))
    fleet.learn("fast", SHORT, 2.0)
    fleet.learn("slow", SHORT, 20.0)
    fleet.run_on("fast", "first", SHORT)
    fleet.wait("last", SHORT)
    assert fleet.plan() == [("last", "fast")]


def test_but_it_takes_its_share_when_there_is_enough_for_all() -> None:
    fleet = Fleet(peer("fast"), peer("slow"))
    fleet.learn("fast", SHORT, 2.0)
    fleet.learn("slow", SHORT, 20.0)
    for n in range(40):
        fleet.wait(f"j{n}", SHORT, since_s=float(n))
    assert {where for _, where in fleet.plan()} == {"fast", "slow"}


def test_a_job_goes_where_its_model_is_warm() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    fleet.learn("a", BLUE, 5.0, 30.0)
    fleet.learn("b", RED, 5.0, 30.0)
    fleet.wait("red", RED)
    fleet.wait("blue", BLUE)
    assert sorted(fleet.plan()) == [("blue", "a"), ("red", "b")]


def test_a_machine_is_not_idle_for_a_warm_one_when_it_ends_no_later() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    for name in ("a", "b"):
        fleet.learn(name, RED, 20.0, 5.0)
    fleet.scheduler.knowledge.note_restart("b")
    fleet.run_on("a", "first", RED)
    fleet.wait("second", RED)
    assert fleet.plan() == [("second", "b")]


def test_the_only_peer_of_one_job_is_kept_from_another_that_may_run_anywhere() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    fleet.wait("any", SHORT, since_s=0.0)
    fleet.wait("only a", LONG, "a", since_s=1.0)
    assert sorted(fleet.plan()) == [("any", "b"), ("only a", "a")]


def test_a_higher_priority_goes_first() -> None:
    fleet = Fleet(peer("a"))
    fleet.wait("early", SHORT, since_s=0.0)
    fleet.wait("urgent", SHORT, since_s=5.0, priority=1.0)
    assert fleet.plan(6.0)[0] == ("urgent", "a")


@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_a_low_priority_does_not_starve_behind_the_same_graph_or_another(kind: Kind) -> None:
    fleet = Fleet(peer("a"), policy=Policy(starving_s=100.0, starving_turn=4))
    fleet.learn("a", SHORT, 5.0)
    fleet.learn("a", kind, 5.0)
    fleet.wait("humble", kind, priority=-1.0)
    for n in range(5):
        fleet.wait(f"ahead {n}", SHORT)
    started: list[str] = []
    for n in range(60):
        fleet.wait(f"urgent {n}", SHORT, since_s=5.0 * n)
        started += [job for job, _ in fleet.plan(5.0 * n)]
        fleet.end("a", 5.0 * (n + 1))
    assert "humble" in started[20:]


@pytest.mark.parametrize("count", [2, 4, 8])
def test_a_low_priority_starves_on_no_peer_of_equals_that_take_turns(count: int) -> None:
    policy = Policy(starving_s=100.0, starving_turn=4)
    names = "abcdefgh"[:count]
    for only in names:
        fleet = Fleet(*map(peer, names), policy=policy)
        for name in names:
            fleet.learn(name, SHORT, 10.0)
        fleet.wait("humble", SHORT, only, priority=-1.0)
        numbers = itertools.count()
        for _ in range(3 * count):
            fleet.wait(f"urgent {next(numbers)}", SHORT)
        there: list[str] = []  #: what that peer started once the job was starving
        for n in range(20):
            for job, where in fleet.plan(10.0 * n):
                fleet.wait(f"urgent {next(numbers)}", SHORT, since_s=10.0 * n)
                there += [job] if where == only and 10.0 * n >= policy.starving_s else []
            for name in names:
                fleet.end(name, 10.0 * (n + 1))
        assert "humble" in there[: policy.starving_turn]


def test_a_cold_model_does_not_starve_behind_a_warm_one() -> None:
    fleet = Fleet(peer("a", free_bytes=GIB))
    for file in (*RED.files, *BLUE.files):
        fleet.scheduler.knowledge.note_size(file, 20.0)
    fleet.learn("a", BLUE, 5.0, 10.0)
    fleet.learn("a", RED, 5.0, 10.0)
    fleet.wait("blue", BLUE)
    started: list[str] = []
    for n in range(3):
        fleet.wait(f"red {n}", RED)
    for n in range(300):
        fleet.wait(f"red {n + 3}", RED, since_s=5.0 * n)
        started += [job for job, _ in fleet.plan(5.0 * n)]
        fleet.end("a", 5.0 * (n + 1))
        if "blue" in started:
            break
    assert "blue" in started
    assert started.index("blue") > 3


def test_a_small_request_beside_anothers_flood_is_served_soon() -> None:
    fleet = Fleet(peer("a"))
    fleet.learn("a", SHORT, 5.0)
    for n in range(100):
        fleet.wait(f"flood {n}", SHORT, client="ann")
    started = [job for job, _ in fleet.plan()]
    fleet.wait("small", SHORT, client="bob", since_s=1.0)
    for n in range(4):
        fleet.end("a", 5.0 * (n + 1))
        started += [job for job, _ in fleet.plan(5.0 * (n + 1))]
    assert "small" in started


def test_an_equal_request_is_not_kept_waiting_for_all_of_anothers_flood() -> None:
    fleet = Fleet(peer("a"))
    fleet.learn("a", SHORT, 5.0)
    for n in range(400):
        fleet.wait(f"ann {n}", SHORT, client="ann")
    started: list[str] = []
    for n in range(200):
        if n == 20:
            for m in range(100):
                fleet.wait(f"bob {m}", SHORT, client="bob", since_s=100.0)
        started += [job for job, _ in fleet.plan(5.0 * n)]
        fleet.end("a", 5.0 * (n + 1))
    late = [job.split()[0] for job in started[100:]]
    assert late.count("bob") > 20


def test_a_busy_peer_gets_its_next_job_when_it_soon_needs_it_and_the_plan_says_when() -> None:
    fleet = Fleet(peer("a"), policy=Policy(prefetch_lead_s=15.0))
    fleet.learn("a", LONG, 100.0)
    fleet.run_on("a", "first", LONG)
    fleet.wait("next", LONG)
    assert fleet.plan(10.0) == []
    assert fleet.last.look_again_s == pytest.approx(75.0)
    assert fleet.plan(86.0) == [("next", "a")]


def test_an_unstarted_job_is_taken_back_by_a_peer_that_is_through_with_it_sooner() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    fleet.learn("a", SHORT, 30.0)
    fleet.learn("b", SHORT, 30.0)
    fleet.run_on("a", "first", SHORT)
    fleet.run_on("a", "second", SHORT, None)
    fleet.plan(1.0)
    assert [(back.job_id, back.backend_id, back.to) for back in fleet.last.take_backs] == [
        ("second", "a", "b")
    ]
    assert "could finish it in 30 s" in fleet.last.take_backs[0].reason


def test_but_not_by_one_that_would_need_longer() -> None:
    fleet = Fleet(peer("fast"), peer("slow"))
    fleet.learn("fast", SHORT, 3.0)
    fleet.learn("slow", SHORT, 30.0)
    fleet.run_on("fast", "first", SHORT)
    fleet.run_on("fast", "second", SHORT, None)
    fleet.plan(1.0)
    assert fleet.last.take_backs == ()


@pytest.mark.parametrize(("kind", "goes_to"), [(SHORT, ["slow"]), (LONG, [])])
def test_where_a_job_is_late_others_of_its_kind_are_taken_to_need_as_long_while_it_runs(
    kind: Kind, goes_to: list[str]
) -> None:
    fleet = Fleet(peer("quick"), peer("slow"))
    for one in (SHORT, LONG):
        fleet.learn("quick", one, 10.0)
        fleet.learn("slow", one, 60.0)
    fleet.run_on("quick", "late", SHORT)
    late = fleet.peers["quick"]
    fleet.run_on("quick", "second", kind, None)
    fleet.plan(15.0)
    assert fleet.last.take_backs == ()
    fleet.scheduler.set_peer(fleet.peers["quick"], 60.0)
    fleet.plan(60.0)
    assert [back.to for back in fleet.last.take_backs] == goes_to

    fleet.scheduler.set_peer(late, 60.0)
    fleet.wait("second", kind)  # taken back, it is not sent there again
    starts = fleet.scheduler.plan(60.0).starts
    assert [start.backend_id for start in starts] == goes_to
    assert all("on slow: about 60 s" in start.explain() for start in starts)
    assert all("(quick: 85 s)" in start.explain() for start in starts)

    fleet.scheduler.set_peer(replace(late, jobs=()), 61.0)
    fleet.wait("third", kind)
    start = fleet.scheduler.plan(61.0).starts[0]
    assert (start.backend_id, start.finish_s) == ("quick", pytest.approx(10.0))


def test_a_second_copy_runs_on_a_much_faster_idle_peer_when_that_is_wished() -> None:
    for wished in (False, True):
        fleet = Fleet(peer("fast"), peer("slow"), policy=Policy(second_copies=wished))
        fleet.learn("fast", SHORT, 3.0)
        fleet.learn("slow", SHORT, 60.0)
        fleet.run_on("slow", "last", SHORT)
        fleet.plan(5.0)
        assert [(copy.job_id, copy.backend_id) for copy in fleet.last.copies] == [("last", "fast")] * wished


def test_no_idle_peer_is_kept_for_a_job_that_has_its_second_copy() -> None:
    fleet = Fleet(peer("fast"), peer("slow"), peer("slower"), policy=Policy(second_copies=True))
    fleet.learn("fast", SHORT, 3.0)
    for name, run_s in (("slow", 60.0), ("slower", 90.0)):
        fleet.learn(name, SHORT, run_s)
        fleet.run_on(name, f"on {name}", SHORT)
    (job,) = fleet.peers["slower"].jobs
    fleet.peers["slower"] = replace(fleet.peers["slower"], jobs=(replace(job, is_copied=True),))
    fleet.scheduler.set_peer(fleet.peers["slower"], 0.0)
    fleet.plan(5.0)
    assert [(copy.job_id, copy.backend_id) for copy in fleet.last.copies] == [("on slow", "fast")]


def test_a_machine_without_second_copies_is_no_place_for_one_and_its_jobs_get_none() -> None:
    here = replace(peer("here"), has_copies=False)
    fleet = Fleet(here, peer("fast"), peer("slow"), policy=Policy(second_copies=True))
    for name, run_s in (("here", 3.0), ("fast", 6.0), ("slow", 60.0)):
        fleet.learn(name, SHORT, run_s)
    fleet.run_on("slow", "last", SHORT)
    fleet.plan(5.0)
    assert [(copy.job_id, copy.backend_id) for copy in fleet.last.copies] == [("last", "fast")]

    fleet = Fleet(here, peer("fast"), policy=Policy(second_copies=True))
    for name, run_s in (("here", 60.0), ("fast", 6.0)):
        fleet.learn(name, SHORT, run_s)
    fleet.run_on("here", "last", SHORT)
    fleet.plan(5.0)
    assert fleet.last.copies == ()


@pytest.mark.parametrize("run_s", [3.0, 4.0])
def test_of_the_last_jobs_one_that_has_a_single_peer_gets_it(run_s: float) -> None:
    fleet = Fleet(peer("p1"), peer("p2"))
    fleet.learn("p1", SHORT, 3.0)
    fleet.learn("p2", SHORT, run_s)
    fleet.wait("d", SHORT, since_s=0.0)
    fleet.wait("b", SHORT, since_s=0.1)
    fleet.wait("a", SHORT, "p2", since_s=0.2)
    assert fleet.plan(1.0)[:2] == [("d", "p1"), ("a", "p2")]


def test_of_the_last_jobs_none_is_overtaken_by_a_longer_one_that_came_later() -> None:
    fleet = Fleet(peer("p1"), peer("p2"))
    for name in ("p1", "p2"):
        fleet.learn(name, SHORT, 3.0)
        fleet.learn(name, LONG, 20.0)
    fleet.run_on("p2", "before", LONG, 95.0)
    fleet.wait("short", SHORT, since_s=99.0)
    fleet.wait("long", LONG, since_s=100.0)
    assert fleet.plan(101.0)[0] == ("short", "p1")


def test_an_urgent_job_that_no_peer_would_do_sooner_is_not_passed_by_others() -> None:
    fleet = Fleet(peer("p1"), peer("p2"))
    for name in ("p1", "p2"):
        fleet.learn(name, LONG, 20.0)
        fleet.learn(name, SHORT, 3.0)
    fleet.wait("urgent", LONG, priority=1.0, since_s=5.0)
    for n in range(40):
        fleet.wait(f"j{n}", SHORT)
    assert fleet.plan(6.0)[0][0] == "urgent"


def test_an_idle_peer_gets_work_again_long_after_it_was_seen_to_be_slow() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    fleet.learn("a", RED, 5.0)
    fleet.learn("b", RED, 60.0)
    on_b, now_s = 0, 0.0
    for n in range(0, 1200, 4):
        for job in range(4):
            fleet.wait(f"j{n + job}", RED)
        while len(fleet.scheduler.line) or any(one.jobs for one in fleet.peers.values()):
            on_b += sum(where == "b" for _, where in fleet.plan(now_s))
            now_s += 5.0
            for name, one in fleet.peers.items():
                if one.jobs:
                    fleet.end(name, now_s)  # b has become as quick as a
    assert on_b > 100


def test_the_plan_says_why_in_seconds_and_what_the_others_would_need() -> None:
    fleet = Fleet(peer("a"), peer("b"), peer("c"))
    fleet.learn("a", RED, 14.0, 12.0)
    fleet.learn("b", RED, 19.0, 12.0)
    fleet.scheduler.knowledge.note_restart("b")
    fleet.scheduler.set_peer(fleet.peers["b"], 0.0)
    fleet.wait("j", RED, "a", "b")
    start = fleet.scheduler.plan(0.0).starts[0]
    assert start.explain() == (
        "on a: about 14 s, model loaded (b: 31 s, loads 12 s first; c: it lacks the file x)"
    )
    assert (start.finish_s, start.takes_s) == (pytest.approx(14.0), pytest.approx(14.0))


def test_a_start_says_how_long_the_peer_works_unless_it_is_guessed_from_other_graphs() -> None:
    fleet = Fleet(peer("a"))
    fleet.learn("a", SHORT, 3.0)
    for job_id, kind in (("known", SHORT), ("behind it", SHORT)):
        fleet.wait(job_id, kind)
    fleet.plan()
    assert [start.takes_s for start in fleet.last.starts] == [pytest.approx(3.0), pytest.approx(3.0)]
    assert fleet.last.starts[1].finish_s == pytest.approx(6.0)
    other = Fleet(peer("a"))
    other.learn("a", SHORT, 3.0)
    other.wait("unknown", LONG)
    other.plan()
    assert [start.takes_s for start in other.last.starts] == [None]


def test_the_end_of_the_queue_is_told_while_all_of_it_is_known() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    assert fleet.scheduler.rest_s(0.0) is None, "there is nothing to do"
    for name in ("a", "b"):
        fleet.learn(name, SHORT, 3.0)
    for number in range(10):
        fleet.wait(f"job {number}", SHORT)
    fleet.plan()
    assert fleet.scheduler.rest_s(0.0) == pytest.approx(15.0)
    for number in range(10):
        fleet.wait(f"for a {number}", SHORT, "a")
    fleet.plan()
    assert fleet.scheduler.rest_s(0.0) == pytest.approx(36.0), "a has two of the others"
    for number in range(10, 20):
        fleet.wait(f"for a {number}", SHORT, "a")
    fleet.plan()
    assert fleet.scheduler.rest_s(0.0) == pytest.approx(66.0), "b cannot help"
    fleet.wait("for nobody", SHORT, tags=("nobody",))
    fleet.plan()
    assert fleet.scheduler.rest_s(0.0) is None
    fleet.scheduler.leave("for nobody")
    fleet.wait("unknown", LONG)
    fleet.plan()
    assert fleet.scheduler.rest_s(0.0) is None


def test_a_time_that_is_taken_from_other_graphs_is_not_told() -> None:
    fleet = Fleet(peer("a"))
    fleet.learn("a", SHORT, 20.0)
    (known,) = fleet.scheduler.forecasts(SHORT, can_run("a"), 0.0)
    (other,) = fleet.scheduler.forecasts(LONG, can_run("a"), 0.0)
    assert in_full(known) == "about 20 s"
    assert in_full(other) == "idle, 8.0 GB free"


def test_of_two_jobs_for_one_peer_in_a_plan_the_second_is_said_to_have_the_first_ahead() -> None:
    for is_learned, said in (
        (True, [": about 5 s", ": about 10 s, 1 job ahead, starts in about 5 s"]),
        (False, [" because it is idle, 8.0 GB free", " because it has 1 in its queue, 8.0 GB free"]),
    ):
        fleet = Fleet(peer("a"))
        if is_learned:
            fleet.learn("a", SHORT, 5.0)
        for job_id in ("1", "2"):
            fleet.wait(job_id, SHORT)
        starts = fleet.scheduler.plan(0.0).starts
        assert [start.explain() for start in starts] == [f"on a{words}" for words in said]


def test_before_sending_each_peer_tells_what_it_would_need_the_soonest_first() -> None:
    fleet = Fleet(peer("a"), peer("b"), peer("c", health=Health.DOWN, reason="off"))
    fleet.learn("a", SHORT, 20.0)
    fleet.learn("b", SHORT, 14.0)
    found = fleet.scheduler.forecasts(SHORT, can_run("a", "b", "c"), 0.0)
    assert [one.eligibility.name for one in found] == ["b", "a", "c"]
    assert [in_full(one) for one in found] == [
        "about 14 s",
        "about 20 s",
        "off",
    ]


def test_before_sending_what_waits_goes_first_if_it_is_as_urgent_and_may_take_a_peer_away() -> None:
    fleet = Fleet(peer("a"), peer("b"), peer("c"))
    for name in "abc":
        fleet.learn(name, SHORT, 10.0)
    for n in range(12):
        fleet.wait(f"j{n}", SHORT, "a", "b")
    fleet.wait("elsewhere", SHORT, "c")

    def told(*names: str, priority: float = 0.0) -> list[str]:
        found = fleet.scheduler.forecasts(SHORT, can_run(*names), 0.0, priority)
        return [in_full(one) for one in found if one.eligibility.eligible]

    behind = "about 70 s, 12 jobs ahead, starts in about 60 s"
    assert told("a", "b") == [behind, behind]
    assert told("c") == ["about 20 s, 1 job ahead, starts in about 10 s"]
    assert told("a", priority=1.0) == ["about 10 s"]
    assert sorted(told("b", "c")) == [told("c")[0], behind]  # each peer has the line of its own


@pytest.mark.parametrize(
    ("d_runs_s", "b", "d"),
    [
        (30.0, "about 40 s, 1 job ahead, starts in about 20 s",
         "about 60 s, 1 job ahead, starts in about 30 s"),
        (5.0, "about 20 s",
         "about 15 s, 1 job ahead, starts in about 10 s"),
    ],
)  # fmt: skip
def test_before_sending_peers_that_fewer_waiting_jobs_leave_over_are_free_at_once(
    d_runs_s: float, b: str, d: str
) -> None:
    fleet = Fleet(peer("a"), peer("b"), peer("c"), peer("d"))
    for name, run_s in (("a", 60.0), ("b", 20.0), ("c", 30.0), ("d", d_runs_s)):
        fleet.learn(name, SHORT, run_s)
    fleet.run_on("d", "running", SHORT)
    fleet.wait("waiting", SHORT)
    found = fleet.scheduler.forecasts(SHORT, can_run("a", "b", "c", "d"), 0.0)
    assert {one.eligibility.name: in_full(one) for one in found} == {
        "a": "about 60 s",
        "b": b,
        "c": "about 30 s",
        "d": d,
    }


@pytest.mark.parametrize(
    ("snapshot", "need", "reason"),
    [
        (peer("a"), Need(unmet={"a": ()}, avoid=("a",)), "the job avoids it"),
        (
            replace(peer("a"), rules=PeerRules(exclusive=True)),
            can_run("a"),
            "it takes only jobs that name it or one of its tags",
        ),
        (
            replace(peer("a", foreign=1), rules=PeerRules(only_idle=True)),
            can_run("a"),
            "somebody else uses it, and it is for idle times only",
        ),
        (replace(peer("a"), is_open=False), can_run("a"), "it is outside its hours"),
    ],
)
def test_an_owners_rules_are_kept(snapshot: PeerSnapshot, need: Need, reason: str) -> None:
    with pytest.raises(NoEligiblePeerError) as caught:
        Scheduler().select_backend(need, [snapshot])
    assert caught.value.reasons == {"a": reason}


def test_an_exclusive_peer_takes_a_job_that_names_it() -> None:
    assert chosen(Need(peer="a", unmet={"a": ()}), replace(peer("a"), rules=PeerRules(exclusive=True))) == "a"


def test_hours_may_go_over_midnight() -> None:
    rules = PeerRules(hours=parse_hours("22:00-07:00, 12:30-13:30"))
    assert [rules.is_open_at(minute) for minute in (0, 419, 420, 750, 810, 1319, 1320)] == [
        True, True, False, True, False, False, True,
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no span of hours"):
        parse_hours("at night")


def test_a_peer_that_comes_up_gets_jobs_and_one_that_is_removed_does_not() -> None:
    fleet = Fleet(peer("a", health=Health.DOWN))
    fleet.wait("j")
    assert fleet.plan() == []
    fleet.peers["a"] = peer("a")
    fleet.scheduler.set_peer(fleet.peers["a"], 1.0)
    assert fleet.plan(1.0) == [("j", "a")]
    fleet.scheduler.remove_peer("a")
    fleet.wait("k")
    assert fleet.plan(2.0) == []


def test_an_idle_peer_that_never_loaded_a_model_gets_a_job_beside_one_where_it_is_warm() -> None:
    scheduler, kind = Scheduler(), Kind("k", "s", 1.0, ("m.safetensors",))
    for name in ("a", "b"):
        scheduler.set_peer(peer(name), 0.0)
    for seconds in (2.4, 2.3):
        cold = scheduler.knowledge.note_begun("a", kind)
        scheduler.knowledge.note_run("a", kind, seconds, 0.1, cold)
    for number in range(2):
        scheduler.enter(WaitingJob(f"j{number}", "g", can_run("a", "b"), kind, since_s=1.0 + number))
    for name in ("a", "b"):
        scheduler.set_peer(peer(name), 10.0)
    assert {start.backend_id for start in scheduler.plan(10.0).starts} == {"a", "b"}


class File(str):
    """A name of which one can tell whether anybody still has it."""


def test_of_files_that_no_waiting_job_needs_nothing_is_kept() -> None:
    scheduler = Scheduler()
    scheduler.set_peer(peer("a"), 0.0)
    kept: weakref.WeakSet[File] = weakref.WeakSet()
    for number in range(1_000):
        file = File(f"model {number}")
        kept.add(file)
        need, kind = Need(unmet={"a": ("it lacks a node",)}), Kind(f"kind {number}", files=(file,))
        scheduler.enter(WaitingJob("job", f"group {number}", need, kind))
        assert scheduler.plan(float(number)).starts == ()
        scheduler.leave("job")
    gc.collect()
    assert len(kept) < 200


# A plan that would take long comes in parts


def test_a_plan_is_broken_off_after_some_starts_and_goes_on_when_it_is_asked_again() -> None:
    count = STARTS_AT_ONCE * 2
    fleet = Fleet(*(peer(f"p{n}") for n in range(count)))
    fleet.run_on("p0", "taken back otherwise", SHORT, None)
    for n in range(3 * count):
        fleet.wait(f"j{n}", SHORT, since_s=float(n))
    found, parts = fleet.plan(), 1
    while fleet.last.look_again_s == 0.0:
        assert len(fleet.last.starts) == STARTS_AT_ONCE
        assert fleet.last.take_backs == ()
        found, parts = found + fleet.plan(), parts + 1
    assert len({job for job, _ in found}) == len(found) == 2 * count - 1
    assert parts > len(found) // STARTS_AT_ONCE


def test_nothing_is_started_before_the_whole_line_was_looked_at() -> None:
    fleet = Fleet(*(peer(f"p{n}") for n in range(50)))
    for n in range(300):
        fleet.wait(f"j{n}", Kind(f"kind {n}"), client=str(n), priority=float(n > 250))
    assert fleet.plan() == []
    assert fleet.last.look_again_s == 0.0
    starts = fleet.plan()
    assert len(starts) == STARTS_AT_ONCE
    assert {f"j{n}" for n in range(251, 300)} <= {job for job, _ in starts}


def test_of_more_kinds_than_a_look_takes_in_the_first_of_the_line_go_first() -> None:
    fleet = Fleet(peer("a"))
    for n in range(GROUPS_MAX + 50):
        fleet.wait(f"j{n}", Kind(f"kind {n}"), priority=float(n == GROUPS_MAX + 40))
    while not (starts := fleet.plan()):
        assert fleet.last.look_again_s == 0.0
    assert starts[0] == (f"j{GROUPS_MAX + 40}", "a")


def test_jobs_that_no_peer_may_take_now_do_not_hide_one_behind_them() -> None:
    fleet = Fleet(peer("off", enabled=False), peer("b"))
    for n in range(GROUPS_MAX + 1):
        fleet.wait(f"x{n}", Kind(f"kind {n}"), "off")
    fleet.wait("y", SHORT, "b", since_s=5.0)
    for n in range(4):  # so many rows are not made in one look
        fleet.plan(5.0 + n)
    assert [job.job_id for job in fleet.peers["b"].jobs] == ["y"]


def test_a_job_waits_for_a_quicker_peer_no_longer_than_the_slower_one_would_take() -> None:
    fleet = Fleet(peer("quick"), peer("slow"))
    fleet.learn("quick", SHORT, 10.0)
    fleet.learn("slow", SHORT, 100.0)
    for _ in range(3):
        fleet.scheduler.knowledge.note_foreign("quick", 30.0)
    fleet.wait("x", SHORT)
    started_s = None
    for now_s in range(0, 400, 2):  # other people always have two prompts there
        since_s = float(now_s - now_s % 30)
        busy = replace(fleet.peers["quick"], foreign=2, foreign_since_s=since_s)
        fleet.scheduler.set_peer(busy, float(now_s))
        if fleet.plan(float(now_s)):
            started_s = now_s
            break
    assert started_s is not None and 60 <= started_s <= 110
    assert fleet.peers["slow"].jobs


def test_a_row_that_turns_out_to_be_a_machine_that_is_used_gets_no_more_jobs() -> None:
    fleet = Fleet(peer("a"), peer("b"))
    for n in range(2):
        fleet.wait(f"j{n}")
    assert {where for _, where in fleet.plan()} == {"a", "b"}
    for n in range(2, 6):
        fleet.wait(f"j{n}")
    fleet.scheduler.set_peer(replace(fleet.peers["b"], same_as="a"), 0.0)
    assert {where for _, where in fleet.plan()} == {"a"}


class Counting(Knowledge):
    """How often it was asked what a kind weighs."""

    asked = 0

    def weight_s(self, kind: Kind) -> float:
        self.asked += 1
        return super().weight_s(kind)


def test_what_many_kinds_weigh_is_looked_up_now_and_then_and_not_for_each_decision() -> None:
    knowledge = Counting()
    fleet = Fleet(peer("a"), knowledge=knowledge)
    for n, kind in enumerate(Kind(f"kind {n}") for n in range(50)):
        for _ in range(3):
            fleet.learn("a", kind, 5.0)
        for m in range(10):
            fleet.wait(f"j{n} {m}", kind, since_s=float(m))
    fleet.plan()
    before = knowledge.asked
    for n in range(1, 41):
        fleet.end("a", 5.0 * n)
        assert len(fleet.plan(5.0 * n)) == 1
    assert knowledge.asked - before < 4 * 40
