"""F52 of the fault list: the journal's disk runs full, and has room again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.models.job import JobRequest, JobState
from orchestrator.errors import StoreError
from tests.fakes.api import serving
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.disks import SmallDisk, small_disk
from tests.fakes.graphs import picture
from tests.fakes.master import started
from tests.fakes.waiting import until
from tests.faults.rig import Rig, standing

WRITTEN_S = 20.0  #: for the next try to write, on a machine that is busy


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """What the journal lies on."""
    with small_disk(tmp_path / "data", "3m") as disk:
        yield disk


def notices(rig: Rig) -> str:
    return " ".join(rig.master.runtime.notices)


async def test_a_batch_that_the_disk_has_no_room_for_is_refused_whole_and_may_be_sent_again(
    tmp_path: Path,
) -> None:
    """Half of it accepted, and cancelled again, would stand under its id for ever."""
    size = 24 << 20
    with small_disk(tmp_path / "data", "24m"):
        async with serving(tmp_path) as host:
            await host.ask("PATCH", "/orchestrator/settings", {"paused": True})
            wal, ballast = tmp_path / "data" / "journal.sqlite3-wal", tmp_path / "data" / "ballast"
            await until(lambda: wal.stat().st_size == 0, "nothing is left to be written", WRITTEN_S)
            ballast.write_bytes(bytes(size - (4 << 20)))
            names = [{"2.filename_prefix": f"{number}{'x' * 2000}"} for number in range(1000)]
            body = {"prompt": picture(), "request_id": "one", "variations": names}
            assert (await host.ask("POST", "/orchestrator/jobs", body))[0] == 503
            assert host.runtime.jobs.all() == ()
            ballast.unlink()
            status, answer = await host.ask("POST", "/orchestrator/jobs", body)
            assert status == 202, answer
            again = (await host.ask("POST", "/orchestrator/jobs", body))[1]
            assert len(set(answer["job_ids"])) == 1000 and again["job_ids"] == answer["job_ids"]


async def test_what_a_full_disk_refuses_of_peers_and_settings_is_not_half_done(
    disk: SmallDisk, tmp_path: Path
) -> None:
    """Else a peer that could not be added is there until the next start, and a removed one is there again."""
    wal = tmp_path / "data" / "journal.sqlite3-wal"
    async with started(tmp_path) as master:
        book, known = master.runtime.peers, master.runtime.manager.all
        kept = await master.add("kept", "http://127.0.0.1:9", enabled=False)
        await until(lambda: wal.stat().st_size == 0, "nothing is left to be written", WRITTEN_S)
        disk.fill()
        with pytest.raises(StoreError):
            await master.add("new", "http://127.0.0.1:10", enabled=False)
        with pytest.raises(StoreError):
            await book.update(kept, {"name": "other", "url": "http://127.0.0.1:11"})
        with pytest.raises(StoreError):
            await book.remove(kept)
        with pytest.raises(StoreError):
            await master.runtime.change_settings({"fleet_mode": True})
        assert not master.runtime.settings.fleet_mode
        assert [(peer.name, peer.url) for peer in known()] == [("kept", "http://127.0.0.1:9")]
        disk.clear()
        await master.add("new", "http://127.0.0.1:10", enabled=False)
        await book.remove(kept)
    async with started(tmp_path) as master:
        assert [peer.name for peer in master.runtime.manager.all()] == ["new"]


async def test_f52_a_full_disk_holds_the_line_and_ends_no_job(
    disk: SmallDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    async with standing(tmp_path) as rig:
        rig.master.runtime.notices.subscribe(lambda: told.append(notices(rig)))
        rig.a.on_prompt = rig.b.on_prompt = "hold"
        jobs = [await rig.submit() for _ in range(8)]
        await until(lambda: rig.a.running and rig.b.running, "both peers are at work")
        await until(lambda: len(rig.a.prompts) + len(rig.b.prompts) == 4, "and have the next one")
        disk.fill()
        await rig.a.finish(str(rig.a.running))
        await until(lambda: "disk is full" in notices(rig), "it is said")
        with pytest.raises(StoreError, match=r"takes no new jobs for now.*disk is full.*go on by themselves"):
            await rig.master.submit(jobs[0].request.prompt)
        await rig.b.finish(str(rig.b.running))
        line = rig.master.runtime.queue.jobs
        await until(lambda: line() and all("disk is full" in job.explanation for job in line()), "held")
        assert len(rig.a.prompts) + len(rig.b.prompts) == 4  # nothing is begun that the journal does not know
        disk.clear()
        await until(lambda: notices(rig) == "", "it can be written again", WRITTEN_S)
        rig.a.on_prompt = rig.b.on_prompt = "run"
        for peer in (rig.a, rig.b):
            if peer.running:
                await peer.finish(peer.running)
        ends = [await rig.end_of(job) for job in jobs]
        assert {job.state for job in ends} == {JobState.DONE}
        assert sum(map(len, (rig.a.prompts, rig.b.prompts))) == len(jobs)  # each ran once
        assert [bool(text) for text in told] == [True, False]
        assert (await rig.run()).state is JobState.DONE
    await rig.check_afterwards(caplog.text)


async def test_f52_what_was_refused_for_a_full_disk_does_not_run_later(
    disk: SmallDisk, tmp_path: Path
) -> None:
    async with FakeComfyUI() as peer:
        async with started(tmp_path) as master:
            await master.add("gpu", peer)
            assert (await master.run(picture())).state is JobState.DONE
            disk.fill()
            for front in (False, True):
                with pytest.raises(StoreError, match="disk is full"):
                    await master.runtime.jobs.submit(JobRequest(prompt=picture()), front=front)
            disk.clear()
            assert (await master.run(picture())).state is JobState.DONE  # without a restart
        async with started(tmp_path) as again:
            assert [job.state for job in again.runtime.jobs.all()] == [JobState.DONE] * 2
        assert len(peer.asked("/prompt")) == 2


async def test_f52_a_master_that_ends_while_the_disk_is_full_goes_on_with_its_jobs_later(
    disk: SmallDisk, tmp_path: Path
) -> None:
    async with FakeComfyUI() as peer:
        peer.on_prompt = "hold"
        async with started(tmp_path) as master:
            await master.add("gpu", peer)
            job = await master.submit(picture())
            prompt_id = await master.running_on(peer, job)
            disk.fill()
            await peer.finish(prompt_id)
            await until(lambda: "disk is full" in " ".join(master.runtime.notices), "it is said")
        disk.clear()
        async with started(tmp_path) as again:
            assert (await again.end_of(job)).state is JobState.DONE
        assert len(peer.prompts) == 1
