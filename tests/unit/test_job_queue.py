"""The waiting room beside other work of its event loop, without any network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from orchestrator.backends.manager import BackendManager
from orchestrator.core.engine.placement.placer import STARTS_AT_ONCE
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import (
    LOCAL_PEER_ID,
    LOCAL_PEER_NAME,
    BackendConfig,
    BackendStatus,
    Device,
    Health,
    QueueState,
    Vitals,
)
from orchestrator.core.models.job import Job, JobRequest, Prompt, Source
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.dispatch.interfaces import RanHere
from orchestrator.dispatch.queue.job_queue import PREPARED_AT_ONCE, JobQueue
from orchestrator.dispatch.queue.local_peer import LocalPeer
from orchestrator.dispatch.queue.prompt_variants import PromptVariants
from orchestrator.dispatch.queue.queue_order import QueueOrder
from orchestrator.dispatch.queue.queued_job import QueuedJob, rank_of
from orchestrator.dispatch.sent_prompts import SentPrompts
from orchestrator.errors import NoEligiblePeerError
from tests.fakes.graphs import loaded_picture, picture, stock_classes
from tests.fakes.waiting import until_told

DEADLINE_S = 10.0  #: less than it takes until a job is looked at again in any case


class Room:
    """A waiting room, and peers that are up and never change by themselves."""

    def __init__(self) -> None:
        self.manager = BackendManager()
        self.input_bytes: Callable[[str], int | None] = lambda value: None  #: asked in a thread
        preparing = PromptVariants(self.manager, lambda value: self.input_bytes(value))
        self.local = LocalPeer()
        self.room = JobQueue(self.manager, Scheduler(), preparing, SentPrompts(), self.local)
        self.placed: list[QueuedJob] = []  #: in this order
        self.lets_go = True  #: each leaves its peer at once
        self.stories: dict[str, asyncio.Task[None]] = {}

    def add(self, name: str, *classes: str) -> None:
        self.manager.register(BackendConfig(name, name, host="127.0.0.1", port=9000 + len(name)))
        self.manager.set_status(name, BackendStatus(Health.UP))
        self.has_nodes(name, *classes)

    def has_nodes(self, name: str, *classes: str) -> None:
        generation = self.manager.get_status(name).generation
        self.manager.set_object_info(name, ObjectInfo(stock_classes(*classes)), generation)

    def submit(
        self, prompt: Prompt | None = None, *, peer: str = "", source: Source = Source.HTTP
    ) -> QueuedJob:
        ticket = QueuedJob(JobRequest(prompt=prompt or picture(), peer=peer, source=source))
        self.stories[ticket.id] = asyncio.create_task(self._place(ticket))
        return ticket

    async def _place(self, ticket: QueuedJob) -> None:
        await self.room.place(ticket)
        self.placed.append(ticket)
        if self.lets_go:
            self.room.release(ticket)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn, as often as it takes: some of the work is a thread's."""
        clock = asyncio.get_running_loop().time
        end = clock() + DEADLINE_S
        while not condition():
            assert clock() < end, "it does not come to that"
            await asyncio.sleep(0)

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


async def test_a_plan_that_comes_in_parts_leaves_turns_to_others_between_them(room: Room) -> None:
    room.lets_go, room.room.paused = False, True
    for number in range(STARTS_AT_ONCE):
        room.add("a" * (number + 1))
    tickets = [room.submit() for _ in range(2 * STARTS_AT_ONCE)]
    for ticket in tickets:
        await room.until(lambda ticket=ticket: ticket.group is not None)
    seen = [0]

    def look() -> bool:
        seen.append(sum(bool(ticket.backend_id) for ticket in tickets))
        return seen[-1] == len(tickets)

    room.room.paused = False
    await room.until(look)
    assert max(now - then for then, now in itertools.pairwise(seen)) == STARTS_AT_ONCE


@pytest.mark.parametrize("is_first", [False, True])
async def test_however_often_jobs_are_put_before_one_that_order_is_kept(room: Room, is_first: bool) -> None:
    room.add("a")
    room.room.paused = True
    tickets = [room.submit() for _ in range(80)]
    await room.until(lambda: all(ticket.group is not None for ticket in tickets))
    ahead, goal, others = tickets[0], tickets[1], tickets[2:]
    if is_first:
        ahead, goal = goal, ahead
        room.room.move([ahead], goal)
    for other in others:
        room.room.move([other], goal)
    assert room.room.line() == (ahead, *others, goal)
    room.room.paused = False
    await room.until(lambda: len(room.placed) == len(tickets))
    assert room.placed == [ahead, *others, goal]


@pytest.mark.parametrize("place", [0, 1, 500])
def test_many_that_are_put_before_one_get_their_ranks_once(place: int) -> None:
    """Moved one by one, each job halves the gap that is left; soon the whole queue has to be re-ranked."""
    order, jobs = QueueOrder(), [QueuedJob(JobRequest()) for _ in range(1000)]
    for number, job in enumerate(jobs):
        order.give(job, 1000.0 + number)
        order.add(job)
    block, rest = jobs[600:], jobs[:600]
    assert len(order.move(block, jobs[place])) <= len(jobs)
    assert list(order) == [*rest[:place], *block, *rest[place:]]
    assert list(order) == sorted(order, key=rank_of)
    assert len({order.since_s(job) for job in order}) >= len(jobs) - 1


def test_a_job_that_is_put_before_itself_stays_where_it_is() -> None:
    order, jobs = QueueOrder(), [QueuedJob(JobRequest()) for _ in range(3)]
    for job in jobs:
        order.give(job, 1000.0)
        order.add(job)
    order.move([jobs[0]], jobs[0])
    assert list(order) == jobs
    order.move([jobs[2], jobs[0]], jobs[0])
    assert list(order) == [jobs[2], jobs[0], jobs[1]]


async def test_a_job_that_was_given_a_peer_does_not_go_to_another_meanwhile(room: Room) -> None:
    room.add("a")
    room.add("bb")
    room.manager.update("bb", draining=True)
    room.room.paused = True
    ticket = room.submit()
    await room.until(lambda: ticket.group is not None)
    large = room.submit({str(n): node for n in range(20_000) for node in picture().values()})
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


async def test_input_files_on_a_hung_disk_hold_up_no_job(room: Room) -> None:
    room.add("a")
    gate, asked = threading.Event(), list[str]()

    def look(value: str) -> int | None:
        asked.append(value)
        gate.wait()
        return 7

    room.input_bytes = look
    try:
        hung, other = (room.submit(loaded_picture(name)) for name in ("cat.png", "dog.png"))
        without = room.submit(picture())
        await asyncio.wait_for(room.stories[without.id], DEADLINE_S)
        outlook = room.room.outlook(JobRequest(prompt=loaded_picture("owl.png")))
        assert len((await asyncio.wait_for(outlook, DEADLINE_S)).peers) == 1
        await asyncio.wait([room.stories[hung.id], room.stories[other.id]], timeout=DEADLINE_S)
        assert set(room.placed) == {hung, other, without}
        assert (asked, hung.input_bytes, other.input_bytes) == (["cat.png"], {}, {})
    finally:
        gate.set()

    async def is_known_again() -> bool:
        ticket = room.submit(loaded_picture("emu.png"))
        await room.stories[ticket.id]
        return ticket.input_bytes == {"emu.png": 7}

    await until_told(is_known_again, "the disk is looked at again")


class HelpingHere:
    """This computer, which may take jobs of fleet mode."""

    def __init__(self, room: Room) -> None:
        self._is_wanted, self._is_free = True, False
        self.computes_on: Vitals | None = None
        self.asked = 0
        self._room = room
        room.local.use(self)

    def is_wanted(self) -> bool:
        return self._is_wanted

    def is_free(self) -> bool:
        return self._is_wanted and self._is_free

    def vitals(self) -> Vitals | None:
        self.asked += 1
        return self.computes_on

    async def run(self, job: Job) -> RanHere:
        raise NotImplementedError

    def becomes(self, *, is_wanted: bool = True, is_free: bool = False) -> None:
        self._is_wanted, self._is_free = is_wanted, is_free
        self._room.room.look_again()


@pytest.mark.parametrize("is_paused", [False, True])
async def test_a_job_that_only_this_machine_can_run_waits_until_it_is_free(
    room: Room, is_paused: bool
) -> None:
    here, told = HelpingHere(room), list[str]()
    room.add("a")
    room.room.paused = is_paused
    ticket = room.submit(picture(made_by="OnlyHere"), source=Source.FLEET)
    ticket.on_waiting = told.append
    await room.until(lambda: bool(told))
    assert told[-1].startswith("waiting for this computer, the only one that can run it now. No peer can")
    assert "OnlyHere" in told[-1]
    room.manager.set_status("a", BackendStatus(Health.SUSPECT))  # it is looked at again
    here.becomes(is_free=True)
    if is_paused:
        await room.until(lambda: len(told) > 1)
        assert room.placed == []
        room.room.paused = False
    await room.until(lambda: room.placed == [ticket])
    assert ticket.backend_id == LOCAL_PEER_ID


async def test_a_job_that_only_this_machine_can_run_fails_when_it_no_longer_helps(room: Room) -> None:
    here, told = HelpingHere(room), list[str]()
    room.add("a")
    ticket = room.submit(picture(made_by="OnlyHere"), source=Source.FLEET)
    ticket.on_waiting = told.append
    await room.until(lambda: bool(told))
    here.becomes(is_wanted=False)
    with pytest.raises(NoEligiblePeerError, match="OnlyHere"):
        await asyncio.wait_for(room.stories[ticket.id], DEADLINE_S)


SMALL = Vitals(devices=(Device("A processor", "cpu", 16 << 30, 9 << 30),))


async def test_this_machine_is_known_by_its_devices_before_anything_ran_there(room: Room) -> None:
    here = HelpingHere(room)
    here.becomes(is_free=True)
    here.computes_on = SMALL
    room.add("a")
    found = {r.eligibility.name: r for r in (await room.room.outlook(JobRequest(prompt=picture()))).peers}
    assert found[LOCAL_PEER_NAME].peer.status.vitals == SMALL
    assert found[LOCAL_PEER_NAME].run_s > 5 * found["a"].run_s


@pytest.mark.parametrize("is_wanted", [False, True])
async def test_this_machine_is_asked_what_it_computes_on_only_while_it_helps(
    room: Room, is_wanted: bool
) -> None:
    here = HelpingHere(room)
    here.becomes(is_wanted=is_wanted)
    room.add("a")
    await room.room.outlook(JobRequest(prompt=picture()))
    ticket = room.submit()
    await room.until(lambda: room.placed == [ticket])
    assert bool(here.asked) is is_wanted


async def test_a_peer_without_a_card_is_known_for_it_as_soon_as_it_tells(room: Room) -> None:
    for name, kind in (("a", "cpu"), ("bb", "cuda")):
        room.add(name)
        await room.room.outlook(JobRequest(prompt=picture()))  # it has a row before it tells
        vitals = Vitals(devices=(Device("Whatever", kind, 16 << 30, 9 << 30),))
        room.manager.set_status(name, BackendStatus(Health.UP, vitals=vitals))
    found = {r.eligibility.name: r for r in (await room.room.outlook(JobRequest(prompt=picture()))).peers}
    assert found["a"].run_s > 5 * found["bb"].run_s


@pytest.mark.parametrize(("vitals", "is_refused"), [(None, False), (SMALL, True)])
async def test_what_needs_more_memory_than_this_machine_has_is_not_left_waiting_for_it(
    room: Room, vitals: Vitals | None, is_refused: bool
) -> None:
    here = HelpingHere(room)
    here.computes_on = vitals
    here.becomes(is_free=True)
    room.add("a")
    ticket = QueuedJob(JobRequest(prompt=picture(), source=Source.FLEET))
    ticket.tried["a"], ticket.memory_bytes = "it failed this job: out of memory", 24 << 30
    placing = asyncio.ensure_future(room.room.place(ticket))
    await asyncio.wait({placing}, timeout=DEADLINE_S)
    assert placing.done()
    if is_refused:
        assert isinstance(placing.exception(), NoEligiblePeerError)
    else:
        assert placing.result().backend_id == LOCAL_PEER_ID


async def test_of_a_peer_that_says_it_runs_thousands_only_a_few_are_followed(room: Room) -> None:
    asked: list[str] = []
    room.room.fleet.foreign_ended.subscribe(lambda backend_id, prompt_id, seconds: asked.append(prompt_id))
    room.add("a")
    for running in (tuple(f"theirs-{n}" for n in range(5_000)), ()):
        room.manager.set_status("a", BackendStatus(Health.UP, vitals=Vitals(queue=QueueState(running))))
    assert 0 < len(asked) < 20


def test_only_the_last_prompts_that_were_sent_are_remembered() -> None:
    sent = SentPrompts(kept=2)
    for prompt_id in ("one", "two", "three"):
        sent.append(prompt_id, "gpu")
    assert [name in sent for name in ("one", "two", "three")] == [False, True, True]
    assert (sent.peer_of("three"), sent.peer_of("one")) == ("gpu", "")
