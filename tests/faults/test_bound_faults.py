"""F55 of the fault list: answers without an end are refused before they fill a disk or the memory."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.backends.client import ComfyUIClient
from orchestrator.core.models.job import JobState, RemoteFile
from orchestrator.errors import PeerError, ResultError
from tests.fakes.comfyui import MIB, PNG, FakeComfyUI
from tests.fakes.master import outcomes
from tests.faults.rig import Rig

IN_FLIGHT = 8 * MIB  #: what a peer has written and nobody read
RESULT = RemoteFile("2", "x.dat", "run")


class Endless:
    """An answer without a length that begins with `head` and goes on with `block` until nobody reads."""

    def __init__(self, head: bytes, block: bytes, kind: str = "application/octet-stream") -> None:
        self._head, self._block, self._kind = head, block, kind
        self.sent = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": self._kind})
        await answer.prepare(request)
        data = self._head
        while True:
            await answer.write(data)
            self.sent += len(data)
            data = self._block


@pytest.mark.parametrize(
    ("head", "most"), [(b"noise" * 100, 0), (PNG[:16], 64 * MIB)], ids=["of another kind", "of its kind"]
)
async def test_f55_a_result_without_length_or_end_is_refused(rig: Rig, head: bytes, most: int) -> None:
    endless = Endless(head, bytes(1 << 16), "image/png")
    rig.a.answers["/view"] = endless
    rig.a.on_prompt = rig.b.on_prompt = "run"
    done = await rig.run()
    assert (done.state, outcomes(done)) == (JobState.DONE, ["bad_result", "done"])
    assert endless.sent <= 2 * most + 4 * IN_FLIGHT  # early, and once more at the end
    assert rig.health("a") == "up"


async def fetched(view: Callable[[web.Request], Awaitable[web.StreamResponse]], target: Path) -> int:
    async with FakeComfyUI() as fake:
        fake.answers["/view"] = view
        client = ComfyUIClient(fake.url)
        try:
            return await client.download(RESULT, target)
        finally:
            await client.close()


async def test_f55_a_long_result_without_length_is_taken_where_a_range_tells_it(tmp_path: Path) -> None:
    size = 65 * MIB

    async def view(request: web.Request) -> web.StreamResponse:
        if "Range" in request.headers:
            return web.Response(status=206, body=b"x", headers={"Content-Range": f"bytes 0-0/{size}"})
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(65):
            await answer.write(b"x" * MIB)
        return answer

    assert await fetched(view, tmp_path / "a") == size


async def test_f55_a_result_that_is_shorter_than_a_range_told_is_not_whole(tmp_path: Path) -> None:
    async def view(request: web.Request) -> web.StreamResponse:
        if "Range" in request.headers:
            return web.Response(status=206, body=b"x", headers={"Content-Range": "bytes 0-0/100"})
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"x" * 60)
        return answer

    with pytest.raises(Exception, match="ended early"):
        await fetched(view, tmp_path / "a")


async def test_f55_a_packed_result_that_swells_is_refused(tmp_path: Path) -> None:
    swelling = gzip.compress(bytes(80 * MIB))

    async def view(request: web.Request) -> web.Response:
        return web.Response(body=swelling, headers={"Content-Encoding": "gzip"})

    with pytest.raises(ResultError, match="larger than 64 MiB"):
        await fetched(view, tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "path", ["/system_stats", "/features", "/embeddings", "/node_replacements", "/history/x"]
)
async def test_f55_json_without_end_is_refused_at_its_routes_bound(path: str) -> None:
    endless = Endless(b"[", b'"%s",' % (b"x" * 30_000), "application/json")
    async with FakeComfyUI() as fake:
        fake.answers[path] = endless
        client = ComfyUIClient(fake.url, timeout_s=30.0)
        asked = {
            "/system_stats": client.vitals,
            "/features": client.max_upload_bytes,
            "/embeddings": client.embeddings,
            "/node_replacements": client.node_replacements,
            "/history/x": lambda: client.history("x"),
        }
        try:
            with pytest.raises(PeerError, match="MiB"):
                await asked[path]()
        finally:
            await client.close()
    most = {"/system_stats": 1, "/features": 1, "/embeddings": 4, "/node_replacements": 4}.get(path, 64)
    assert endless.sent <= most * MIB + IN_FLIGHT


async def test_f55_json_that_says_that_it_is_too_long_is_not_read() -> None:
    async def stats(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(1 << 40)})
        await answer.prepare(request)
        await answer.write(b"{")
        await request.content.read()
        return answer

    async with FakeComfyUI() as fake:
        fake.answers["/system_stats"] = stats
        client = ComfyUIClient(fake.url)
        try:
            with pytest.raises(PeerError, match="MiB"):
                await client.vitals()
        finally:
            await client.close()
