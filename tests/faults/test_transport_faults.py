"""F09, F12, F16, F21, F24, F34 of the fault list: results on their way, and what is never delivered."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.models.job import Job, JobState
from tests.fakes.comfyui import PNG
from tests.fakes.master import outcomes
from tests.fakes.proxy import Proxy
from tests.fakes.waiting import until
from tests.faults.rig import KEY, Rig, standing

CREDENTIALS = {"header": KEY[0], "value": KEY[1]}


def large_png(seed: int, size: int = 3 << 20) -> bytes:
    """A whole PNG with so much in a chunk of text."""
    text = bytes([seed]) * size
    chunk = struct.pack(">I4s", len(text), b"tEXt") + text + struct.pack(">I", zlib.crc32(b"tEXt" + text))
    return PNG[:33] + chunk + PNG[33:]


@pytest.fixture
async def proxy(rig: Rig) -> AsyncIterator[Proxy]:
    """Before a third peer of the rig, which is `a` by another way; `a` and `b` themselves take no jobs."""
    async with Proxy(rig.a.port) as proxy:
        for name in ("a", "b"):
            await rig.master.runtime.peers.update(rig.ids[name], {"draining": True})
        rig.ids["proxied"] = await rig.master.add("proxied", proxy.url, credentials=CREDENTIALS)
        yield proxy
        await rig.master.runtime.peers.remove(rig.ids["proxied"])


async def ended_with(rig: Rig, data: bytes, *, name: str = "x.png", job: Job | None = None) -> Job:
    """A job whose peer `a` says it made a file of this name and content."""
    job = job or await rig.submit_to(rig.a)
    prompt = next(p for p in rig.a.prompts if p.id == rig.master.prompt_id(job))
    folder = str(prompt.graph["2"]["inputs"]["filename_prefix"]).split("/")[0]
    rig.a.files["output", folder, name] = data
    file = {"filename": name, "subfolder": folder, "type": "output"}
    rig.a.on_prompt = "run"
    await rig.a.finish(prompt.id, {"2": {"images": [file]}})
    return job


async def test_f09_a_picture_that_a_full_disk_cut_off_is_made_elsewhere(rig: Rig) -> None:
    whole = large_png(1)
    done = await rig.end_of(await ended_with(rig, whole[: len(whole) // 2]))
    assert (done.state, outcomes(done)) == (JobState.DONE, ["bad_result", "done"])
    assert "not whole" in done.attempts[0].reason and "disk full" in done.attempts[0].reason


async def test_f09_a_peer_whose_disk_is_full_says_so_and_the_job_runs_elsewhere(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    said = "[Errno 28] No space left on device: 'ComfyUI_00001_.png'"
    await rig.a.fail(rig.a.running or "", node_id="2", exception_type="OSError", exception_message=said)
    rig.b.on_prompt = "run"
    done = await rig.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["disk_full", "done"])
    assert "The disk of a is full" in done.attempts[0].reason


async def test_f12_a_job_whose_acceptance_was_cut_off_is_found_and_runs_once(rig: Rig, proxy: Proxy) -> None:
    proxy.cut_requests = lambda data: data.startswith(b"POST /prompt") or b'"prompt_id"' in data
    proxy.cuts = 1
    done = await rig.run()
    assert (done.state, len(rig.a.prompts), proxy.cuts) == (JobState.DONE, 1, 0)


async def test_f16_a_download_that_is_cut_three_times_goes_on_where_it_was(rig: Rig, proxy: Proxy) -> None:
    whole = large_png(1)
    rig.good.add(whole)
    job = await rig.submit_to(rig.a)
    proxy.cut_after, proxy.cuts = 700_000, 3
    done = await rig.end_of(await ended_with(rig, whole, job=job))
    assert (done.state, outcomes(done), proxy.cuts) == (JobState.DONE, ["done"], 0)
    asked = [seen.headers for seen in rig.a.asked("/view") if "If-None-Match" not in seen.headers]
    ranges = [headers.get("Range", "") for headers in asked]
    assert ranges[0] == "" and len(ranges) == 4
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges[1:]]
    assert starts == sorted(set(starts)) and starts[0] > 0


async def test_f16_a_result_that_changed_meanwhile_is_fetched_from_its_beginning(
    rig: Rig, proxy: Proxy
) -> None:
    first, second = large_png(1), large_png(2)
    rig.good.add(second)
    job = await rig.submit_to(rig.a)
    proxy.cut_after, proxy.cuts = 700_000, 1
    await ended_with(rig, first, job=job)
    await until(lambda: rig.a.asked("/view"), "it is on its way")
    for key in [key for key, data in rig.a.files.items() if data == first]:
        rig.a.files[key] = second
    assert (await rig.end_of(job)).state is JobState.DONE


async def test_f21_a_folder_that_cannot_be_written_is_not_the_peers_fault_and_the_result_is_kept(
    rig: Rig,
) -> None:
    def put_a_file_in_the_way() -> Path:
        blocking = rig.master.output / "pictures"
        blocking.write_text("in the way")
        return blocking

    blocking = await asyncio.to_thread(put_a_file_in_the_way)
    rig.a.on_prompt = "run"
    job = await rig.submit()
    await until(lambda: "cannot be written" in rig.master.job(job).progress_text, "it is said")
    assert rig.master.job(job).state is JobState.RUNNING
    await asyncio.to_thread(blocking.unlink)
    done = await rig.end_of(job)
    assert (done.state, outcomes(done), rig.posts(), rig.health("a")) == (
        JobState.DONE,
        ["done"],
        [1, 0],
        "up",
    )


async def test_f24_files_of_one_name_from_two_peers_are_both_kept(rig: Rig) -> None:
    rig.a.on_prompt = rig.b.on_prompt = "run"
    ended = [await rig.run(peer=name) for name in ("a", "b")]
    assert len({output.path for job in ended for output in job.outputs}) == 2


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.png", b"\x80\x04\x95pickle"),
        ("x.png", b"<html><script>alert(1)</script>"),
        ("x.png", b""),
        ("x.latent", b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c"),
        ("x.safetensors", struct.pack("<Q", 1 << 40) + b"{}"),
        ("x.mp4", b"MZ not a film"),
        ("x.webp", b"RIFF\xff\xff\xff\x00WEBP"),
        ("x.jpg", b"\xff\xd8\xff\xe0 never ended"),
    ],
    ids=ascii,
)
async def test_f34_a_file_that_is_not_what_its_name_says_is_not_delivered(
    rig: Rig, name: str, data: bytes
) -> None:
    done = await rig.end_of(await ended_with(rig, data, name=name))
    assert outcomes(done) == ["bad_result", "done"]


async def test_f21_a_disk_that_is_almost_full_takes_no_result_and_leaves_it_on_the_peer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(tmp_path, reserve_bytes=1 << 62) as rig:
        job = await rig.submit()
        await until(lambda: "Make room" in rig.master.job(job).progress_text, "it is said")
        assert "still has the result" in rig.master.job(job).progress_text
        await rig.master.runtime.jobs.cancel(job.id)
    await rig.check_afterwards(caplog.text)
