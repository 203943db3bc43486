"""A job's story on scripted peers behind real sockets: placed, followed, retried, cancelled, delivered."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.job import Job, JobState
from orchestrator.dispatch.queue.registry import JobUpdate
from orchestrator.errors import NoEligiblePeerError
from tests.fakes.answers import answer, silence, value_not_in_list
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import Master, outcomes, started
from tests.fakes.waiting import until


@pytest.fixture
async def fleet(master: Master, a: FakeComfyUI, b: FakeComfyUI) -> Master:
    await master.add("a", a)
    await master.add("b", b)
    return master


def posts(*peers: FakeComfyUI) -> list[int]:
    """How many prompts were posted to each peer."""
    return [len(peer.asked("/prompt")) for peer in peers]


def said(job: Job) -> str:
    assert job.error is not None
    return str(job.error["message"])


def contents_of(job: Job) -> list[bytes]:
    return [Path(output.path).read_bytes() for output in job.outputs]


# Results


async def test_the_files_of_a_job_arrive_byte_for_byte_under_the_name_the_workflow_asked_for(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture(prefix="pictures/cat"))
    prompt_id = await fleet.running_on(a, job)
    folder = a.prompts[0].graph["2"]["inputs"]["filename_prefix"].rpartition("/")[0]
    contents = [PNG + bytes(range(256)) * 5_000, PNG + b"second", PNG]
    names = [f"cat_0000{n}_.png" for n in range(1, 4)]
    a.files = {("output", folder, name): content for name, content in zip(names, contents, strict=True)}
    images = [{"filename": name, "subfolder": folder, "type": "output"} for name in names]
    await a.finish(prompt_id, {"2": {"images": images}})
    done = await fleet.end_of(job)
    assert done.state is JobState.DONE, done.error
    assert contents_of(done) == contents
    assert [Path(output.path).relative_to(fleet.output).as_posix() for output in done.outputs] == [
        f"pictures/{name}" for name in names
    ]


async def test_pictures_of_the_same_name_from_two_peers_are_both_kept(fleet: Master) -> None:
    jobs = [await fleet.submit(picture(seed)) for seed in range(2)]
    done = [await fleet.end_of(job) for job in jobs]
    assert len({job.outputs[0].path for job in done}) == 2
    assert [contents_of(job) for job in done] == [[PNG]] * 2


async def test_an_attempt_tells_when_its_peer_began_and_when_the_first_step_was_done(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    await until(lambda: fleet.job(job).attempts[-1].begun_at is not None, "the peer said that it began")
    assert fleet.job(job).attempts[-1].loaded_at is None
    await a.send(prompt_id, "progress_state", nodes={"1": {"state": "running", "value": 1, "max": 20}})
    await until(lambda: fleet.job(job).attempts[-1].loaded_at is not None, "a step was told")
    await a.finish(prompt_id)
    [attempt] = (await fleet.end_of(job)).attempts
    moments = [attempt.started_at, attempt.begun_at, attempt.loaded_at, attempt.ended_at]
    assert moments == sorted(moments)  # type: ignore[type-var]


async def test_a_job_whose_start_was_not_heard_has_begun_with_the_next_word_of_it(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt, a.unsaid = "hold", {"execution_start", "execution_cached"}
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    await a.send(prompt_id, "progress_state", nodes={"1": {"state": "running", "value": 1, "max": 20}})
    await until(lambda: fleet.job(job).attempts[-1].begun_at is not None, "it has begun")
    await a.go_down()
    assert outcomes(await fleet.end_of(job)) == ["peer_died", "done"]


# Placement


async def test_two_jobs_run_on_two_peers_at_once(fleet: Master, a: FakeComfyUI, b: FakeComfyUI) -> None:
    a.on_prompt = b.on_prompt = "hold"
    jobs = [await fleet.submit(picture(seed)) for seed in range(2)]
    await until(lambda: a.running and b.running, "both peers are busy")
    assert posts(a, b) == [1, 1]
    for peer in (a, b):
        await peer.finish(peer.running or "")
    assert [(await fleet.end_of(job)).state for job in jobs] == [JobState.DONE] * 2


async def test_at_most_two_jobs_are_on_a_peer_and_the_next_goes_to_whoever_is_free_first(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = b.on_prompt = "hold"
    jobs = [await fleet.submit(picture(seed)) for seed in range(6)]
    await until(lambda: posts(a, b) == [2, 2], "both peers have one job that runs and one that waits")
    assert [fleet.job(job).state for job in jobs[4:]] == [JobState.WAITING] * 2
    await b.finish(b.running or "")
    await until(lambda: posts(a, b) == [2, 3], "the fifth job went to the peer that was free first")
    assert fleet.job(jobs[5]).state is JobState.WAITING
    a.on_prompt = b.on_prompt = "run"
    for peer in (a, b):
        await peer.finish(peer.running or "")
    assert [(await fleet.end_of(job)).state for job in jobs] == [JobState.DONE] * 6


async def test_a_job_on_a_peer_that_is_removed_comes_to_its_end_there(fleet: Master, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    await fleet.runtime.peers.remove(fleet.job(job).backend_id)
    await a.finish(prompt_id)
    assert outcomes(await fleet.end_of(job)) == ["done"]


async def test_without_any_peer_the_job_that_does_not_want_to_wait_is_told_what_to_do(master: Master) -> None:
    job = await master.run(picture(), wait_for_peer=False)
    assert (job.state, job.attempts) == (JobState.FAILED, ())
    assert "Open the Fleet tab and add" in said(job)


async def test_when_no_peer_can_run_it_the_reason_for_each_is_given_at_once(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    job = await fleet.submit(picture(made_by="RareNode"))
    with pytest.raises(NoEligiblePeerError) as caught:
        await fleet.runtime.jobs.wait(job.id)
    assert caught.value.permanent
    assert caught.value.reasons == dict.fromkeys("ab", "it lacks the node RareNode")
    assert posts(a, b) == [0, 0]


async def test_a_job_waits_for_a_peer_that_is_off_and_starts_when_it_comes(
    master: Master, a: FakeComfyUI
) -> None:
    await a.go_down()
    await master.add("a", a)
    job = await master.submit(picture())
    await until(lambda: "refused the connection" in master.job(job).explanation, "it says why it waits")
    await a.come_back()
    assert (await master.end_of(job)).state is JobState.DONE


async def test_a_job_goes_only_to_the_peer_it_is_pinned_to(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await fleet.run(picture(), peer="b")
    assert posts(a, b) == [0, 1]


async def test_removing_a_peer_does_not_hurt_the_jobs_that_wait(fleet: Master, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    b_id = next(config.id for config in fleet.runtime.manager.all() if config.name == "b")
    jobs = [await fleet.submit(picture(seed), peer="a") for seed in range(3)]
    await until(lambda: len(a.prompts) == 2, "the third job waits for a slot")
    await fleet.runtime.peers.remove(b_id)
    a.on_prompt = "run"
    await a.finish(a.running or "")
    assert [(await fleet.end_of(job)).state for job in jobs] == [JobState.DONE] * 3


# Refused and lost


async def test_a_peer_that_refuses_the_connection_is_replaced_at_once(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    async with started(tmp_path, health=HealthPolicy(poll_s=60)) as master:
        await master.add("a", a)
        await master.add("b", b)
        await a.go_down()
        job = await master.run(picture())
        assert (job.state, outcomes(job)) == (JobState.DONE, ["unreachable", "done"])
        assert posts(a, b) == [0, 1]


async def test_a_job_whose_acceptance_was_lost_on_the_way_is_adopted_and_not_posted_again(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "drop_after_accept"
    job = await fleet.submit(picture())
    await until(lambda: a.running, "it runs although nobody heard so")
    await a.finish(a.running or "")
    done = await fleet.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["done"])
    assert posts(a, b) == [1, 0]


async def test_a_job_that_did_not_arrive_is_posted_to_another_peer(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "drop"
    job = await fleet.run(picture())
    assert (job.state, posts(a, b)) == (JobState.DONE, [1, 1])


async def test_a_server_error_at_the_post_is_looked_into_and_then_another_peer_is_taken(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "error"
    job = await fleet.run(picture())
    assert (job.state, outcomes(job), posts(a, b)) == (JobState.DONE, ["refused", "done"], [1, 1])
    assert any(seen.path.startswith("/history/") for seen in a.requests)


async def test_a_peer_that_would_leave_out_a_part_of_the_graph_gets_it_cancelled(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    a.node_errors = value_not_in_list("1", picture())["node_errors"]
    job = await fleet.submit(picture(), peer="a")
    await until(lambda: posts(a) == [1], "it was posted")
    a.node_errors = {}
    await until(lambda: len(fleet.job(job).attempts) > 1 or fleet.job(job).state.is_final, "it was refused")
    first = fleet.job(job).attempts[0]
    assert first.outcome == "prompt_refused"
    assert first.prompt_id not in (a.running, *a.pending)
    asked = [seen.json for seen in a.asked("/interrupt")]
    assert asked == [{"prompt_id": first.prompt_id}]
    await fleet.runtime.jobs.cancel(job.id)


async def test_a_class_that_a_stale_list_promised_is_looked_for_elsewhere_and_asked_once(
    master: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.object_info = b.object_info = stock_classes("RareNode")
    await master.add("a", a)
    await master.add("b", b)
    lists_read = len(a.asked("/object_info"))
    a.object_info = stock_classes()
    job = await master.run(picture(made_by="RareNode"))
    assert (job.state, outcomes(job), posts(a, b)) == (JobState.DONE, ["prompt_refused", "done"], [1, 1])
    await until(lambda: len(a.asked("/object_info")) > lists_read, "the list is read again")
    await until(
        lambda: master.runtime.manager.get_object_info(job.attempts[0].backend_id), "the new list is known"
    )
    await master.run(picture(made_by="RareNode"))
    assert posts(a, b) == [1, 2]


async def test_a_peer_whose_new_list_says_no_is_not_asked_again_though_it_is_the_only_one(
    master: Master, a: FakeComfyUI
) -> None:
    a.object_info = stock_classes("RareNode")
    await master.add("a", a)
    a.object_info = stock_classes()
    go = asyncio.Event()

    async def hesitate(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return await a._get_object_info(request)

    a.answers["/object_info"] = hesitate
    job = await master.submit(picture(made_by="RareNode"))
    await until(lambda: "answer is still due" in master.job(job).explanation, "it waits for the new list")
    assert posts(a) == [1]
    go.set()
    failed = await master.end_of(job)
    assert (failed.state, outcomes(failed), posts(a)) == (JobState.FAILED, ["prompt_refused"], [1])
    assert "it lacks the node RareNode" in said(failed)
    assert failed.explanation == ""


async def test_a_model_that_is_gone_is_looked_for_elsewhere_and_the_peer_not_asked_twice(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt, a.refusal = "refuse", value_not_in_list("1", picture())
    b.on_prompt, b.refusal = "refuse", value_not_in_list("1", picture())
    job = await fleet.submit(picture())
    await until(lambda: posts(a, b) == [1, 1], "both were asked once")
    await until(lambda: len(fleet.job(job).attempts) > 1, "and both had their turn")
    assert len({attempt.backend_id for attempt in fleet.job(job).attempts[:2]}) == 2
    await fleet.end_of(job)


async def test_a_graph_that_is_wrong_on_every_peer_is_refused_by_the_first(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "refuse"
    a.refusal = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
        "node_errors": {
            "1": {
                "class_type": "EmptyImage",
                "errors": [{"type": "value_bigger_than_max", "message": "Value too big", "details": "width"}],
            }
        },
    }
    job = await fleet.run(picture())
    assert (job.state, posts(a, b)) == (JobState.FAILED, [1, 0])
    assert "EmptyImage (node 1): Value too big: width" in said(job)
    assert job.error is not None and "1" in job.error["node_errors"]


async def test_a_node_that_raises_fails_the_job_and_names_itself(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = b.on_prompt = "hold"
    job = await fleet.submit(picture())
    for peer in (a, b):
        await peer.fail(await fleet.running_on(peer, job), node_id="1", exception_message="no such colour")
    failed = await fleet.end_of(job)
    assert (failed.state, outcomes(failed)) == (JobState.FAILED, ["execution_error", "execution_error"])
    assert said(failed) == "EmptyImage (node 1) failed on b: no such colour"
    assert failed.error is not None and failed.error["node_id"] == "1"
    assert posts(a, b) == [1, 1]


async def test_a_graph_that_no_machine_could_run_fails_at_once(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    wrong = "mat1 and mat2 shapes cannot be multiplied (77x768 and 1024x320)"
    await a.fail(await fleet.running_on(a, job), exception_message=wrong)
    assert outcomes(await fleet.end_of(job)) == ["graph_error"]
    assert posts(a, b) == [1, 0]


async def test_a_job_too_large_for_the_memory_of_one_peer_is_tried_on_another(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    await a.fail(await fleet.running_on(a, job), exception_type="torch.OutOfMemoryError")
    done = await fleet.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["out_of_memory", "done"])


async def test_a_job_that_somebody_interrupts_on_the_peer_ends_and_says_so(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    await fleet.running_on(a, job)
    await a.interrupt()
    ended = await fleet.end_of(job)
    assert (ended.state, outcomes(ended), posts(b)) == (JobState.FAILED, ["interrupted_on_peer"], [0])


async def test_a_history_that_is_empty_right_after_the_success_is_read_again(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.late_history = 6  # more than it takes to count a job as lost
    job = await fleet.run(picture())
    assert (job.state, outcomes(job), len(job.outputs)) == (JobState.DONE, ["done"], 1)


async def test_a_peer_that_forgot_the_job_has_lost_it_and_another_runs_it(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    await fleet.running_on(a, job)
    lookups = f"/history/{fleet.prompt_id(job)}"
    asked = len(a.asked(lookups))
    a.forget()
    done = await fleet.end_of(job)
    assert (done.state, outcomes(done), posts(a, b)) == (JobState.DONE, ["lost", "done"], [1, 1])
    # Three polls look twice each; the first of these looks may have been before it was forgotten.
    assert len(a.asked(lookups)) - asked >= 2 * 3 - 1


async def test_a_peer_that_dies_with_the_job_is_replaced(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    await fleet.running_on(a, job)
    await a.go_down()
    done = await fleet.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["peer_died", "done"])


async def test_a_job_that_waits_again_says_nothing_of_the_peer_that_died(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = b.on_prompt = "hold"
    waits_again: list[Job] = []

    def listen(told: JobUpdate) -> None:
        if isinstance(told, Job) and told.attempts and told.state is JobState.WAITING:
            waits_again.append(told)

    for seed in (1, 2):  # so that `b` has no room for what `a` loses
        await fleet.submit(picture(seed), peer="b")
    job = await fleet.submit(picture(3), listen)
    await fleet.running_on(a, job)
    assert fleet.job(job).explanation and fleet.job(job).progress_text
    await a.go_down()
    await until(lambda: waits_again, "somebody was told that it waits again")
    first = waits_again[0]
    assert (first.backend_id, first.progress_text, first.explanation) == ("", "", "")


async def test_a_fleet_of_one_tries_itself_again(master: Master, a: FakeComfyUI) -> None:
    await master.add("a", a)
    a.on_prompt = "hold"
    job = await master.submit(picture())
    await master.running_on(a, job)
    a.on_prompt = "run"
    a.forget()
    done = await master.end_of(job)
    assert (done.state, outcomes(done), posts(a)) == (JobState.DONE, ["lost", "done"], [2])


async def test_after_three_attempts_the_job_fails_with_the_last_reason(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = b.on_prompt = "error"
    job = await fleet.run(picture())
    assert (job.state, outcomes(job)) == (JobState.FAILED, ["refused"] * 3)
    assert "500" in said(job)


async def test_one_bad_answer_to_a_poll_does_not_end_the_job(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    polls = len(a.asked(f"/history/{prompt_id}"))
    for bad in (answer(status=502), answer("what?"), answer("", status=401)):
        a.answers[f"/history/{prompt_id}"] = bad
        polls = len(a.asked(f"/history/{prompt_id}"))
        await until(lambda: len(a.asked(f"/history/{prompt_id}")) > polls, "it was polled")  # noqa: B023
        del a.answers[f"/history/{prompt_id}"]
        polls = len(a.asked(f"/history/{prompt_id}"))
        await until(lambda: len(a.asked(f"/history/{prompt_id}")) > polls, "it is still polled")  # noqa: B023
    await a.finish(prompt_id)
    done = await fleet.end_of(job)
    assert (done.state, outcomes(done), posts(b)) == (JobState.DONE, ["done"], [0])


async def test_a_silent_peer_is_given_up_and_the_job_runs_elsewhere(
    tmp_path: Path, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    async with started(tmp_path, health=HealthPolicy(poll_s=0.05, timeout_s=0.3)) as master:
        await master.add("a", a)
        await master.add("b", b)
        a.on_prompt = "hold"
        job = await master.submit(picture())
        await master.running_on(a, job)
        a.freeze()
        done = await master.end_of(job)
        assert (done.state, outcomes(done)) == (JobState.DONE, ["lost", "done"])
        a.thaw()
        await until(lambda: a.running is None, "its late copy is stopped when it can be reached again")
        assert done.attempts[0].prompt_id in [seen.json["prompt_id"] for seen in a.asked("/interrupt")]


# The websocket


async def test_polling_carries_the_job_when_there_never_was_a_websocket(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.answers["/ws"] = answer(status=404)
    job = await fleet.run(picture(), peer="a")
    assert (job.state, outcomes(job)) == (JobState.DONE, ["done"])


async def test_a_job_of_a_peer_without_a_websocket_has_begun_when_its_queue_says_so(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.answers["/ws"] = answer(status=404)
    a.on_prompt = "hold"
    running = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, running)
    await until(lambda: fleet.job(running).begun_at is not None, "its beginning is known")
    assert fleet.job(running).attempts[-1].begun_at is not None
    await a.finish(prompt_id)
    assert outcomes(await fleet.end_of(running)) == ["done"]


async def test_polling_carries_the_job_when_the_websocket_is_cut(fleet: Master, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    await until(lambda: a.sockets, "it listens")
    a.answers["/ws"] = silence()
    await a.cut_sockets()
    await a.finish(prompt_id)
    assert outcomes(await fleet.end_of(job)) == ["done"]


# Cancelling


async def test_a_job_cancelled_while_it_waits_never_leaves_the_machine(
    fleet: Master, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    jobs = [await fleet.submit(picture(seed), peer="a") for seed in range(3)]
    await until(lambda: len(a.prompts) == 2, "the third waits")
    cancelled = await fleet.runtime.jobs.cancel(jobs[2].id)
    assert (cancelled.state, cancelled.attempts) == (JobState.CANCELLED, ())
    assert posts(a, b) == [2, 0]


async def test_a_job_cancelled_in_the_peers_queue_is_taken_out_and_the_running_one_goes_on(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    first, second = [await fleet.submit(picture(seed), peer="a") for seed in range(2)]
    await until(lambda: a.running and a.pending, "the second waits on the peer")
    prompt_id = a.pending[0]
    owner = next(job for job in (first, second) if fleet.prompt_id(job) == prompt_id)
    cancelled = await fleet.runtime.jobs.cancel(owner.id)
    assert (cancelled.state, a.pending) == (JobState.CANCELLED, [])
    assert [seen.json for seen in a.asked("/queue") if seen.method == "POST"] == [{"delete": [prompt_id]}]
    assert a.asked("/interrupt") == []
    assert a.running is not None


async def test_a_running_job_that_is_cancelled_is_interrupted_by_its_own_id(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    cancelled = await fleet.runtime.jobs.cancel(job.id)
    assert (cancelled.state, a.running) == (JobState.CANCELLED, None)
    assert [seen.json for seen in a.asked("/interrupt")] == [{"prompt_id": prompt_id}]
    stored = await fleet.runtime.store.load_job(job.id)
    assert stored is not None and stored.state is JobState.CANCELLED


async def test_a_job_cancelled_while_its_post_is_on_the_way_does_not_run_on_as_an_orphan(
    fleet: Master, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    go = asyncio.Event()
    accept = a._post_prompt

    async def slow(request: web.Request) -> web.StreamResponse:
        async def work() -> web.StreamResponse:
            await go.wait()
            return await accept(request)

        return await asyncio.shield(asyncio.ensure_future(work()))

    a.answers["/prompt"] = slow
    job = await fleet.submit(picture(), peer="a")
    await until(lambda: posts(a) == [1], "the post has left")
    cancelling = asyncio.create_task(fleet.runtime.jobs.cancel(job.id))
    await asyncio.wait([cancelling], timeout=0.1)  # one that does not wait for the answer ends here
    go.set()
    assert (await cancelling).state is JobState.CANCELLED
    await until(lambda: a.prompts, "the peer took it")
    assert (a.running, a.pending) == (None, [])


async def test_a_job_can_be_cancelled_the_moment_it_was_accepted(fleet: Master, a: FakeComfyUI) -> None:
    job = await fleet.submit(picture())
    assert (await fleet.runtime.jobs.cancel(job.id)).state is JobState.CANCELLED
    assert posts(a) == [0]


async def test_cancelling_again_and_again_is_cancelling_once(fleet: Master, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    await fleet.running_on(a, job)
    go = asyncio.Event()

    async def hesitate(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return await a._post_interrupt(request)

    a.answers["/interrupt"] = hesitate
    cancellings: list[asyncio.Task[Job]] = []
    for _ in range(3):
        cancellings.append(asyncio.create_task(fleet.runtime.jobs.cancel(job.id)))
        await until(lambda: a.asked("/interrupt"), "the first one is on its way")
        await asyncio.wait(cancellings, timeout=0.02)
    go.set()
    assert [ended.state for ended in await asyncio.gather(*cancellings)] == [JobState.CANCELLED] * 3
    assert (len(a.asked("/interrupt")), a.running) == (1, None)


async def test_a_cancellation_that_comes_too_late_leaves_the_job_done(fleet: Master, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    job = await fleet.submit(picture())
    prompt_id = await fleet.running_on(a, job)
    heard: list[JobState] = []
    fleet.runtime.jobs.on_change(lambda known: heard.append(known.state))
    story = next(task for task in asyncio.all_tasks() if job.id in task.get_name())
    # Another writer keeps the journal busy while the end is to be written down.
    with closing(sqlite3.connect(fleet.data / "journal.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await a.finish(prompt_id)
        await fleet.reaches(job, JobState.DONE)
        cancelling = asyncio.create_task(fleet.runtime.jobs.cancel(job.id))
        await asyncio.sleep(0)
        other.execute("COMMIT")
    assert (await cancelling).state is JobState.DONE
    assert story.cancelled()
    assert heard[-1] is JobState.DONE
    stored = await fleet.runtime.store.load_job(job.id)
    assert stored is not None and stored.state is JobState.DONE


async def test_a_listener_that_fails_does_not_hurt_the_job(fleet: Master) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a listener's own trouble")

    fleet.runtime.jobs.on_change(fail)
    job = await fleet.submit(picture(), fail)
    assert (await fleet.end_of(job)).state is JobState.DONE


# What is sent


async def test_the_journal_has_the_job_and_its_prompt_id_before_the_peer_hears_of_it(
    fleet: Master, a: FakeComfyUI
) -> None:
    journalled: list[Job | None] = []
    accept = a._post_prompt
    job_ids: list[str] = []

    async def look(request: web.Request) -> web.StreamResponse:
        for job_id in job_ids:
            journalled.append(await fleet.runtime.store.load_job(job_id))
        return await accept(request)

    a.answers["/prompt"] = look
    job = await fleet.submit(picture())
    job_ids.append(job.id)
    await fleet.end_of(job)
    assert journalled and journalled[0] is not None
    posted = a.asked("/prompt")[0].json["prompt_id"]
    assert [attempt.prompt_id for attempt in journalled[0].attempts] == [posted]


async def test_a_job_is_not_said_to_run_before_the_journal_knows_where(fleet: Master) -> None:
    job = await fleet.submit(picture())
    # Another writer keeps the journal busy while the attempt is to be written down.
    with closing(sqlite3.connect(fleet.data / "journal.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        peers = [config.id for config in fleet.runtime.manager.all()]
        await until(lambda: any(map(fleet.runtime.ours_on, peers)), "the job has its place")
        for _ in range(100):  # turns of the loop: it could say so by now
            await asyncio.sleep(0)
        assert (await fleet.runtime.jobs.get(job.id)).state is JobState.WAITING
        other.execute("COMMIT")
    assert (await fleet.end_of(job)).state is JobState.DONE


async def test_the_post_holds_what_the_request_gave_and_nothing_else(fleet: Master, a: FakeComfyUI) -> None:
    await fleet.run(picture(seed=2**64 - 1), extra_data={"preview_method": "auto"})
    body = a.asked("/prompt")[0].json
    assert sorted(body) == ["client_id", "extra_data", "prompt", "prompt_id"]
    assert body["extra_data"] == {"preview_method": "auto"}
    assert body["prompt"]["1"]["inputs"]["color"] == 2**64 - 1
    assert "Origin" not in a.asked("/prompt")[0].headers
