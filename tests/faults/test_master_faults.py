"""F17 of the fault list, its quick part: an engine that is killed in the middle of its work."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import stock_classes
from tests.fakes.waiting import until
from tests.faults.engine import run
from tests.faults.kills import ENGINES, kill_and_count


async def test_f17_an_engine_that_is_killed_loses_no_job_and_delivers_none_twice(tmp_path: Path) -> None:
    toll = await kill_and_count(tmp_path / "home", kills=2, seed=7, jobs=12)
    assert (toll.lost, toll.delivered_twice) == (0, 0)
    assert toll.most_extra_of_one <= toll.kills


class Stage:
    """One job for one peer, and an engine that is to be killed at a moment of it."""

    def __init__(self, home: Path, peer: FakeComfyUI) -> None:
        self.home, self.peer = home, peer
        self.locked: sqlite3.Connection | None = None

    def answer_late(self, path: str, first: Callable[[], object] = lambda: None) -> None:
        """The peer takes the request, perhaps does what it asks, and says nothing."""

        async def hang(request: web.Request) -> web.StreamResponse:
            first()
            await asyncio.Event().wait()
            raise AssertionError("nobody sets that event")

        self.peer.answers[path] = hang

    def accept_and_say_nothing(self) -> None:
        async def accept(request: web.Request) -> web.StreamResponse:
            await self.peer._post_prompt(request)
            await asyncio.Event().wait()
            raise AssertionError("nobody sets that event")

        self.peer.answers["/prompt"] = accept

    def send_half(self) -> None:
        async def half(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse(headers={"Content-Length": str(len(PNG))})
            await answer.prepare(request)
            await answer.write(PNG[: len(PNG) // 2])
            await asyncio.Event().wait()
            return answer

        self.peer.answers["/view"] = half

    def lock_the_journal(self) -> None:
        """As a disk that takes nothing any more: what comes now is not written down."""
        self.locked = sqlite3.connect(self.home / "data" / "journal.sqlite3", isolation_level=None)
        self.locked.execute("BEGIN IMMEDIATE")

    def delivered(self) -> list[Path]:
        files = (self.home / "output").rglob("*")
        return [path for path in files if path.is_file() and ".part" not in path.name]

    async def set(self, moment: str) -> None:
        peer = self.peer
        if moment == "before the journal":
            peer.freeze()  # the peer is asked when it is added, and the job comes after that
        elif moment == "after the journal":
            self.answer_late("/object_info")
        elif moment == "before the POST":
            self.answer_late("/prompt")
        elif moment == "after the POST":
            self.accept_and_say_nothing()
        elif moment == "in the middle of a download":
            self.send_half()

    async def comes(self, moment: str, heard: list[str]) -> None:
        peer = self.peer
        if moment == "before the journal":
            await until(lambda: peer.requests, "the peer is asked")
        elif moment == "after the journal":
            await until(lambda: "waiting" in heard, "the job is accepted")
        elif moment in ("before the POST", "after the POST"):
            await until(lambda: peer.asked("/prompt"), "the job is posted")
        elif moment == "in the middle of a download":
            await until(lambda: peer.asked("/view"), "its result is fetched")
        else:
            await until(lambda: peer.running and peer.asked(f"/history/{peer.running}"), "it is followed")
        if moment == "before the end is written":
            self.lock_the_journal()
            await peer.finish(peer.running or "")
            await until(self.delivered, "the result is in its place")


MOMENTS = (
    *("before the journal", "after the journal", "before the POST", "after the POST", "while it runs"),
    *("in the middle of a download", "before the end is written"),
)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_f17_an_engine_that_is_killed_at_this_moment_delivers_the_job_once(
    tmp_path: Path, moment: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with FakeComfyUI() as peer:
        peer.object_info = stock_classes()
        if moment in ("while it runs", "before the end is written"):
            peer.on_prompt = "hold"
        stage = Stage(home, peer)
        await stage.set(moment)
        await _killed(stage, moment)
        if stage.locked is not None:
            stage.locked.close()
        peer.answers.clear()
        peer.thaw()
        peer.on_prompt = "run"
        if moment == "while it runs":
            await peer.finish(peer.running or "")
        assert await _lives(home, peer) == ["all", "done"]
        assert len(peer.prompts) == 1  # found again where there was something to find
        assert [path.read_bytes() for path in await asyncio.to_thread(stage.delivered)] == [PNG]
        assert await asyncio.to_thread(lambda: list((home / "output").rglob("*.part"))) == []


async def _killed(stage: Stage, moment: str) -> None:
    news, end = ENGINES.Pipe(duplex=False)
    engine = ENGINES.Process(target=run, args=(stage.home, 1, [stage.peer.url], end))
    engine.start()
    end.close()
    heard: list[str] = []

    async def listen() -> None:
        while True:
            try:
                heard.append((await asyncio.to_thread(news.recv))[1])
            except EOFError:
                return

    listening = asyncio.create_task(listen(), name="test listener")
    try:
        await stage.comes(moment, heard)
    finally:
        engine.kill()
        await asyncio.to_thread(engine.join)
        await listening
        news.close()


async def _lives(home: Path, peer: FakeComfyUI) -> list[str]:
    """An engine that comes to its end; its last word."""
    news, end = ENGINES.Pipe(duplex=False)
    engine = ENGINES.Process(target=run, args=(home, 1, [peer.url], end))
    engine.start()
    end.close()
    try:
        while True:
            told = await asyncio.to_thread(news.recv)
            if told[0] == "all":
                return list(told)
    finally:
        await asyncio.to_thread(engine.join)
        news.close()
