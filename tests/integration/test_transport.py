"""Files up to a peer and results down from it, hostile ones too."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.backends.client import ComfyUIClient
from orchestrator.core.models.backend import Health
from orchestrator.core.models.job import InputFile, Job, JobState, RemoteFile
from orchestrator.core.prompts.output_names import OutputNames
from orchestrator.dispatch.attempts.free_names import Counters
from orchestrator.dispatch.attempts.results import Results
from orchestrator.dispatch.attempts.transport import ASK_FROM_BYTES, Folders
from tests.fakes.answers import announce, answer, redirect
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import loaded_picture, picture
from tests.fakes.master import Master, outcomes, started
from tests.fakes.waiting import until

HOSTILE_NAMES = [
    "../../x.png",
    "/etc/x.png",
    "C:\\x.png",
    "..%2fx.png",
    "a\x00b.png",
    "a" * 3_000 + ".png",
    "CON",
    "con.png",
    "nul.tar.gz",
    "\u202egnp.exe",
    "a.png/../../b",
    "run.py",
    "page.html",
    "picture.svg",
    ".htaccess",
    "..",
    "",
    "-rf.png",
    "a\nb.png",
]
HOSTILE_FOLDERS = [
    "../..",
    "/etc",
    "C:\\Windows",
    "..\\..",
    "a/../../..",
    "~",
    "a\x00b",
    "con",
    "x/" * 500,
    ".",
]


@pytest.fixture
async def peer(master: Master) -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        await master.add("gpu", fake)
        yield fake


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


async def run_with_outputs(
    master: Master, peer: FakeComfyUI, make: Callable[[str], dict[str, Any]], **request: Any
) -> Job:
    """A job whose prompt ends on the peer with the outputs that `make` gives for the attempt's folder."""
    peer.on_prompt = "hold"
    job = await master.submit(picture(), **request)
    prompt_id = await master.running_on(peer, job)
    peer.on_prompt = "run"
    folder = peer.prompts[-1].graph["2"]["inputs"]["filename_prefix"].split("/")[0]
    await peer.finish(prompt_id, make(folder))
    return await master.end_of(job)


def contents_of(job: Job) -> list[bytes]:
    return [Path(output.path).read_bytes() for output in job.outputs]


def one_file(name: str, subfolder: str = "", kind: str = "output") -> dict[str, Any]:
    return {"2": {"images": [{"filename": name, "subfolder": subfolder, "type": kind}]}}


# Up


async def test_a_file_is_sent_once_for_two_jobs_and_under_its_new_bytes_again(
    master: Master, peer: FakeComfyUI
) -> None:
    image = master.input / "cat.png"
    await asyncio.to_thread(image.write_bytes, b"first")
    jobs = [await master.submit(loaded_picture("cat.png")) for _ in range(2)]
    assert [(await master.end_of(job)).state for job in jobs] == [JobState.DONE] * 2
    await master.run(loaded_picture("cat.png"))
    assert len(peer.asked("/upload/image")) == 1
    await asyncio.to_thread(image.write_bytes, b"second, and longer")
    await master.run(loaded_picture("cat.png"))
    assert len(peer.asked("/upload/image")) == 2
    sent = {content for (kind, folder, _), content in peer.files.items() if kind == "input"}
    assert sent == {b"first", b"second, and longer"}


@pytest.mark.parametrize(("changes", "carried"), [({}, True), ({"1.color": 3}, False)])
async def test_a_workflow_that_was_sent_as_one_is_in_its_files(
    master: Master, peer: FakeComfyUI, changes: dict[str, Any], carried: bool
) -> None:
    workflow = {"nodes": [], "links": []}
    await master.run(picture(), workflow=workflow, changes=changes)
    told = peer.prompts[0].extra_data.get("extra_pnginfo")
    assert told == ({"workflow": workflow} if carried else None)


async def test_the_journal_has_what_a_job_was_sent_with(master: Master, peer: FakeComfyUI) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"cat")
    graph = loaded_picture("cat.png")
    graph["3"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}  # the peer's own
    job = await master.run(graph)
    stored = await master.runtime.store.load_job(job.id)
    assert stored is not None
    assert stored.inputs == (InputFile("cat.png", hashlib.sha256(b"cat").hexdigest()),)


async def test_a_file_that_is_on_its_way_for_one_job_is_not_sent_for_the_next(
    master: Master, peer: FakeComfyUI
) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"cat")
    go = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return await peer._upload(request)

    peer.answers["/upload/image"] = slow
    jobs = [await master.submit(loaded_picture("cat.png")) for _ in range(2)]
    # Once for the list of nodes, and once for each.
    await until(lambda: len(peer.asked("/features")) == 3, "both have come to their files")
    await until(lambda: peer.asked("/upload/image"), "one of them sends")
    await asyncio.wait([asyncio.create_task(master.end_of(job)) for job in jobs], timeout=0.1)
    go.set()
    assert [(await master.end_of(job)).state for job in jobs] == [JobState.DONE] * 2
    assert len(peer.asked("/upload/image")) == 1


async def test_the_prompt_names_the_file_as_the_peer_stored_it(master: Master, peer: FakeComfyUI) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"cat")
    peer.answers["/upload/image"] = answer(
        json.dumps({"name": "x (1).png", "subfolder": "remote-dispatch", "type": "input"})
    )
    await master.run(loaded_picture("cat.png"))
    assert peer.prompts[0].graph["1"]["inputs"]["image"] == "remote-dispatch/x (1).png"


async def test_a_file_of_the_same_name_on_the_peer_stays_as_it_is(master: Master, peer: FakeComfyUI) -> None:
    peer.files["input", "", "cat.png"] = b"the peer's own cat"
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"cat")
    await master.run(loaded_picture("cat.png"))
    assert peer.files["input", "", "cat.png"] == b"the peer's own cat"
    folder, _, name = peer.prompts[0].graph["1"]["inputs"]["image"].rpartition("/")
    assert peer.files["input", folder, name] == b"cat"


async def test_a_file_that_only_the_peer_has_is_left_to_it(master: Master, peer: FakeComfyUI) -> None:
    await master.run(loaded_picture("example.png"))
    assert peer.prompts[0].graph["1"]["inputs"]["image"] == "example.png"
    assert peer.asked("/upload/image") == []


async def test_a_file_too_large_for_one_peer_goes_to_another(master: Master, peer: FakeComfyUI) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"x" * 2_000)
    peer.features["max_upload_size"] = 1_000
    async with FakeComfyUI() as large:
        large.vram_free -= 1 << 30  # so that it is the second choice
        await master.add("large", large)
        job = await master.run(loaded_picture("cat.png"))
        assert (job.state, outcomes(job)) == (JobState.DONE, ["refused", "done"])
        assert "takes uploads up to" in job.attempts[0].reason
        assert (peer.prompts, peer.asked("/upload/image")) == ([], [])


async def test_a_file_too_large_for_every_peer_fails_the_job_and_says_why(
    master: Master, peer: FakeComfyUI
) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"x" * (3 << 20))
    peer.features["max_upload_size"] = 1 << 20
    job = await master.run(loaded_picture("cat.png"))
    assert job.state is JobState.FAILED and job.error is not None
    assert "cat.png has 3 MiB; the peer takes uploads up to 1 MiB" in job.error["message"]
    assert peer.asked("/upload/image") == []


async def test_a_peer_that_lost_the_file_gets_it_again(master: Master, peer: FakeComfyUI) -> None:
    await asyncio.to_thread((master.input / "cat.png").write_bytes, b"cat")
    await master.run(loaded_picture("cat.png"))
    reason = {"type": "custom_validation_failed", "message": "Custom validation failed", "details": "image"}
    peer.refusal = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "failed"},
        "node_errors": {"1": {"class_type": "LoadImage", "errors": [reason]}},
    }
    peer.on_prompt = "refuse"
    job = await master.submit(loaded_picture("cat.png"))
    await until(lambda: any(outcomes(master.job(job))), "the peer refused it once")
    peer.on_prompt = "run"
    assert (await master.end_of(job)).state is JobState.DONE
    assert len(peer.asked("/upload/image")) >= 2


async def test_a_large_file_that_an_earlier_process_sent_is_not_sent_again(tmp_path: Path) -> None:
    async with FakeComfyUI() as peer:
        for process in range(3):
            async with started(tmp_path) as master:
                await asyncio.to_thread((master.input / "film.mp4").write_bytes, b"film" * ASK_FROM_BYTES)
                if not process:
                    await master.add("gpu", peer)
                if process == 2:  # a disk that was full there, say
                    ((place, _),) = [item for item in peer.files.items() if item[0][0] == "input"]
                    peer.files[place] = b"film"
                assert (await master.run(loaded_picture("film.mp4"))).state is JobState.DONE
        sent = [content for (kind, _, _), content in peer.files.items() if kind == "input"]
        assert (len(peer.asked("/upload/image")), sent[-1]) == (2, b"film" * ASK_FROM_BYTES)
        used = [prompt.graph["1"]["inputs"]["image"] for prompt in peer.prompts]
        assert used[0] == used[1] != used[2]


async def test_an_upload_whose_answer_was_lost_is_found_there(master: Master, peer: FakeComfyUI) -> None:
    await asyncio.to_thread((master.input / "film.mp4").write_bytes, b"film" * ASK_FROM_BYTES)

    async def taken_and_cut(request: web.Request) -> web.StreamResponse:
        answer = await peer._upload(request)
        assert request.transport is not None
        request.transport.abort()
        return answer

    peer.answers["/upload/image"] = taken_and_cut
    assert (await master.run(loaded_picture("film.mp4"))).state is JobState.DONE
    assert len(peer.asked("/upload/image")) == 1


# Down


async def test_a_picture_is_fetched_while_its_peer_still_works_and_shown_when_all_is_done(
    master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    job = await master.submit(picture())
    prompt_id = await master.running_on(peer, job)
    folder = peer.prompts[-1].graph["2"]["inputs"]["filename_prefix"].split("/")[0]
    peer.files["output", folder, "x.png"] = PNG
    made = one_file("x.png", folder)
    await peer.send(prompt_id, "executed", node="2", output=made["2"])
    await until(lambda: peer.asked("/view"), "it is being fetched")
    assert {path for path in files_below(master.output) if not path.startswith(".")} == set()
    await peer.finish(prompt_id, made)
    done = await master.end_of(job)
    assert contents_of(done) == [PNG]
    _, *later = peer.asked("/view")
    assert all("If-None-Match" in seen.headers for seen in later)  # whether it has grown since


@pytest.mark.parametrize("is_known_by_then", [True, False])
async def test_a_picture_asked_for_too_early_is_asked_for_again_at_the_end(
    tmp_path: Path, is_known_by_then: bool
) -> None:
    file = RemoteFile("2", "x.png")
    is_over = asyncio.Event()
    asked = 0

    async def view(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked > 1:
            return web.Response(body=PNG)
        await is_over.wait()
        return web.Response(status=404)

    def downloads() -> list[str]:
        names = [task.get_name() for task in asyncio.all_tasks()]
        return [name for name in names if name.startswith("remote-dispatch download")]

    async with FakeComfyUI() as fake, contextlib.AsyncExitStack() as stack:
        client = ComfyUIClient(fake.url)
        stack.push_async_callback(client.close)
        fake.answers["/view"] = view
        folders = Folders(tmp_path, tmp_path, lambda _: None)
        results = Results(client, folders, Counters(), job_id="job", names=OutputNames("rd-1"))
        results.expect([file])
        if is_known_by_then:
            is_over.set()
            await until(lambda: asked and not downloads(), "it was not there")
        delivery = asyncio.create_task(results.publish([file]))
        await until(lambda: asked, "it is asked for")
        is_over.set()
        output = (await delivery).places[file]
    assert await asyncio.to_thread(Path(output.path).read_bytes) == PNG


async def test_pictures_of_a_run_that_failed_afterwards_leave_nothing_behind(
    master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    peer.files["output", "", "x.png"] = PNG
    job = await master.submit(picture())
    prompt_id = await master.running_on(peer, job)
    await peer.send(prompt_id, "executed", node="2", output=one_file("x.png")["2"])
    await until(lambda: files_below(master.output), "it is here")
    await peer.fail(prompt_id)
    assert (await master.end_of(job)).state is JobState.FAILED
    assert await asyncio.to_thread(files_below, master.output) == set()


@pytest.mark.parametrize("keep", [True, False], ids=["graph", "value"])
@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
async def test_a_hostile_file_name_writes_nothing_outside_our_folders(
    tmp_path: Path, master: Master, peer: FakeComfyUI, name: str, keep: bool
) -> None:
    kind = "output" if keep else "temp"
    peer.files[kind, "", name] = PNG
    before = await asyncio.to_thread(files_below, tmp_path)
    job = await run_with_outputs(master, peer, lambda folder: one_file(name, "", kind))
    new = await asyncio.to_thread(files_below, tmp_path) - before
    assert job.state in (JobState.DONE, JobState.FAILED)
    written = {path for path in new if not path.startswith("data/")}
    place = "output/" if keep else f"temp/remote-dispatch/{job.id}/"
    assert all(path.startswith(place) for path in written)
    assert len(written) == len(job.outputs)
    for path in written:
        assert path.rpartition("/")[2].isprintable() and path.isascii()
        assert path.rpartition(".")[2] in ("png", "bin", "svg", "gz", "htaccess")
        assert not path.rpartition("/")[2].startswith(".")


@pytest.mark.parametrize("folder", HOSTILE_FOLDERS, ids=lambda folder: ascii(folder[:20]))
async def test_a_hostile_subfolder_writes_nothing_outside_the_output_folder(
    tmp_path: Path, master: Master, peer: FakeComfyUI, folder: str
) -> None:
    peer.files["output", folder, "x.png"] = PNG
    before = await asyncio.to_thread(files_below, tmp_path)
    job = await run_with_outputs(master, peer, lambda _: one_file("x.png", folder))
    new = await asyncio.to_thread(files_below, tmp_path) - before
    assert job.state is JobState.DONE, job.error
    assert {path.split("/")[0] for path in new} <= {"output", "data"}


async def test_a_link_planted_under_the_results_name_is_not_followed(
    tmp_path: Path, master: Master, peer: FakeComfyUI
) -> None:
    target = tmp_path / "victim"
    (master.output / "x.png").symlink_to(target)
    peer.files["output", "", "x.png"] = PNG
    job = await run_with_outputs(master, peer, lambda _: one_file("x.png"))
    assert job.state is JobState.DONE
    assert not await asyncio.to_thread(target.exists)


async def test_a_redirect_of_a_result_is_not_followed(master: Master, peer: FakeComfyUI) -> None:
    async with FakeComfyUI() as other:
        peer.answers["/view"] = redirect(f"{other.url}/view?filename=x.png&type=output")
        job = await master.run(picture())
        assert (job.state, other.requests) == (JobState.FAILED, [])


async def test_a_result_that_ends_early_is_not_delivered_and_leaves_nothing_behind(
    tmp_path: Path, master: Master, peer: FakeComfyUI
) -> None:
    peer.answers["/view"] = announce(5_000_000, b"x" * 1_500_000)
    job = await master.run(picture())
    assert (job.state, job.outputs) == (JobState.FAILED, ())
    assert {
        path for path in await asyncio.to_thread(files_below, tmp_path) if path.startswith("output")
    } == set()


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_listed_file_that_the_peer_does_not_give_is_named_on_a_done_job(
    master: Master, peer: FakeComfyUI, status: int
) -> None:
    def made(folder: str) -> dict[str, Any]:
        peer.files["output", folder, "here.png"] = PNG
        files = [
            *one_file("here.png", folder)["2"]["images"],
            *one_file("gone.png", "mnt/today")["2"]["images"],
        ]
        return {"2": {"images": files, "files": ["/mnt/today/gone.png"]}}

    async def view(request: web.Request) -> web.StreamResponse:
        is_here = request.query["filename"] == "here.png"
        return await peer._view(request) if is_here else web.Response(status=status)

    peer.answers["/view"] = view
    job = await run_with_outputs(master, peer, made)
    assert (job.state, outcomes(job), contents_of(job)) == (JobState.DONE, ["done"], [PNG])
    [note] = job.notes
    assert "gpu" in note and "gone.png" in note and "mnt/today" in note and str(status) in note
    assert job.shown == {
        "2": {
            "images": [{"filename": "here.png", "subfolder": "", "type": "output"}],
            "files": ["gone.png"],
        }
    }
    manager = master.runtime.manager
    assert [manager.get_status(config.id).health for config in manager.all()] == [Health.UP]


async def test_a_peer_that_was_restarted_before_its_files_were_fetched_makes_them_again(
    master: Master, peer: FakeComfyUI
) -> None:
    async def view(_: web.Request) -> web.Response:
        peer.forget()
        peer.answers.pop("/view", None)
        return web.Response(status=404)

    peer.answers["/view"] = view
    job = await run_with_outputs(master, peer, lambda _: one_file("x.png", kind="temp"))
    assert (job.state, outcomes(job), contents_of(job)) == (JobState.DONE, ["lost", "done"], [PNG])


async def test_numbers_that_are_no_numbers_in_a_history_are_read(master: Master, peer: FakeComfyUI) -> None:
    peer.files["output", "", "x.png"] = PNG
    outputs = {"2": {**one_file("x.png")["2"], "score": [float("nan"), float("inf")]}}
    job = await run_with_outputs(master, peer, lambda _: outputs)
    assert (job.state, len(job.outputs)) == (JobState.DONE, 1)


async def test_what_a_node_said_when_it_raised_may_be_nested_deeply(
    master: Master, peer: FakeComfyUI
) -> None:
    nested: Any = float("nan")
    for _ in range(400):
        nested = [nested]
    peer.on_prompt = "hold"
    job = await master.submit(picture())
    await peer.fail(await master.running_on(peer, job), current_inputs=nested)
    failed = await master.end_of(job)
    assert (failed.state, outcomes(failed)) == (JobState.FAILED, ["execution_error"])
    stored = await master.runtime.store.load_job(job.id)
    assert stored is not None and stored.state is JobState.FAILED


@pytest.mark.parametrize(
    "body",
    [
        "[" * 200_000,
        '{"%s": 5}',
        '{"%s": {"status": {"messages": 5}}}',
        '{"%s": {"status": [], "outputs": 1}}',
        "[]",
    ],
    ids=["deep", "number", "no messages", "no outputs", "list"],
)
async def test_a_history_that_is_not_comfyuis_ends_the_job_in_words(
    master: Master, peer: FakeComfyUI, body: str
) -> None:
    peer.on_prompt = "hold"
    job = await master.submit(picture())
    prompt_id = await master.running_on(peer, job)
    peer.on_prompt = "fail"
    peer.answers[f"/history/{prompt_id}"] = answer(body.replace("%s", prompt_id))
    peer.forget()
    ended = await master.end_of(job)
    assert ended.state is JobState.FAILED and ended.error is not None
    assert outcomes(ended)[0] == "lost"
