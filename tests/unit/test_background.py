"""Tasks that nobody awaits, and signals that many hear."""

from __future__ import annotations

import asyncio
import gc
import threading
from itertools import chain, repeat

import pytest

from orchestrator.background import BackgroundTasks, done_for_each
from orchestrator.signals import Signal


async def test_a_task_that_nobody_holds_runs_to_its_end() -> None:
    tasks, ran, go_on = BackgroundTasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        ran.set()

    name = tasks.start(work(), "an errand").get_name()
    await asyncio.sleep(0)
    gc.collect()
    go_on.set()
    await tasks.settled()
    assert ran.is_set() and name == "remote-dispatch an errand"


async def test_closing_ends_what_is_under_way_and_waits_for_its_tidying_up() -> None:
    tasks, told = BackgroundTasks(), list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append("tidy")

    tasks.start(work(), "an errand")
    await asyncio.sleep(0)
    await tasks.aclose()
    assert told == ["tidy"]


async def test_a_task_that_fails_does_not_keep_the_others_from_ending() -> None:
    tasks = BackgroundTasks()

    async def fail() -> None:
        raise ValueError("an errand")

    failed = tasks.start(fail(), "one that fails")
    other = tasks.start(asyncio.sleep(0), "another")
    await tasks.settled()
    assert other.done() and isinstance(failed.exception(), ValueError)


def test_a_listener_that_fails_is_logged_and_the_next_one_hears_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changed, heard = Signal[[str]]("the peers"), list[str]()

    def fail(peer: str) -> None:
        raise ValueError(peer)

    changed.subscribe(fail)
    changed.subscribe(heard.append)
    changed.tell("gpu-1")
    assert heard == ["gpu-1"]
    assert "A listener of the peers failed" in caplog.text


def test_who_stops_listening_twice_takes_nothing_from_another() -> None:
    changed, heard = Signal[[str]]("the peers"), list[str]()
    stop = changed.subscribe(heard.append)
    changed.subscribe(heard.append)
    stop()
    stop()
    changed.tell("gpu-1")
    assert heard == ["gpu-1"]


def test_who_stops_listening_while_it_is_told_does_not_disturb_the_telling() -> None:
    changed, heard = Signal[[]]("the peers"), list[str]()

    def once() -> None:
        heard.append("once")
        stop()

    stop = changed.subscribe(once)
    changed.subscribe(lambda: heard.append("always"))
    changed.tell()
    changed.tell()
    assert heard == ["once", "always", "always"]


def loop_and_other_threads(ran: list[int]) -> list[str]:
    return ["loop" if ident == threading.get_ident() else "aside" for ident in ran]


async def test_quick_work_is_done_in_place_and_what_takes_long_is_finished_aside() -> None:
    threads: list[int] = []

    def work(item: int) -> int:
        threads.append(threading.get_ident())
        return item * item

    clock = chain([0.0, 0.0, 0.002], repeat(1.0))
    made = await done_for_each(work, range(5), in_place=True, clock=lambda: next(clock))
    assert made == [0, 1, 4, 9, 16]
    assert loop_and_other_threads(threads) == ["loop", "loop", "aside", "aside", "aside"]


async def test_slow_work_is_never_done_in_place() -> None:
    ran = await done_for_each(lambda item: threading.get_ident(), [1, 2], in_place=False)
    assert loop_and_other_threads(ran) == ["aside", "aside"]
    assert await done_for_each(lambda item: item, [], in_place=False) == []
