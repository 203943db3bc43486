"""One client and one event stream for each peer, renewed when its address or key changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from orchestrator.backends.pool import ClientPool
from orchestrator.core.models.backend import BackendConfig
from orchestrator.errors import PeerUnreachableError
from tests.fakes.answers import silence
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.waiting import until


@pytest.fixture
def keys() -> dict[str, str]:
    return {}


@pytest.fixture
async def pool(keys: dict[str, str]) -> AsyncIterator[ClientPool]:
    pool = ClientPool(lambda backend_id: keys)
    yield pool
    await pool.aclose()


@pytest.fixture
def config(fake: FakeComfyUI) -> BackendConfig:
    return BackendConfig("a", url=fake.url)


async def test_a_peer_keeps_its_client_whatever_else_is_edited(
    pool: ClientPool, config: BackendConfig
) -> None:
    client, events = pool(config), pool.events(config)
    renamed = replace(config, name="other", tags=("x",), draining=True)
    assert (pool(renamed), pool.events(renamed)) == (client, events)


async def test_a_new_address_or_key_gives_a_new_client(
    pool: ClientPool, config: BackendConfig, keys: dict[str, str], fake: FakeComfyUI
) -> None:
    first = pool(config)
    moved = replace(config, url=fake.url + "/x")
    second = pool(moved)
    assert second is not first and second.base_url == fake.url + "/x"
    keys["X-Token"] = "k"
    third = pool(config)
    assert third is not second
    await third.health_check()
    assert fake.requests[-1].headers["X-Token"] == "k"


async def test_who_still_holds_the_old_client_can_go_on_with_it(
    pool: ClientPool, config: BackendConfig, keys: dict[str, str]
) -> None:
    old = pool(config)
    keys["X-Token"] = "k"
    pool(config)
    assert await old.health_check()


async def test_the_event_stream_is_opened_when_it_is_first_wanted_and_once(
    pool: ClientPool, config: BackendConfig, fake: FakeComfyUI
) -> None:
    await pool(config).health_check()
    assert fake.asked("/ws") == []
    stream = pool.events(config)
    assert pool.events(config) is stream
    await until(lambda: stream.client_id in fake.sockets)
    assert fake.socket_count == 1


async def test_a_dropped_peer_is_disconnected(
    pool: ClientPool, config: BackendConfig, fake: FakeComfyUI
) -> None:
    pool.events(config)
    await until(lambda: fake.sockets)
    await pool.drop("a")
    await until(lambda: not fake.sockets)
    await pool.drop("a")


async def test_after_a_restart_a_peer_finds_the_one_that_it_knew(
    pool: ClientPool, config: BackendConfig, keys: dict[str, str], fake: FakeComfyUI
) -> None:
    pool.master_id = "7f" * 16
    before = pool.events(config).client_id
    assert pool.events(replace(config, id="b")).client_id != before
    await pool.aclose()
    restarted = ClientPool(lambda backend_id: keys)
    restarted.master_id = pool.master_id
    stream = restarted.events(config)
    assert stream.client_id == before
    await until(lambda: before in fake.sockets)
    keys["X-Token"] = "k"
    assert restarted.events(config).client_id != before  # whose socket may still be closing
    await restarted.aclose()


async def test_requests_that_follow_each_other_take_one_connection(
    pool: ClientPool, config: BackendConfig, fake: FakeComfyUI
) -> None:
    ends = set[object]()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ends.add(request.transport.get_extra_info("peername"))
        return web.json_response({"queue_running": [], "queue_pending": []})

    fake.answers["/queue"] = answer
    for _ in range(5):
        await pool(config).queue()
    assert len(ends) == 1


async def test_one_peer_that_does_not_answer_keeps_no_other_at_its_host_and_port_waiting(
    pool: ClientPool, config: BackendConfig, fake: FakeComfyUI
) -> None:
    fake.answers["/object_info"] = silence()
    waiting = [asyncio.create_task(pool(config).object_info()) for _ in range(150)]
    await until(lambda: fake.requests)
    assert await pool(replace(config, id="b")).health_check()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_closed_pool_leaves_nothing_open(fake: FakeComfyUI, config: BackendConfig) -> None:
    pool = ClientPool(lambda backend_id: {})
    client = pool(config)
    pool.events(config)
    await until(lambda: fake.sockets)
    await pool.aclose()
    await until(lambda: not fake.sockets)
    assert not any(task.get_name().startswith("remote-dispatch") for task in asyncio.all_tasks())
    with pytest.raises(PeerUnreachableError, match="being closed"):
        await client.queue()
