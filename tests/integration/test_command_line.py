"""``python -m orchestrator`` as a person runs it: a process, files, a server on a socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fakes.comfyui import FakeComfyUI

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "converter"
NAME = "image_qwen_image.json"


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


async def run(*arguments: object) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", *map(str, arguments)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


def load(name: str) -> Any:
    with gzip.open(DATA / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def record() -> dict[str, Any]:
    return next(r for r in load("templates_fe1.58.1") if r["name"] == NAME)


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_text(json.dumps(record()["workflow_file"]), encoding="utf-8")
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    info = PngInfo()
    info.add_text("prompt", json.dumps(record()["api"]))
    info.add_text("workflow", json.dumps(record()["workflow_file"]))
    path = tmp_path / "ComfyUI_00001_.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


OBJECT_INFO = ("--object-info", DATA / "object_info.json.gz")


def inputs(prompt: dict[str, Any]) -> dict[str, Any]:
    return {node_id: (node["class_type"], node["inputs"]) for node_id, node in prompt.items()}


async def test_a_workflow_becomes_the_prompt_the_page_would_send(workflow: Path) -> None:
    done = await run("convert", workflow, *OBJECT_INFO)
    assert (done.code, done.err) == (0, "")
    assert inputs(json.loads(done.out)) == inputs(record()["api"])


async def test_a_pictures_own_prompt_is_used_and_that_is_said(picture: Path) -> None:
    sent, made = await asyncio.gather(
        run("convert", picture, *OBJECT_INFO), run("convert", picture, *OBJECT_INFO, "--from-workflow")
    )
    assert json.loads(sent.out) == record()["api"]
    assert "ComfyUI_00001_.png: Uses the file's own prompt" in sent.err
    assert (made.code, made.err) == (0, "")
    assert inputs(json.loads(made.out)) == inputs(record()["api"])


async def test_the_prompt_goes_into_a_file_where_one_is_named(workflow: Path, tmp_path: Path) -> None:
    done = await run("convert", workflow, *OBJECT_INFO, "--out", tmp_path / "prompt.json")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert inputs(json.loads((tmp_path / "prompt.json").read_bytes())) == inputs(record()["api"])


async def test_a_running_server_is_asked_for_its_nodes(workflow: Path) -> None:
    async with FakeComfyUI(prefix="/comfy") as server:
        server.object_info = load("object_info")
        done = await run("convert", workflow, "--server", server.url + "/")
    assert (done.code, done.err) == (0, "")
    assert inputs(json.loads(done.out)) == inputs(record()["api"])


async def test_parameters_are_listed_the_most_wanted_first(workflow: Path) -> None:
    done = await run("inspect", workflow, *OBJECT_INFO)
    lines = done.out.splitlines()
    assert done.code == 0
    assert [line.split()[0] for line in lines[:5]] == ["ADDRESS", "6.text", "7.text", "3.seed", "3.steps"]
    assert "0..18446744073709551615" in lines[3]


async def test_parameters_are_listed_for_programs_with_and_without_definitions(workflow: Path) -> None:
    full, bare = await asyncio.gather(
        run("inspect", workflow, *OBJECT_INFO, "--json"), run("inspect", workflow, "--json")
    )
    told = {p["address"]: p for p in json.loads(full.out)}
    assert (told["3.steps"]["type"], told["3.steps"]["min"], told["3.steps"]["max"]) == ("INT", 1, 10_000)
    assert "euler" in told["3.sampler_name"]["choices"]
    assert {p["address"] for p in json.loads(bare.out)} >= {"6.text", "3.seed", "3.steps"}


async def test_a_title_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "prompt.json"
    node = {"class_type": "A", "inputs": {"text": "\x1b[2Jx"}, "_meta": {"title": "\x1b]0;owned\x07"}}
    path.write_text(json.dumps({"1": node}))
    done = await run("inspect", path)
    assert done.code == 0
    assert "\x1b" not in done.out and "\x07" not in done.out


async def test_wrong_usage_is_code_2(workflow: Path) -> None:
    for arguments in ((), ("convert", workflow), ("convert", workflow, *OBJECT_INFO, "--server", "x")):
        done = await run(*arguments)
        assert done.code == 2
        assert "usage:" in done.err


async def refused(*arguments: object) -> str:
    done = await run(*arguments)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1, done.err
    return done.err


async def test_a_wrong_file_is_code_1_and_one_line(tmp_path: Path, workflow: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>")
    assert "No such file" in await refused("convert", tmp_path / "gone.json", *OBJECT_INFO)
    assert "no workflow that can be read" in await refused("inspect", page)
    assert "/object_info gives" in await refused("convert", workflow, "--object-info", page)
    assert "cannot be opened" in await refused("convert", workflow, *OBJECT_INFO, "--out", tmp_path)


async def test_nodes_of_unknown_classes_are_all_named(tmp_path: Path, workflow: Path) -> None:
    definitions = tmp_path / "object_info.json"
    definitions.write_text(json.dumps({"KSampler": load("object_info")["KSampler"]}))
    said = await refused("convert", workflow, "--object-info", definitions)
    assert "CLIPLoader" in said and "VAELoader" in said


async def test_a_server_that_is_not_there_or_is_none_is_said_so(workflow: Path) -> None:
    async with FakeComfyUI() as server:
        address = server.url

        async def answer_page(_: web.Request) -> web.Response:
            return web.Response(text="<h1>log in</h1>", content_type="text/html")

        async def answer_elsewhere(_: web.Request) -> web.Response:
            raise web.HTTPFound("http://127.0.0.1:9/")

        for handler, words in ((answer_page, "as ComfyUI does"), (answer_elsewhere, "asks for a login")):
            server.answers["/object_info"] = handler
            assert words in await refused("convert", workflow, "--server", address)
    assert "cannot be reached" in await refused("convert", workflow, "--server", address)
    assert "http or https" in await refused("convert", workflow, "--server", "ftp://x")


async def test_a_server_with_a_key_is_said_so(workflow: Path) -> None:
    async with FakeComfyUI(key=("Authorization", "Bearer x")) as server:
        assert "asks for a login (401)" in await refused("convert", workflow, "--server", server.url)


async def test_an_endless_answer_is_not_taken(workflow: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b" " * (1 << 20))
        except ConnectionError:
            return answer

    async with FakeComfyUI() as server:
        server.answers["/object_info"] = endless
        assert "more than 64 MiB" in await refused("convert", workflow, "--server", server.url)


async def test_a_reader_that_has_seen_enough_is_no_error(workflow: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", "inspect", str(workflow), "--json", *map(str, OBJECT_INFO)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert await process.stderr.read() == b""
    assert await process.wait() == 0
