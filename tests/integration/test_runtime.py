"""The engine as a whole: what outlives it, what does not, and where a key never shows."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import pytest

from orchestrator.core.engine.faults.health import NO_EVENTS, HealthPolicy
from orchestrator.core.models.backend import Health
from orchestrator.core.models.job import Attempt, Job, JobRequest, JobState, Source
from orchestrator.errors import ConfigError, JobCancelledError, NotFoundError, StoreError
from orchestrator.host.api.views import job_view, peer_view
from tests.fakes.answers import answer, login_page, redirect
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import Master, outcomes, started
from tests.fakes.waiting import until

KEY = "Bearer s3cr3t-k3y"


async def health_of(master: Master, peer_id: str) -> tuple[Health, str]:
    status = await master.runtime.peers.check(peer_id)
    return status.health, status.reason


# Restarts


async def test_peers_and_jobs_are_there_after_a_restart(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer, tags=["fast"])
        done = await master.run(picture(1), title="one")
        failed = await master.run(picture(made_by="RareNode"))
        before = master.runtime.manager.all()
    async with started(tmp_path) as master:
        assert master.runtime.manager.all() == before
        assert master.runtime.jobs.all() == (failed, done)
        assert (await master.run(picture(2))).state is JobState.DONE


async def test_a_job_of_a_script_goes_on_where_it_ran_when_comfyui_is_restarted(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture())
        old = await master.running_on(peer, job)
    assert peer.running == old and peer.asked("/interrupt") == []
    polls = len(peer.asked(f"/history/{old}"))
    async with started(tmp_path) as master:
        await until(lambda: len(peer.asked(f"/history/{old}")) > polls, "the new master follows it")
        assert master.job(job).state is JobState.RUNNING
        assert master.runtime.ours_on(master.job(job).backend_id) == 1
        await peer.finish(old)
        done = await master.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["done"])
    assert len(done.outputs) == 1 and await asyncio.to_thread(Path(done.outputs[0].path).is_file)
    assert len(peer.asked("/prompt")) == 1


async def test_a_result_made_while_the_master_was_away_is_fetched(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture())
        old = await master.running_on(peer, job)
    await peer.finish(old)
    async with started(tmp_path) as master:
        done = await master.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["done"])
    assert len(done.outputs) == 1 and len(peer.asked("/prompt")) == 1


async def test_a_job_that_failed_while_the_master_was_away_has_failed(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture())
        old = await master.running_on(peer, job)
    await peer.fail(old)
    async with started(tmp_path) as master:
        failed = await master.end_of(job)
    assert failed.state is JobState.FAILED and len(peer.asked("/prompt")) == 1


async def test_a_job_that_its_peer_never_got_is_sent_to_the_same_peer_after_a_restart(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
    attempt = Attempt("11111111-2222-4333-8444-555555555555", peer_id, datetime.now(timezone.utc))
    job = Job(
        "of-a-script", JobRequest(prompt=picture()), attempt.started_at, JobState.RUNNING, peer_id, (attempt,)
    )
    await _write(tmp_path, job)
    async with started(tmp_path) as master:
        done = await master.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["lost", "done"])
    assert len(peer.asked("/prompt")) == 1


async def test_what_a_killed_process_had_stored_is_not_stored_once_more_by_a_new_run(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
        stored = Path((await master.run(picture())).outputs[0].path)
    attempt = Attempt("11111111-2222-4333-8444-555555555555", peer_id, datetime.now(timezone.utc))
    orphan = stored.with_name(stored.name.replace("00001", "00002"))
    await asyncio.to_thread(shutil.copyfile, stored, orphan)
    job = Job(
        "of-a-script", JobRequest(prompt=picture()), attempt.started_at, JobState.RUNNING, peer_id, (attempt,)
    )
    await _write(tmp_path, job)
    async with started(tmp_path) as master:
        done = await master.end_of(job)
    assert outcomes(done) == ["lost", "done"]
    assert [output.path for output in done.outputs] == [str(orphan)]
    assert set(await asyncio.to_thread(lambda: list(stored.parent.iterdir()))) == {stored, orphan}


async def test_a_job_whose_peer_is_gone_after_a_restart_runs_on_another_and_its_old_copy_is_stopped(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with FakeComfyUI() as other:
        async with started(tmp_path) as master:
            await master.add("gpu", peer)
            peer.on_prompt = "hold"
            job = await master.submit(picture())
            old = await master.running_on(peer, job)
            await master.add("other", other)
        peer.answers["*"] = login_page()
        async with started(tmp_path) as master:
            done = await master.end_of(job)
            assert (done.state, outcomes(done)) == (JobState.DONE, ["lost", "done"])
            assert len(other.asked("/prompt")) == 1
            del peer.answers["*"]
            await until(lambda: peer.asked("/interrupt"), "the old copy is stopped")
            assert peer.asked("/interrupt")[-1].json == {"prompt_id": old}


async def test_a_job_that_never_left_the_machine_leaves_it_after_the_restart(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        job = await master.submit(picture())
        waiting = asyncio.create_task(master.runtime.jobs.wait(job.id))
        await until(lambda: master.job(job).explanation, "it waits")
    with pytest.raises(JobCancelledError, match="goes on at its next start"):
        await waiting
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        assert (await master.end_of(job)).state is JobState.DONE


async def test_the_job_of_a_node_ends_with_the_comfyui_it_ran_in(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture(), source=Source.NODE)
        prompt_id = await master.running_on(peer, job)
    assert [seen.json for seen in peer.asked("/interrupt")] == [{"prompt_id": prompt_id}]
    async with started(tmp_path) as master:
        assert [(known.id, known.state) for known in master.runtime.jobs.all()] == [
            (job.id, JobState.CANCELLED)
        ]


async def test_the_job_of_a_node_is_not_run_again_after_a_kill_and_its_attempt_is_stopped(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
    attempt = Attempt("11111111-2222-4333-8444-555555555555", peer_id, datetime.now(timezone.utc))
    request = JobRequest(prompt=picture(), source=Source.NODE)
    job = Job("of-a-node", request, attempt.started_at, JobState.RUNNING, peer_id, (attempt,))
    await _write(tmp_path, job)
    async with started(tmp_path) as master:
        ended = await master.runtime.jobs.get(job.id)
        assert ended.state is JobState.CANCELLED and ended.error is not None
        assert "restarted" in ended.error["message"]
        await until(
            lambda: peer.asked(f"/history/{attempt.prompt_id}"), "it is looked for, so as to be stopped"
        )
        assert peer.asked("/prompt") == []


async def test_the_attempt_of_a_nodes_job_is_stopped_although_its_peer_answers_only_later(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        job = await master.submit(picture(), source=Source.NODE)
        await master.running_on(peer, job)
        left = tmp_path / "left"
        await asyncio.to_thread(shutil.copytree, tmp_path / "data", left / "data")  # as a power cut leaves it
        peer.freeze()

    async with started(left, health=HealthPolicy(poll_s=0.05, timeout_s=0.2)) as master:
        assert (await master.runtime.jobs.get(job.id)).state is JobState.CANCELLED
        before = len(peer.asked("/queue"))
        await until(lambda: len(peer.asked("/queue")) >= before + 3, "it was asked in vain")
        peer.thaw()
        await until(lambda: peer.running is None, "it is told again and stops")


async def test_a_late_copy_that_could_not_be_stopped_is_stopped_after_the_next_start(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    health = HealthPolicy(poll_s=0.05, timeout_s=0.2)
    async with FakeComfyUI() as other:
        async with started(tmp_path, health=health) as master:
            peer.vram_free += 1 << 30  # the first choice
            await master.add("gpu", peer)
            await master.add("other", other)
            peer.on_prompt = "hold"
            job = await master.submit(picture())
            late = await master.running_on(peer, job)
            peer.freeze()
            assert outcomes(await master.end_of(job)) == ["lost", "done"]
        assert peer.running == late
        peer.thaw()
        async with started(tmp_path, health=health):
            await until(lambda: peer.running is None, "it is stopped")
        assert len(peer.prompts) == 1


async def test_a_second_comfyui_on_the_same_folder_leaves_the_jobs_of_the_first_alone(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    async with started(tmp_path) as first:
        await first.add("gpu", peer)
        job = await first.submit(picture())
        prompt_id = await first.running_on(peer, job)
        async with started(tmp_path) as second:
            assert "same user folder" in second.runtime.store.notice
            assert second.runtime.jobs.all() == ()
            peer.on_prompt = "run"
            theirs = await second.submit(picture(seed=2))
            await peer.finish(prompt_id)
            assert (await second.end_of(theirs)).state is JobState.DONE
        assert (await first.end_of(job)).state is JobState.DONE
        assert [found.id for found in first.runtime.jobs.all()] == [job.id]
    assert len(peer.prompts) == 2


async def test_an_engine_whose_folder_cannot_be_used_says_so_to_everyone_who_asks(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "data" / "journal.sqlite3").mkdir, parents=True)
    master = Master(tmp_path)
    with pytest.raises(StoreError):
        await master.runtime.start()
    with pytest.raises(ConfigError, match="could not start"):
        await master.submit(picture())
    await master.runtime.aclose()


async def _write(home: Path, job: Job) -> None:
    """Put a job into the journal as a process that was killed would have left it."""
    store = Master(home).runtime.store
    await store.open()
    await store.save_job(job)
    await store.aclose()


# Peers


async def test_a_new_peer_is_known_when_it_is_added(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
        assert master.runtime.manager.get_status(peer_id).health is Health.UP
        assert master.runtime.manager.get_object_info(peer_id) is not None


async def test_a_peer_at_a_path_behind_a_proxy_is_used_with_its_path_and_its_key(tmp_path: Path) -> None:
    async with (
        FakeComfyUI(prefix="/gpu/two", key=("Authorization", KEY)) as peer,
        started(tmp_path) as master,
    ):
        await master.add("gpu", peer, credentials={"value": KEY})
        assert (await master.run(picture())).state is JobState.DONE
        await until(lambda: peer.asked("/ws"), "the events are listened to")
        assert {seen.headers.get("Authorization") for seen in peer.requests} == {KEY}


async def test_the_owner_of_a_peer_whose_websocket_is_out_of_reach_is_told(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    peer.answers["/ws"] = answer(status=404)
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
        assert (await master.run(picture())).state is JobState.DONE
        status = master.runtime.manager.get_status
        await until(lambda: status(peer_id).reason == NO_EVENTS, "its owner is told")
        assert status(peer_id).health is Health.UP
        del peer.answers["/ws"]
        assert (await master.run(picture())).state is JobState.DONE  # which tries it at once
        await until(lambda: not status(peer_id).reason, "all is well")


async def test_a_wrong_key_a_login_page_and_a_redirect_all_want_a_key(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with FakeComfyUI(key=("Authorization", KEY)) as locked, started(tmp_path) as master:
        peer_id = await master.add("locked", locked, credentials={"value": "Bearer wrong"})
        health, reason = await health_of(master, peer_id)
        assert (health, "refused the saved key (401)" in reason) == (Health.NEEDS_KEY, True)
        await master.runtime.peers.update(peer_id, {"credentials": {"value": KEY}})
        assert await health_of(master, peer_id) == (Health.UP, "")
        other_id = await master.add("other", peer)
        before = len(locked.requests)
        for handler in (login_page(), redirect(f"{locked.url}/login")):
            peer.answers["*"] = handler
            assert (await health_of(master, other_id))[0] is Health.NEEDS_KEY
        assert not [seen for seen in locked.requests[before:] if seen.path == "/login"]


async def test_the_key_is_in_no_view_journal_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeComfyUI(key=("Authorization", KEY)) as peer, started(tmp_path) as master:
        peer_id = await master.add("gpu", peer, credentials={"value": KEY})
        await master.run(picture())
        await peer.go_down()
        await health_of(master, peer_id)
        waiting = await master.submit(picture(1))
        runtime = master.runtime
        config, status = runtime.manager.get(peer_id), runtime.manager.get_status(peer_id)
        shown = json.dumps(
            [
                peer_view(config, status, ours=0, node_types=None),
                *(job_view(job, runtime.peers.name) for job in runtime.jobs.all()),
            ]
        )
        shown += repr(
            (config, status, runtime.secrets, runtime.jobs.all(), [asdict(j) for j in runtime.jobs.all()])
        )
        await runtime.jobs.cancel(waiting.id)
        await peer.come_back()
    on_disk = {
        path.name
        for path in await asyncio.to_thread(lambda: [*tmp_path.rglob("*")])
        if path.is_file() and KEY.encode() in await asyncio.to_thread(path.read_bytes)
    }
    assert on_disk == {"credentials.json"}
    assert "s3cr3t" not in shown
    assert "s3cr3t" not in caplog.text


async def test_a_peer_without_a_name_is_called_as_the_network_calls_its_machine(tmp_path: Path) -> None:
    known = {"192.168.7.20": "render-1.fritz.box", "192.168.7.21": "<b>.fritz.box"}

    def told(address: str) -> str:
        if address not in known:
            raise socket.herror("Unknown host")
        return known[address]

    async with started(tmp_path, name_of=told) as master:
        urls = [f"192.168.7.{place}" for place in ("20:8188", "20:8189", "21:8188", "22:8188")]
        added = [await master.runtime.peers.add(name=" ", url=url, enabled=False) for url in urls]
    assert [config.name for config in added] == ["render-1", *urls[1:]]


async def test_a_removed_peer_is_still_called_by_its_name(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
        job = await master.run(picture())
        await master.runtime.peers.remove(peer_id)
        assert job_view(job, master.runtime.peers.name)["peer"] == "gpu"
    async with started(tmp_path) as master:
        assert job_view(job, master.runtime.peers.name)["peer"] == "a removed peer"


async def test_a_removed_peer_is_forgotten_with_its_key(tmp_path: Path) -> None:
    async with FakeComfyUI(key=("Authorization", KEY)) as peer, started(tmp_path) as master:
        peer_id = await master.add("gpu", peer, credentials={"value": KEY})
        await master.runtime.peers.remove(peer_id)
        assert (master.runtime.manager.all(), await master.runtime.store.load_peers()) == ((), ())
        assert not master.runtime.secrets.has(peer_id)
        with pytest.raises(NotFoundError):
            await master.runtime.peers.check(peer_id)


async def test_a_peer_whose_address_is_taken_leaves_no_key_behind(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        with pytest.raises(ConfigError, match="registered already, as gpu"):
            await master.add("twin", peer, credentials={"value": KEY})
        text = await asyncio.to_thread(
            lambda: "".join(p.read_text() for p in master.data.glob("credentials*"))
        )
        assert "s3cr3t" not in text


async def test_a_peer_that_is_switched_off_or_draining_gets_no_new_job(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        peer_id = await master.add("gpu", peer)
        for change, words in (({"enabled": False}, "switched off"), ({"draining": True}, "draining")):
            await master.runtime.peers.update(peer_id, {"enabled": True, "draining": False, **change})
            job = await master.run(picture(), wait_for_peer=False)
            assert job.error is not None and words in job.error["message"]
        assert peer.asked("/prompt") == []
        waiting = await master.submit(picture())
        await master.runtime.peers.update(peer_id, {"enabled": True, "draining": False})
        assert (await master.end_of(waiting)).state is JobState.DONE


async def test_closing_leaves_no_task_behind(tmp_path: Path, peer: FakeComfyUI) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        peer.on_prompt = "hold"
        for seed in range(4):
            await master.submit(picture(seed))
        await until(lambda: peer.pending, "two are on the peer, two wait")
    left = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("remote-dispatch")}
    assert left == set()


async def test_a_peer_that_lists_a_new_class_after_its_restart_gets_the_job_that_waits_for_it(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        await master.add("off", "http://127.0.0.1:9")
        job = await master.submit(picture(made_by="RareNode"))
        await until(lambda: "RareNode" in master.job(job).explanation, "it waits for the peer that is off")
        await peer.go_down()

        def of_gpu() -> str:
            return master.job(job).explanation.partition("gpu:")[2].partition("; off:")[0]

        await until(lambda: "refused" in of_gpu(), "it is seen to be off")
        peer.object_info = stock_classes("RareNode")
        await peer.come_back()
        assert (await master.end_of(job)).state is JobState.DONE


@pytest.mark.parametrize("attempt", range(4))
async def test_the_engine_closes_although_its_peer_has_just_gone(tmp_path: Path, attempt: int) -> None:
    # A cancellation that meets an answer or a broken connection at the same moment must not get lost.
    async with started(tmp_path) as master:
        async with FakeComfyUI() as fake:
            await master.add("gpu", fake)
            for seed in range(2):
                await master.submit(picture(seed))
            await until(lambda: len(fake.prompts) == 2, "both are on the peer")
        await asyncio.wait_for(master.runtime.aclose(), 10)
