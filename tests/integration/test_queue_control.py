"""The queue of waiting jobs: its order, its pause, and jobs that are taken back from a busy peer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.core.models.job import Job, JobState, Source
from orchestrator.errors import ConfigError, NotFoundError
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import loaded_picture, picture, stock_classes
from tests.fakes.master import Master, outcomes, started
from tests.fakes.waiting import until


@pytest.fixture
def a(a: FakeComfyUI) -> FakeComfyUI:
    """A peer that holds what it gets."""
    a.object_info = stock_classes("RareNode")
    a.on_prompt = "hold"
    return a


@pytest.fixture
def b(b: FakeComfyUI) -> FakeComfyUI:
    b.on_prompt = "hold"
    return b


async def held(master: Master, count: int, **request: object) -> list[Job]:
    """Jobs in a paused line."""
    await master.runtime.change_settings({"paused": True})
    return [await master.submit(picture(n), **request) for n in range(count)]


def waiting(master: Master) -> list[str]:
    return [job.id for job in master.runtime.queue.jobs()]


async def test_jobs_wait_in_the_order_they_came(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    jobs = await held(master, 3)
    await until(lambda: len(waiting(master)) == 3, "all wait")
    assert waiting(master) == [job.id for job in jobs]


async def test_higher_priority_goes_first_and_front_before_its_equals(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    plain = await held(master, 2)
    urgent = await master.submit(picture(3), priority=5)
    front = await master.runtime.jobs.submit(plain[0].request, front=True)
    second_front = await master.runtime.jobs.submit(plain[0].request, front=True)
    await until(lambda: len(waiting(master)) == 5, "all wait")
    assert waiting(master) == [urgent.id, second_front.id, front.id, *(job.id for job in plain)]


async def test_while_it_is_paused_nothing_starts_and_afterwards_the_first_of_the_line(
    master: Master, a: FakeComfyUI
) -> None:
    await master.add("a", a)
    jobs = await held(master, 3)
    await until(lambda: len(waiting(master)) == 3, "all wait")
    assert a.asked("/prompt") == []
    await master.runtime.change_settings({"paused": False})
    await until(lambda: len(waiting(master)) == 1, "two are on the peer")
    assert waiting(master) == [jobs[2].id]


async def test_a_pause_outlives_a_restart(tmp_path: Path, a: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        await master.add("a", a)
        jobs = await held(master, 2)
    async with started(tmp_path) as master:
        assert master.runtime.settings.paused
        await until(lambda: waiting(master) == [job.id for job in jobs], "they wait again")
        assert a.asked("/prompt") == []


async def test_a_waiting_job_is_moved_up_and_to_the_end(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    ids = [job.id for job in await held(master, 4)]
    await until(lambda: len(waiting(master)) == 4, "all wait")
    await master.runtime.queue.move((ids[3],), ids[1])
    assert waiting(master) == [ids[0], ids[3], ids[1], ids[2]]
    await master.runtime.queue.move((ids[0],))
    assert waiting(master) == [ids[3], ids[1], ids[2], ids[0]]
    later = await master.submit(picture(9))
    await until(lambda: len(waiting(master)) == 5, "it waits too")
    assert waiting(master)[-1] == later.id


async def test_a_persons_order_and_choice_of_peer_outlive_restarts(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await master.add("a", a)
        await master.add("b", b)
        plain = await held(master, 4)
        urgent = await master.submit(picture(5), priority=5)
        first = await master.runtime.jobs.submit(replace(plain[0].request, prompt=picture(6)), front=True)
        await until(lambda: len(waiting(master)) == 6, "all wait")
        await master.runtime.queue.move((plain[3].id,), urgent.id)
        await master.runtime.queue.move((plain[0].id,))
        await master.runtime.queue.pin(plain[1].id, "b")
        last = await master.submit(picture(8))
        await until(lambda: len(waiting(master)) == 7, "all wait")
        order = [plain[3].id, urgent.id, first.id, plain[1].id, plain[2].id, plain[0].id, last.id]
        assert waiting(master) == order
    for turn in range(2):
        async with started(tmp_path) as master:
            await until(lambda: len(waiting(master)) == 7 + turn, "they wait again")  # noqa: B023
            assert waiting(master) == order
            assert master.job(plain[1]).request.peer == "b"
            newest = await master.runtime.jobs.submit(
                replace(plain[0].request, prompt=picture(9)), front=True
            )
            await until(lambda: len(waiting(master)) == 8 + turn, "it waits too")  # noqa: B023
            order = [*order[:2], newest.id, *order[2:]]
            assert waiting(master) == order


async def test_who_wants_to_be_first_is_so_after_the_line_was_reordered_too(
    master: Master, a: FakeComfyUI
) -> None:
    await master.add("a", a)
    jobs = await held(master, 5)
    await until(lambda: len(waiting(master)) == 5, "all wait")
    for _ in range(4):
        await master.runtime.queue.move((jobs[0].id,))
    front = await master.runtime.jobs.submit(replace(jobs[0].request, prompt=picture(9)), front=True)
    await until(lambda: len(waiting(master)) == 6, "it waits too")
    assert waiting(master)[0] == front.id


async def test_listeners_hear_of_a_job_that_was_moved(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    jobs = await held(master, 3)
    await until(lambda: len(waiting(master)) == 3, "all wait")
    heard: list[str] = []
    master.runtime.jobs.on_change(lambda job: heard.append(job.id))
    await master.runtime.queue.move((jobs[2].id,), jobs[0].id)
    assert heard == [jobs[2].id]


async def test_a_job_moved_before_a_more_urgent_one_goes_before_it(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    jobs = await held(master, 2)
    urgent = await master.submit(picture(3), priority=5)
    await until(lambda: len(waiting(master)) == 3, "all wait")
    await master.runtime.queue.move((jobs[1].id,), urgent.id)
    assert waiting(master) == [jobs[1].id, urgent.id, jobs[0].id]
    await master.runtime.change_settings({"paused": False})
    await until(lambda: master.job(jobs[1]).state is JobState.RUNNING, "it is the first to go")


async def test_what_does_not_wait_cannot_be_moved(master: Master, a: FakeComfyUI, b: FakeComfyUI) -> None:
    await master.add("a", a)
    await master.add("b", b)
    job = await master.submit(picture())
    await begun(master, job)
    with pytest.raises(NotFoundError, match="a has begun it"):
        await master.runtime.queue.move((job.id,))
    with pytest.raises(NotFoundError, match="a has begun it"):
        await master.runtime.queue.pin(job.id, "b")
    await a.finish(a.running or "")
    await master.end_of(job)
    with pytest.raises(NotFoundError, match="it has ended"):
        await master.runtime.queue.pin(job.id, "b")


async def test_a_waiting_job_is_sent_to_the_peer_that_a_person_chose(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    await master.add("b", b)
    (job,) = await held(master, 1)
    await until(lambda: waiting(master), "it waits")
    with pytest.raises(ConfigError, match="no peer nowhere"):
        await master.runtime.queue.pin(job.id, "nowhere")
    await master.runtime.queue.pin(job.id, "b")
    await master.runtime.change_settings({"paused": False})
    await until(lambda: b.running, "it runs there")
    assert a.asked("/prompt") == []


async def sending(master: Master, a: FakeComfyUI, **request: object) -> Job:
    """A job whose input file is on its way to a peer that does not answer."""
    (master.input / "cat.png").write_bytes(b"a cat")
    await all_known(master)
    a.freeze()
    job = await master.submit(loaded_picture("cat.png"), **request)
    await until(lambda: "sending input files to a" in master.job(job).progress_text, "it is on its way")
    return job


@pytest.mark.parametrize("at_first", ["", "a"], ids=["anywhere", "elsewhere"])
async def test_a_job_whose_files_are_being_sent_goes_to_the_peer_that_a_person_chose(
    master: Master, a: FakeComfyUI, b: FakeComfyUI, at_first: str
) -> None:
    await master.add("a", a)
    await master.add("b", b)
    job = await sending(master, a, peer=at_first)
    pinned = await master.runtime.queue.pin(job.id, "B")
    assert pinned.request.peer == "b"
    await until(lambda: b.running, "it runs there")
    assert b.running == master.prompt_id(job)
    assert a.asked("/prompt") == []
    assert outcomes(master.job(job)) == [""]  # the first never got it
    a.thaw()


async def test_a_job_on_its_way_to_the_peer_that_a_person_chooses_goes_on_and_stays_there(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    job = await sending(master, a)
    await master.runtime.queue.pin(job.id, "")
    await master.runtime.queue.pin(job.id, "a")
    with pytest.raises(NotFoundError, match="on its way to a"):
        await master.runtime.queue.move((job.id,))
    a.thaw()
    await until(lambda: a.running, "it runs there")
    await a.go_down()
    await master.add("b", b)
    await until(lambda: master.job(job).state is JobState.WAITING, "it waits for the peer it was given")
    assert b.asked("/prompt") == []


@pytest.mark.parametrize("is_pinned_first", [False, True])
async def test_a_job_whose_files_are_being_sent_can_be_cancelled_whatever_peer_it_was_given(
    master: Master, a: FakeComfyUI, b: FakeComfyUI, is_pinned_first: bool
) -> None:
    await master.add("a", a)
    await master.add("b", b)
    job = await sending(master, a)
    wishes = [master.runtime.jobs.cancel(job.id), master.runtime.queue.pin(job.id, "b")]
    await asyncio.gather(*(wishes[::-1] if is_pinned_first else wishes), return_exceptions=True)
    assert master.job(job).state is JobState.CANCELLED
    a.thaw()
    assert b.asked("/prompt") == []


async def queued(master: Master, a: FakeComfyUI, **request: Any) -> Job:
    """A job that waits in the own queue of a peer, behind another."""
    await begun(master, await master.submit(picture(), peer="a"))
    job = await master.submit(**request)
    await until(lambda: a.pending, "it waits in the peer's own queue")
    await master.reaches(job, JobState.RUNNING)
    # The answer of its POST may arrive later than the job does.
    await until(lambda: a.asked(f"/history/{master.prompt_id(job)}"), "the master follows it")
    return job


async def test_a_job_that_a_peer_has_not_begun_is_taken_back_for_the_one_that_a_person_chose(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    await master.add("b", b)
    await begun(master, await master.submit(picture(), peer="b"))
    job = await queued(master, a, prompt=picture(2), peer="a")
    await master.runtime.queue.pin(job.id, "b")
    await until(lambda: b.pending, "the other one has it")
    assert a.pending == []
    assert outcomes(master.job(job)) == ["taken_back", ""]


async def test_after_a_restart_a_job_that_a_peer_has_not_begun_is_taken_back_for_the_chosen_one(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await master.add("a", a)
        await master.add("b", b)
        job = await queued(master, a, prompt=picture(2), peer="a")
    async with started(tmp_path) as master:
        a.requests.clear()
        await until(lambda: a.asked(f"/history/{master.prompt_id(job)}"), "it is followed again")
        first = next(known for known in master.runtime.jobs.all() if master.prompt_id(known) == a.running)
        with pytest.raises(NotFoundError, match="a has it already"):  # whether it was begun is not told again
            await master.runtime.queue.pin(first.id, "b")
        await master.runtime.queue.pin(job.id, "b")
        await master.running_on(b, job)
        assert (a.running, a.pending) == (master.prompt_id(first), [])
        assert outcomes(master.job(job)) == ["taken_back", ""]
        with pytest.raises(NotFoundError, match="b has begun it"):
            await master.runtime.queue.pin(job.id, "a")
        await b.finish(b.running or "")
        assert (await master.end_of(job)).state is JobState.DONE


async def test_of_two_choices_at_once_the_one_that_comes_too_late_is_refused(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    await master.add("b", b)
    async with FakeComfyUI() as c:
        c.on_prompt = "hold"
        await master.add("c", c)
        await all_known(master)
        job = await queued(master, a, prompt=picture(2), peer="a")
        asked, go_on, stock = asyncio.Event(), asyncio.Event(), a._post_queue

        async def slow(request: web.Request) -> web.StreamResponse:
            if request.method == "GET":
                return await a._get_queue(request)
            asked.set()
            await go_on.wait()
            return await stock(request)

        a.answers["/queue"] = slow
        later = asyncio.create_task(master.runtime.queue.pin(job.id, "c"))
        await until(asked.is_set, "the peer is asked for it")
        del a.answers["/queue"]
        await master.runtime.queue.pin(job.id, "b")
        await master.running_on(b, job)
        await begun(master, job)
        go_on.set()
        with pytest.raises(NotFoundError, match="b has begun it"):
            await later
        assert master.job(job).request.peer == "b"
        assert c.asked("/prompt") == []


async def test_people_are_told_the_name_of_the_peer_and_of_the_job(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    """The page gives a job its peer by id."""
    await master.add("a", a)
    there = await master.add("b", b)
    await all_known(master)
    (job,) = await held(master, 1)
    await until(lambda: waiting(master), "it waits")
    lacking = picture(made_by="RareNode")
    found = await master.runtime.jobs.check_prompt(lacking, None, peer=there)
    assert "a: the prompt is pinned to b" in str(found.error)
    titled = await master.submit(lacking, title="A rare picture")
    with pytest.raises(ConfigError, match="b cannot run the job A rare picture: "):
        await master.runtime.queue.pin(titled.id, there)
    untitled = await master.submit(lacking, source=Source.NODE)
    with pytest.raises(ConfigError, match=f"b cannot run the job {untitled.id[:8]}: "):
        await master.runtime.queue.pin(untitled.id, there)
    await master.runtime.queue.pin(job.id, there)
    await b.go_down()
    await until(lambda: "which is down" in master.job(job).explanation, "it says what it waits for")
    said = master.job(job).explanation
    assert said.startswith("waiting for b, which is down. b: ")
    assert "a: the job is pinned to b." in said


async def all_known(master: Master) -> None:
    manager = master.runtime.manager
    await until(lambda: all(manager.get_object_info(peer.id) for peer in manager.all()), "all are known")


BAD_CHOICES = [
    pytest.param({"prompt": picture(2, made_by="RareNode")}, "RareNode", id="lacks a node"),
    pytest.param({"prompt": picture(2), "tags": ("fast",)}, "no tag fast", id="lacks a tag"),
    pytest.param({"prompt": picture(2), "avoid": ("b",)}, "avoids it", id="is avoided"),
    pytest.param({"prompt": picture(2), "wait_for_peer": False}, "switched off", id="is not waited for"),
]


@pytest.mark.parametrize(("wishes", "why"), BAD_CHOICES)
async def test_a_job_is_not_taken_back_for_a_chosen_peer_that_cannot_run_it(
    master: Master, a: FakeComfyUI, b: FakeComfyUI, wishes: dict[str, Any], why: str
) -> None:
    await master.add("a", a, tags=["fast"])
    await master.add("b", b, enabled="wait_for_peer" not in wishes)
    if why != "switched off":
        await all_known(master)
    job = await queued(master, a, **wishes)
    with pytest.raises(ConfigError, match=f"b cannot run .*{why}.*Choose another peer"):
        await master.runtime.queue.pin(job.id, "b")
    assert [seen.method for seen in a.asked("/queue") if seen.method == "POST"] == []
    assert master.job(job).request.peer == ""
    await a.finish(a.running or "")
    await a.finish(a.running or "")
    assert outcomes(await master.end_of(job)) == ["done"]


@pytest.mark.parametrize(("wishes", "why"), BAD_CHOICES[:3])
async def test_a_waiting_job_is_not_given_to_a_chosen_peer_that_cannot_run_it(
    master: Master, a: FakeComfyUI, b: FakeComfyUI, wishes: dict[str, Any], why: str
) -> None:
    await master.add("a", a, tags=["fast"])
    await master.add("b", b)
    await all_known(master)
    await master.runtime.change_settings({"paused": True})
    job = await master.submit(**wishes)
    await until(lambda: waiting(master), "it waits")
    with pytest.raises(ConfigError, match=why):
        await master.runtime.queue.pin(job.id, "b")
    await master.runtime.change_settings({"paused": False})
    await until(lambda: a.running, "it runs on the other one")


async def test_a_job_that_waits_for_peers_is_given_to_one_that_is_down(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    await master.add("b", b, enabled=False)
    job = await queued(master, a, prompt=picture(2))
    await master.runtime.queue.pin(job.id, "b")
    await master.reaches(job, JobState.WAITING)
    assert master.job(job).request.peer == "b"


async def begun(master: Master, *jobs: Job) -> None:
    await until(lambda: all(master.job(job).begun_at for job in jobs), "they have begun")


async def test_a_job_that_waits_behind_another_is_taken_back_when_a_peer_comes_free(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    jobs = [await master.submit(picture(n)) for n in range(2)]
    await until(lambda: a.running and a.pending, "both are on the one peer")
    first = next(job for job in jobs if master.prompt_id(job) == a.running)
    second = next(job for job in jobs if job is not first)
    await master.add("b", b)
    await until(lambda: b.running, "the second runs on the other")
    assert a.pending == [] and master.prompt_id(second) == b.running
    assert outcomes(master.job(second)) == ["taken_back", ""]
    for peer in (a, b):
        await peer.finish(peer.running or "")
    assert [(await master.end_of(job)).state for job in jobs] == [JobState.DONE] * 2


async def test_a_job_that_was_still_on_its_way_when_a_peer_came_free_is_taken_back_later(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    first = await master.submit(picture())
    await until(lambda: a.running, "the first runs")
    a.freeze()
    second = await master.submit(picture(1))
    await until(lambda: a.asked("/prompt")[1:], "the second is on its way to the one peer")
    b.on_prompt = "run"
    await master.add("b", b)
    assert (await master.run(picture(2), peer="b")).state is JobState.DONE
    a.thaw()
    assert outcomes(await master.end_of(second)) == ["taken_back", "done"]
    await a.finish(a.running or "")
    assert (await master.end_of(first)).state is JobState.DONE


async def test_a_job_is_not_taken_back_by_a_peer_that_cannot_run_it(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    jobs = [await master.submit(picture(n, made_by="RareNode")) for n in range(2)]
    await until(lambda: a.running and a.pending, "both are on the one peer")
    await master.add("b", b)
    plain = await master.submit(picture(7))
    await until(lambda: b.running, "the other peer is of use for something else")
    assert master.prompt_id(plain) == b.running
    assert [outcomes(master.job(job)) for job in jobs] == [[""], [""]]


async def test_being_taken_back_does_not_count_as_a_failure(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await master.add("a", a)
    jobs = [await master.submit(picture(n)) for n in range(2)]
    await until(lambda: a.running and a.pending, "both are on the one peer")
    second = next(job for job in jobs if master.prompt_id(job) != a.running)
    await master.add("b", b)
    await until(lambda: b.running, "the second runs on the other")
    # Lost by the peer that got it, it goes back to the first: that one never failed it.
    await b.go_down()
    await a.finish(a.running or "")
    await until(lambda: a.running == master.prompt_id(second), "the first has it again")
    await a.finish(a.running or "")
    assert (await master.end_of(second)).state is JobState.DONE


async def test_two_jobs_of_one_id_are_refused(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    job = await master.submit(picture(), source=Source.FLEET)
    with pytest.raises(ConfigError, match="an id of its own"):
        await master.runtime.jobs.submit(job.request, job_id=job.id)
