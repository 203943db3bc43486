"""What many tests here start from. A module that needs another one of the same name defines it itself.

The three contract tests in this folder also run where only four packages are installed, so what needs more is
imported by the fixture that uses it.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.backends.client import ComfyUIClient
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import stock_classes

if TYPE_CHECKING:
    from tests.fakes.api import Host
    from tests.fakes.host import FakeHost
    from tests.fakes.master import Master


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Master]:
    """An engine without peers."""
    from tests.fakes.master import started

    async with started(tmp_path) as master:
        yield master


@pytest.fixture
async def a() -> AsyncIterator[FakeComfyUI]:
    """A peer. With the same load it is preferred to `b`: it has more free memory."""
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        fake.vram_free += 1 << 30
        yield fake


@pytest.fixture
async def b() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        yield fake


@pytest.fixture
async def peer() -> AsyncIterator[FakeComfyUI]:
    """The only peer of a test."""
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        yield fake


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfyUI]:
    """A server that lists no classes."""
    async with FakeComfyUI() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeComfyUI) -> AsyncIterator[ComfyUIClient]:
    client = ComfyUIClient(fake.url)
    yield client
    await client.close()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """Our own routes alone, without peers."""
    from tests.fakes.api import serving

    async with serving(tmp_path) as host:
        yield host


@pytest.fixture
async def comfyui(tmp_path: Path) -> AsyncIterator[FakeHost]:
    """A ComfyUI with the plugin in it, without peers."""
    from tests.fakes.host import FakeHost

    async with FakeHost(tmp_path) as host:
        yield host


@pytest.fixture
async def fleet_mode(comfyui: FakeHost, a: FakeComfyUI) -> FakeHost:
    """The same in fleet mode, with `a` as its only peer."""
    await comfyui.add("a", a)
    await comfyui.prefer(fleet_mode=True)
    return comfyui


@pytest.fixture
def dead_url() -> str:
    """An address of this computer where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
