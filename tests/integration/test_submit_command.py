"""``python -m orchestrator submit`` as a person runs it: a process, against a real engine behind a socket."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.fakes.answers import answer, silence
from tests.fakes.api import Host
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.waiting import until

from .test_command_line import ROOT, Ended


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    return peer


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(picture()), encoding="utf-8")
    return path


async def begun(host: Host, *arguments: object, token: str = "") -> asyncio.subprocess.Process:
    return await begun_at(host.url, *arguments, token=token or host.guard.token)


async def begun_at(url: str, *arguments: object, token: str = "") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", "submit", *map(str, arguments), "--server", url),
        cwd=ROOT,
        env={"ORCHESTRATOR_TOKEN": token, "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def submit(host: Host, *arguments: object, token: str = "") -> Ended:
    process = await begun(host, *arguments, token=token)
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def test_it_prints_the_jobs_ids_and_does_not_wait(host: Host, peer: FakeComfyUI, graph: Path) -> None:
    peer.on_prompt = "hold"
    ended = await submit(host, graph)
    assert (ended.code, ended.out.split()) == (0, [job.id for job in host.runtime.jobs.all()])
    assert f"1 job submitted to {host.url}" in ended.err
    await host.runtime.jobs.cancel(ended.out.strip())


async def test_every_combination_of_values_is_a_job_and_all_files_are_fetched(
    host: Host, peer: FakeComfyUI, graph: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results" / "new"
    changes = ("--set", "1.color=1", "2", "3", "--set", "EmptyImage.width=8", "16", "24")
    ended = await submit(host, graph, *changes, "--out", out)
    assert ended.code == 0, ended.err
    assert "9 variations" in ended.err and "9 of 9 over" in ended.err
    sent = {(p.graph["1"]["inputs"]["color"], p.graph["1"]["inputs"]["width"]) for p in peer.prompts}
    assert sent == {(color, width) for color in (1, 2, 3) for width in (8, 16, 24)}
    files = sorted(out.iterdir())
    assert [file.read_bytes() for file in files] == [PNG] * 9
    assert ended.out.count("done on gpu") == 9
    again = await submit(host, graph, "--set", "1.color=1", "--out", out)
    assert again.code == 0 and len(sorted(out.iterdir())) == 10


async def test_text_numbers_and_json_are_told_apart(host: Host, peer: FakeComfyUI, graph: Path) -> None:
    ended = await submit(host, graph, "--set", "SaveImage.filename_prefix=a cat", "--wait", "--json")
    assert ended.code == 0, ended.err
    assert peer.prompts[0].graph["2"]["inputs"]["filename_prefix"].endswith("/a cat")
    (job,) = json.loads(ended.out)
    assert (job["state"], job["title"]) == ("done", "graph · filename_prefix a cat")


async def test_a_failed_job_is_one_and_says_why(host: Host, peer: FakeComfyUI, graph: Path) -> None:
    peer.on_prompt = "hold"
    process = await begun(host, graph, "--wait")
    await until(lambda: peer.running, "it runs")
    await peer.fail(peer.running or "")
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert "failed" in out.decode() and "on gpu" in out.decode()


@pytest.mark.parametrize(
    "arguments",
    [("--set", "color"), ("--set", "=1"), ("--count", "0"), ("--count", "2", "--set", "1.color=1", "2")],
    ids=str,
)
async def test_wrong_usage_is_two(
    host: Host, peer: FakeComfyUI, graph: Path, arguments: tuple[str, ...]
) -> None:
    ended = await submit(host, graph, *arguments)
    assert ended.code == 2 and ended.err.startswith(("submit: ", "2 variations")), ended.err
    assert host.runtime.jobs.all() == ()


async def test_a_file_that_is_none_is_two(host: Host, tmp_path: Path) -> None:
    assert (await submit(host, tmp_path / "nothing.json")).code == 2


async def test_a_wrong_token_is_three_and_the_token_is_never_printed(host: Host, graph: Path) -> None:
    ended = await submit(host, graph, token="a-wrong-token")
    assert ended.code == 3 and "refuses" in ended.err
    assert "a-wrong-token" not in ended.out + ended.err


async def test_a_master_that_is_not_there_is_three(graph: Path) -> None:
    async with FakeComfyUI() as fake:
        url = fake.url  # an address where nobody listens afterwards
    process = await begun_at(url, graph)
    _, err = await process.communicate()
    assert process.returncode == 3 and b"cannot be reached" in err


async def test_what_is_no_master_is_three(host: Host, graph: Path, peer: FakeComfyUI) -> None:
    peer.answers["/orchestrator/jobs"] = answer("<html>", status=404, content_type="text/html")
    process = await begun_at(peer.url, graph)
    _, err = await process.communicate()
    assert process.returncode == 3 and b"has no Remote Dispatch" in err


@pytest.fixture
def ctrl_c() -> Iterator[int]:
    """The signal; what is started in a shell's background inherits that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.SIGINT
    signal.signal(signal.SIGINT, before)


async def test_ctrl_c_cancels_what_was_submitted(
    host: Host, peer: FakeComfyUI, graph: Path, ctrl_c: int
) -> None:
    peer.on_prompt = "hold"
    process = await begun(host, graph, "--count", "3", "--wait")
    await until(lambda: peer.running and peer.pending, "they are on the peer")
    process.send_signal(ctrl_c)
    _, err = await process.communicate()
    assert process.returncode == 130 and b"cancelling what was submitted" in err
    assert {job.state.value for job in host.runtime.jobs.all()} == {"cancelled"}
    assert (peer.running, peer.pending) == (None, [])


async def test_ctrl_c_before_the_answer_cancels_what_it_then_names(
    peer: FakeComfyUI, graph: Path, ctrl_c: int
) -> None:
    """The fake peer stands in for a master that takes its time to say which jobs it took."""
    pressed = asyncio.Event()

    async def takes_its_time(request: web.Request) -> web.Response:
        await pressed.wait()
        return web.json_response({"job_ids": ["first", "second"]}, status=202)

    peer.answers["/orchestrator/jobs"] = takes_its_time
    for job_id in ("first", "second"):
        peer.answers[f"/orchestrator/jobs/{job_id}/cancel"] = answer("{}")
    process = await begun_at(peer.url, graph)
    await until(lambda: peer.asked("/orchestrator/jobs"), "it was asked")
    process.send_signal(ctrl_c)
    pressed.set()
    out, _ = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert all(peer.asked(f"/orchestrator/jobs/{job_id}/cancel") for job_id in ("first", "second"))


async def test_a_second_ctrl_c_does_not_wait_and_claims_no_cancelling(
    peer: FakeComfyUI, graph: Path, ctrl_c: int
) -> None:
    peer.answers["/orchestrator/jobs"] = silence()
    process = await begun_at(peer.url, graph)
    await until(lambda: peer.asked("/orchestrator/jobs"), "it was asked")
    assert process.stderr is not None
    said = asyncio.create_task(process.stderr.readuntil(b"jobs."), name="its last words")
    while not said.done():  # two signals at once are one to the system
        process.send_signal(ctrl_c)
        await asyncio.wait([said], timeout=0.2)
    await process.communicate()
    err = said.result()
    assert process.returncode == 130 and b"had not answered yet" in err and b"cancelling" not in err


async def test_ctrl_c_while_a_file_arrives_leaves_no_half_of_it(
    host: Host, peer: FakeComfyUI, graph: Path, tmp_path: Path, ctrl_c: int
) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b"\x89PNG" + b"0" * 600_000)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")

    job = {"job_id": "first", "state": "done", "outputs": [{"filename": "picture.png"}]}
    peer.answers["/orchestrator/jobs"] = answer('{"job_ids": ["first"]}', status=202)
    peer.answers["/orchestrator/jobs/first"] = answer(json.dumps(job))
    peer.answers["/orchestrator/jobs/first/outputs/0"] = half
    peer.answers["/orchestrator/jobs/first/cancel"] = answer("{}")
    out = tmp_path / "results"
    process = await begun_at(peer.url, graph, "--out", out)
    await until(lambda: list(out.glob("*")), "a file is begun")
    process.send_signal(ctrl_c)
    await process.communicate()
    assert process.returncode == 130 and not list(out.glob("*"))


async def test_a_hostile_file_name_stays_in_the_folder(
    host: Host, peer: FakeComfyUI, graph: Path, tmp_path: Path
) -> None:
    hostile: dict[str, Any] = {"filename": "../../evil.png", "subfolder": "..", "type": "output"}
    peer.files["output", "..", "../../evil.png"] = PNG
    peer.on_prompt = "hold"
    out = tmp_path / "deep" / "results"
    process = await begun(host, graph, "--out", out)
    await until(lambda: peer.running, "it runs")
    await peer.finish(peer.running or "", {"2": {"images": [hostile]}})
    await process.communicate()
    assert process.returncode == 0
    found = await asyncio.to_thread(lambda: list(tmp_path.rglob("*evil*")))
    assert [path.parent for path in found if "output" not in path.parts] == [out]
