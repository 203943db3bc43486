"""Tasks that nobody awaits, and signals that many hear."""

from __future__ import annotations

import asyncio
import gc

import pytest

from orchestrator.background import BackgroundTasks
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
