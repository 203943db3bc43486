"""The waiting room beside other work of its event loop, without any network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from orchestrator.backends.manager import BackendManager
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Health, QueueState, Vitals
from orchestrator.core.models.job import JobRequest, Prompt
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.dispatch.launch import SentPrompts
from orchestrator.dispatch.preparing import Preparing
from orchestrator.dispatch.ticket import Ticket
from orchestrator.dispatch.waiting_room import PREPARED_AT_ONCE, WaitingRoom
from tests.fakes.graphs import picture, stock_classes

TURNS_MAX = 10_000
DEADLINE_S = 10.0  #: less than it takes until a job is looked at again in any case


class Room:
    """A waiting room, and peers that are up and never change by themselves."""

    def __init__(self) -> None:
        self.manager = BackendManager()
        self.room = WaitingRoom(
            self.manager, Scheduler(), Preparing(self.manager), SentPrompts().__contains__
        )
        self.placed: list[Ticket] = []  #: in this order
        self.lets_go = True  #: each leaves its peer at once
        self.stories: dict[str, asyncio.Task[None]] = {}

    def add(self, name: str, *classes: str) -> None:
        self.manager.register(BackendConfig(name, name, host="127.0.0.1", port=9000 + len(name)))
        self.manager.set_status(name, BackendStatus(Health.UP))
        self.has_nodes(name, *classes)

    def has_nodes(self, name: str, *classes: str) -> None:
        generation = self.manager.get_status(name).generation
        self.manager.set_object_info(name, ObjectInfo(stock_classes(*classes)), generation)

    def submit(self, prompt: Prompt | None = None, *, peer: str = "") -> Ticket:
        ticket = Ticket(JobRequest(prompt=prompt or picture(), peer=peer))
        self.stories[ticket.id] = asyncio.create_task(self._place(ticket))
        return ticket

    async def _place(self, ticket: Ticket) -> None:
        await self.room.place(ticket)
        self.placed.append(ticket)
        if self.lets_go:
            self.room.release(ticket)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn, as often as it takes."""
        for _ in range(TURNS_MAX):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("not within so many turns of the loop")

    async def aclose(self) -> None:
        for story in self.stories.values():
            story.cancel()
        await asyncio.gather(*self.stories.values(), return_exceptions=True)
        await self.room.aclose()


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    room.room.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(room.aclose)
        yield room


async def test_a_long_line_leaves_turns_to_others_while_it_is_prepared_anew(room: Room) -> None:
    room.add("a")
    room.room.paused = True
    tickets = [room.submit() for _ in range(10 * PREPARED_AT_ONCE)]
    await room.until(lambda: all(ticket.group is not None for ticket in tickets))
    before = tickets[0].edition
    room.has_nodes("a", "NewNode")

    def done() -> int:
        return sum(ticket.edition > before for ticket in tickets)

    seen = [0]

    def look() -> bool:
        seen.append(done())
        return seen[-1] == len(tickets)

    await room.until(look)
    assert max(now - then for then, now in itertools.pairwise(seen)) <= PREPARED_AT_ONCE


@pytest.mark.parametrize("is_first", [False, True])
async def test_however_often_jobs_are_put_before_one_that_order_is_kept(room: Room, is_first: bool) -> None:
    room.add("a")
    room.room.paused = True
    tickets = [room.submit() for _ in range(80)]
    await room.until(lambda: all(ticket.group is not None for ticket in tickets))
    ahead, goal, others = tickets[0], tickets[1], tickets[2:]
    if is_first:
        ahead, goal = goal, ahead
        room.room.move(ahead, goal)
    for other in others:
        room.room.move(other, goal)
    assert room.room.line() == (ahead, *others, goal)
    room.room.paused = False
    await room.until(lambda: len(room.placed) == len(tickets))
    assert room.placed == [ahead, *others, goal]


async def test_a_job_that_was_given_a_peer_does_not_go_to_another_meanwhile(room: Room) -> None:
    room.add("a")
    room.add("bb")
    room.manager.update("bb", draining=True)
    room.room.paused = True
    ticket = room.submit()
    await room.until(lambda: ticket.group is not None)
    large = room.submit({str(n): node for n in range(500) for node in picture().values()})
    room.room.paused = False
    for _ in range(3):  # now the large one is being prepared in a thread
        await asyncio.sleep(0)
    ticket.request = replace(ticket.request, peer="bb")
    room.room.reconsider(ticket)
    await asyncio.wait([room.stories[large.id]])
    assert room.placed == [large]


async def test_what_breaks_while_one_job_is_looked_at_does_not_lose_the_others(room: Room) -> None:
    room.add("a")
    room.add("bb")
    room.manager.update("a", draining=True)
    broken, other = room.submit(peer="a"), room.submit()
    told: list[str] = []

    def break_once(reason: str) -> None:
        told.append(reason)
        if len(told) == 1:
            raise RuntimeError("whoever was told failed")

    broken.on_waiting = break_once
    await asyncio.wait_for(room.stories[other.id], DEADLINE_S)
    assert len(told) > 1


async def test_what_a_peer_did_to_one_job_does_not_keep_others_of_its_kind_from_it(room: Room) -> None:
    room.add("a")
    room.lets_go = False
    failed, other, third = (room.submit() for _ in range(3))
    await room.until(lambda: room.placed == [failed, other])
    failed.tried["a"] = "it failed this job"
    for health in (Health.SUSPECT, Health.UP):
        room.manager.set_status("a", BackendStatus(health))
    room.room.release(failed)
    await room.until(lambda: third in room.placed)


async def test_of_a_peer_that_says_it_runs_thousands_only_a_few_are_followed(room: Room) -> None:
    asked: list[str] = []
    room.room.fleet.on_foreign = lambda backend_id, prompt_id, seconds: asked.append(prompt_id)
    room.add("a")
    for running in (tuple(f"theirs-{n}" for n in range(5_000)), ()):
        room.manager.set_status("a", BackendStatus(Health.UP, vitals=Vitals(queue=QueueState(running))))
    assert 0 < len(asked) < 20


def test_only_the_last_prompts_that_were_sent_are_remembered() -> None:
    sent = SentPrompts(kept=2)
    for prompt_id in ("one", "two", "three"):
        sent.append(prompt_id)
    assert [name in sent for name in ("one", "two", "three")] == [False, True, True]
