"""The steps that set up what the tests need: each is done once, or again when its needs change."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.rig.demo import watch_over
from tests.rig.environment import RigError
from tests.rig.steps import Step, alone, do_missing


class Workshop:
    """Steps that note that they were done, and may be told to break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.said: list[str] = []
        self.broken = ""

    def step(self, title: str, needs: str = "1") -> Step:
        def work() -> None:
            if title == self.broken:
                raise RuntimeError(title)
            self.done.append(title)

        return Step(title, self.folder / f"{title}.json", (needs,), work)

    def do(self, *steps: Step) -> None:
        do_missing(steps, self.folder / "lock", self.said.append)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_step_is_done_once(workshop: Workshop) -> None:
    workshop.do(workshop.step("a"), workshop.step("b"))
    workshop.do(workshop.step("a"), workshop.step("b"))
    assert workshop.done == ["a", "b"]


def test_a_step_with_other_needs_is_done_again_and_only_that(workshop: Workshop) -> None:
    workshop.do(workshop.step("a"), workshop.step("b"))
    workshop.do(workshop.step("a"), workshop.step("b", needs="2"))
    assert workshop.done == ["a", "b", "b"]


def test_a_step_that_broke_is_done_again_even_with_its_old_needs(workshop: Workshop) -> None:
    workshop.do(workshop.step("a"))
    workshop.broken = "a"
    with pytest.raises(RuntimeError):
        workshop.do(workshop.step("a", needs="2"))
    workshop.broken = ""
    workshop.do(workshop.step("a"))
    assert workshop.done == ["a", "a"]


def test_a_damaged_stamp_counts_as_none(workshop: Workshop) -> None:
    workshop.do(workshop.step("a"))
    workshop.step("a").stamp.write_text('{"python": ')
    workshop.do(workshop.step("a"))
    assert workshop.done == ["a", "a"]


def test_a_step_that_takes_another_ones_stamp_away_has_that_done_too(workshop: Workshop) -> None:
    tools = workshop.step("tools")

    def make_environment() -> None:
        workshop.done.append("environment")
        tools.stamp.unlink(missing_ok=True)

    def environment(needs: str) -> Step:
        return Step("environment", workshop.folder / "environment.json", (needs,), make_environment)

    workshop.do(environment("1"), tools)
    workshop.do(environment("2"), tools)
    assert workshop.done == ["environment", "tools", "environment", "tools"]


def test_the_display_counts_the_steps_that_are_left(workshop: Workshop) -> None:
    workshop.do(workshop.step("a"))
    workshop.do(workshop.step("a"), workshop.step("b"), workshop.step("c"))
    assert [line.split(" …")[0].strip() for line in workshop.said if line.endswith("…")] == [
        *("[1 of 1] a", "[1 of 2] b", "[2 of 2] c")
    ]


def test_only_one_sets_up_and_the_other_finds_it_done(workshop: Workshop, tmp_path: Path) -> None:
    waiting = threading.Event()

    def say(line: str) -> None:
        if "Waiting" in line:
            waiting.set()

    step = workshop.step("a")
    other = threading.Thread(target=do_missing, args=([step], tmp_path / "lock", say))
    with alone(tmp_path / "lock", say):
        other.start()
        assert waiting.wait(10)
        step.do()
    other.join(10)
    assert not other.is_alive()
    assert workshop.done == ["a"]


def test_the_demo_goes_on_when_a_peer_ends_and_ends_with_its_master() -> None:
    peers: list[Any] = [
        SimpleNamespace(name=f"peer-{n}", log=f"peer-{n}.log", is_running=True) for n in (1, 2)
    ]
    ends = iter((peers[0], None, peers[1], None))
    said: list[str] = []
    left = 5

    def check_alive() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise RigError("The master ended.")

    def pause(seconds: float) -> None:
        ending = next(ends)
        if ending is not None:
            ending.is_running = False

    master: Any = SimpleNamespace(check_alive=check_alive)
    with pytest.raises(RigError, match="The master ended"):
        watch_over(master, peers, said.append, pause)
    assert [line.partition(".")[0] for line in said] == ["peer-1 ended", "peer-2 ended"]
    assert len(peers) == 2
