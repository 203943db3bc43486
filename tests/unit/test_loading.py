"""Which model a peer loads, and when: what the loading takes the place of decides."""

from __future__ import annotations

import pytest

from orchestrator.core.models.backend import Health
from orchestrator.core.prompts.kinds import Kind
from tests.fakes.fleet import Fleet, peer

SHORT, NARROW = Kind("short"), Kind("narrow")
RED, BLUE, GREEN = (Kind(name, files=(f"{name}.safetensors",)) for name in ("red", "blue", "green"))


def fleet_with(sizes_gb: dict[Kind, float], **warm: tuple[Kind, ...]) -> Fleet:
    """Peers of 24 GB that each ran these kinds, 5 s each and 10 s of loading, in this order."""
    fleet = Fleet(*(peer(name) for name in warm))
    for kind, gb in sizes_gb.items():
        fleet.scheduler.knowledge.note_size(kind.files[0], gb)
    for name, kinds in warm.items():
        for kind in kinds:
            fleet.learn(name, kind, 5.0, 10.0)
    return fleet


@pytest.mark.parametrize(("blues", "goes"), [(2, "red 0"), (80, "blue 2")])
def test_a_peer_changes_its_model_only_for_a_line_that_would_last_longer_than_its_own_without_it(
    blues: int, goes: str
) -> None:
    fleet = fleet_with({RED: 20.0, BLUE: 20.0}, a=(RED,), b=(RED,), c=(BLUE,))
    fleet.run_on("b", "red before", RED, 2_000.0)
    fleet.run_on("c", "blue before", BLUE, 2_000.0)
    for n in range(20):
        fleet.wait(f"red {n}", RED, since_s=1_900.0 + n)
    for n in range(2, 2 + blues):
        fleet.wait(f"blue {n}", BLUE, since_s=float(n))
    assert next(job for job, where in fleet.plan(2_000.0) if where == "a") == goes


def test_a_job_is_put_off_for_a_model_that_another_waits_for_and_not_for_one_that_nobody_does() -> None:
    for reds, first in ((2, "green 0"), (0, "blue 0")):
        fleet = fleet_with({RED: 14.0, GREEN: 6.0, BLUE: 14.0}, a=(RED, GREEN))
        for n in range(4):
            fleet.wait(f"blue {n}", BLUE, since_s=float(n))
        for n in range(40):
            fleet.wait(f"green {n}", GREEN, since_s=4.0 + n)
        for n in range(reds):
            fleet.wait(f"red {n}", RED, since_s=50.0 + n)
        assert fleet.plan(60.0)[0] == (first, "a")


@pytest.mark.parametrize(("later_s", "first"), [(0.5, "red"), (5.0, "blue")])
def test_of_two_that_came_together_the_one_whose_model_is_there_goes_first(
    later_s: float, first: str
) -> None:
    fleet = fleet_with({RED: 6.0, BLUE: 6.0}, a=(RED,))
    fleet.wait("blue", BLUE, since_s=0.0)
    fleet.wait("red", RED, since_s=later_s)
    for n in range(100):
        fleet.wait(f"red {n}", RED, since_s=10.0)
    assert fleet.plan(10.0)[0] == (first, "a")


def test_a_job_that_only_one_peer_can_run_waits_its_turn_while_that_peer_is_in_time_with_it() -> None:
    for others, first in ((40, "any 0"), (2, "narrow")):
        fleet = Fleet(peer("a"), peer("b"))
        for name in ("a", "b"):
            fleet.learn(name, SHORT, 5.0)
            fleet.learn(name, NARROW, 5.0)
        for n in range(others):
            fleet.wait(f"any {n}", SHORT, since_s=float(n))
        fleet.wait("narrow", NARROW, "a", since_s=3.0)
        assert next(job for job, where in fleet.plan(50.0) if where == "a") == first


@pytest.mark.parametrize(("narrow_since_s", "first"), [(20.0, "narrow 0"), (80.0, "any 0")])
def test_jobs_of_few_peers_overtake_only_what_came_not_long_before_them(
    narrow_since_s: float, first: str
) -> None:
    """Ten jobs of 5 s each for one of two peers, ten more for any: 50 s until all is done."""
    fleet = Fleet(peer("a"), peer("b"))
    for name in ("a", "b"):
        fleet.learn(name, SHORT, 5.0)
        fleet.learn(name, NARROW, 5.0)
    for n in range(10):
        fleet.wait(f"any {n}", SHORT, since_s=float(n))
        fleet.wait(f"narrow {n}", NARROW, "a", since_s=narrow_since_s)
    assert next(job for job, where in fleet.plan(100.0) if where == "a") == first


@pytest.mark.parametrize(("narrow_since_s", "others_start"), [(5.0, False), (1_000.0, True)])
def test_jobs_of_few_peers_give_a_turn_only_to_those_that_came_long_before_them(
    narrow_since_s: float, others_start: bool
) -> None:
    fleet = Fleet(peer("a"), peer("b"))
    for name in ("a", "b"):
        fleet.learn(name, SHORT, 5.0)
        fleet.learn(name, NARROW, 5.0)
    for n in range(40):
        fleet.wait(f"any {n}", SHORT)
        fleet.wait(f"narrow {n}", NARROW, "a", since_s=narrow_since_s)
    on_a: list[str] = []
    for n in range(16):
        at_s = 1_000.0 + 5.0 * n
        on_a += [job for job, where in fleet.plan(at_s) if where == "a"]
        for name in ("a", "b"):
            fleet.end(name, at_s + 5.0)
    assert any(job.startswith("any") for job in on_a) == others_start


def test_what_came_first_goes_first_again_once_a_kind_turns_out_to_be_quick() -> None:
    """Nothing is known of what only `a` can run, and it is taken for long; then it runs in a second."""
    fleet = Fleet(peer("a"), peer("b"))
    for name in ("a", "b"):
        fleet.learn(name, SHORT, 600.0)
    for n in range(60):
        fleet.wait(f"narrow {n}", NARROW, "a", since_s=500.0)
    for n in range(4):
        fleet.wait(f"any {n}", SHORT)
    on_a: list[str] = []
    for n in range(30):
        fleet.wait(f"one more {n}", NARROW, "a", since_s=500.0)
        on_a += [job for job, where in fleet.plan(500.0 + n) if where == "a"]
        fleet.end("a", 501.0 + n)
    assert on_a[0] == "narrow 0"
    assert "any" in " ".join(on_a[:8])


def test_a_model_that_only_a_long_busy_peer_has_is_loaded_by_another_one() -> None:
    fleet = fleet_with({RED: 20.0, BLUE: 20.0}, a=(RED,), b=(BLUE,))
    video = Kind("video", files=BLUE.files)
    fleet.learn("b", video, 36_000.0)
    fleet.run_on("b", "video", video, 100.0)
    for n in range(100):
        fleet.wait(f"early red {n}", RED, since_s=100.0)
    fleet.wait("blue", BLUE, since_s=100.0)
    started: dict[str, float] = {}
    for n in range(300):
        at_s = 100.0 + 5.0 * n
        fleet.wait(f"red {n}", RED, since_s=at_s)  # there is always another one
        started.update(dict.fromkeys((job for job, where in fleet.plan(at_s) if where == "a"), at_s))
        fleet.end("a", at_s + 5.0)
    assert "blue" in started
    assert started["blue"] < max(started.values())  # and not because all else was done


def test_jobs_for_a_peer_that_is_away_make_no_others_urgent() -> None:
    chosen = []
    for away in (0, 100):
        fleet = Fleet(peer("a"), peer("b"), peer("c", health=Health.DOWN))
        for kind in (SHORT, NARROW):
            fleet.learn("a", kind, 10.0)
            fleet.learn("b", kind, 10.0)
        for n in range(40):
            fleet.wait(f"any {n}", SHORT, since_s=float(n))
        for n in range(4):
            fleet.wait(f"narrow {n}", NARROW, "a", since_s=50.0 + n)
        for n in range(away):
            fleet.wait(f"away {n}", NARROW, "c", since_s=60.0)
        chosen.append([job for job, where in fleet.plan(100.0) if where == "a"])
    assert chosen[0] == chosen[1]


def test_a_size_that_is_told_late_counts_for_what_a_loading_displaces() -> None:
    chosen = []
    for is_late in (False, True):
        fleet = fleet_with({} if is_late else {RED: 20.0, BLUE: 12.0}, a=(RED,), b=(RED,), c=(BLUE,))
        if is_late:
            for name, kinds in (("a", RED), ("b", RED), ("c", BLUE)):
                fleet.learn(name, kinds, 5.0, 10.0)
            fleet.scheduler.knowledge.note_sizes({RED.files[0]: 20.0, BLUE.files[0]: 12.0})
            for snapshot in fleet.peers.values():
                fleet.scheduler.set_peer(snapshot, 0.0)
        fleet.run_on("b", "red before", RED, 2_000.0)
        fleet.run_on("c", "blue before", BLUE, 2_000.0)
        for n in range(20):
            fleet.wait(f"red {n}", RED, since_s=1_900.0 + n)
        for n in range(2):
            fleet.wait(f"blue {n}", BLUE, since_s=2.0 + n)
        chosen.append(next(job for job, where in fleet.plan(2_000.0) if where == "a"))
    assert chosen == ["red 0", "red 0"]
