"""The event stream of a peer: who hears what, and what happens when it is cut."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from orchestrator.backends.client import ComfyUIClient
from orchestrator.backends.events import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    EventStream,
    PeerEvent,
    PreviewFrame,
    pause_after,
)
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.waiting import until

GRAPH = {"3": {"class_type": "SaveImage", "inputs": {}}}
Message = PeerEvent | PreviewFrame


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.on_prompt = "hold"
        yield fake


@pytest.fixture
async def stream(client: ComfyUIClient) -> AsyncIterator[EventStream]:
    stream = EventStream(client)
    stream.start()
    assert await stream.wait_connected(5)
    yield stream
    await stream.aclose()


async def test_those_who_wait_for_a_connection_go_on_in_the_order_in_which_they_asked(
    client: ComfyUIClient,
) -> None:
    stream, went_on = EventStream(client), []

    async def ask(number: int) -> None:
        assert await stream.wait_connected(10)
        went_on.append(number)

    asked = [asyncio.ensure_future(ask(0))]
    stream.start()
    while not went_on:  # one more with each turn of the loop, before, at and after the connection
        asked.append(asyncio.ensure_future(ask(len(asked))))
        await asyncio.sleep(0)
    await asyncio.gather(*asked)
    assert went_on == sorted(went_on)
    await stream.aclose()


async def run(client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI, *prompt_ids: str) -> None:
    """Post prompts, each of which then runs or waits on the peer."""
    for prompt_id in prompt_ids:
        await client.submit(GRAPH, prompt_id=prompt_id, client_id=stream.client_id)
    await until(lambda: stream.client_id in fake.sockets and fake.running)


def types(heard: list[Message]) -> list[str]:
    return [message.type if isinstance(message, PeerEvent) else "preview" for message in heard]


async def test_a_subscriber_hears_a_prompts_whole_story(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.finish("p1")
    await until(lambda: len(heard) == 6)
    assert types(heard) == [
        "execution_start", "execution_cached", "executing", "executed", "execution_success", "executing",
    ]  # fmt: skip


async def test_nobody_hears_of_another_prompt(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    first: list[Message] = []
    second: list[Message] = []
    stream.subscribe("p1", first.append)
    stream.subscribe("p2", second.append)
    await run(client, stream, fake, "p1", "p2")
    await fake.finish("p1")
    await until(lambda: "execution_start" in types(second))
    assert {message.data["prompt_id"] for message in first if isinstance(message, PeerEvent)} == {"p1"}
    assert {message.data["prompt_id"] for message in second if isinstance(message, PeerEvent)} == {"p2"}


async def test_the_first_thing_a_peer_hears_is_that_we_read_previews_with_metadata(
    stream: EventStream, fake: FakeComfyUI
) -> None:
    await until(lambda: fake.hellos)
    assert fake.hellos == [{"type": "feature_flags", "data": {"supports_preview_metadata": True}}]


async def test_a_preview_comes_with_its_node(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.send_preview("p1", "3", b"pixels")
    await until(lambda: "preview" in types(heard))
    meta = {"prompt_id": "p1", "node_id": "3", "display_node_id": "3", "image_type": "image/jpeg"}
    assert heard[-1] == PreviewFrame("p1", "3", "3", "image/jpeg", b"pixels", meta)


async def test_a_preview_of_an_old_peer_belongs_to_the_node_that_runs(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.send("p1", "executing", node="3")
    # What ComfyUI says to one who comes back: the node without its prompt.
    await fake.send_raw(stream.client_id, '{"type": "executing", "data": {"node": "4"}}')
    await fake.send_preview("p1", "", b"pixels", old=True)
    await until(lambda: "preview" in types(heard))
    assert heard[-1] == PreviewFrame("p1", "4", "4", "image/jpeg", b"pixels")


async def test_a_preview_while_no_node_runs_belongs_to_none(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.send("p1", "executing", node={"not": "a node"})
    await fake.send_preview("p1", "", b"pixels", old=True)
    await until(lambda: "preview" in types(heard))
    preview = heard.pop()
    assert isinstance(preview, PreviewFrame) and preview.node_id == ""


async def test_what_names_no_prompt_belongs_to_the_one_that_runs_and_after_its_end_to_none(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.send("p1", "executing", node="3")
    own = '{"type": "a-pack", "data": {"node": "3"}}'
    await fake.send_raw(stream.client_id, own)
    await until(lambda: "a-pack" in types(heard))
    assert heard[-1].prompt_id == "p1"
    await fake.send("p1", "executing", node=None)
    await fake.send_raw(stream.client_id, own)
    await fake.send_preview("p1", "", b"pixels", old=True)
    await fake.send("p1", "progress", value=1)
    await until(lambda: "progress" in types(heard))
    assert types(heard)[-2:] == ["executing", "progress"]


async def test_who_unsubscribed_hears_nothing_more_and_others_still_do(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    gone: list[Message] = []
    here: list[Message] = []
    stop = stream.subscribe("p1", gone.append)
    stream.subscribe("p1", here.append)
    stop()
    stop()
    await run(client, stream, fake, "p1")
    await until(lambda: "execution_start" in types(here))
    assert gone == []


async def test_a_listener_that_fails_is_logged_and_ends_nothing(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: Message) -> None:
        raise KeyError("a bug")

    heard: list[Message] = []
    stream.subscribe("p1", fail)
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.finish("p1")
    await until(lambda: "execution_success" in types(heard))
    assert "A listener of a peer's events failed" in caplog.text


def test_pauses_double_up_to_a_limit_and_start_anew_when_something_was_heard() -> None:
    pauses = [0.0]
    for _ in range(6):
        pauses.append(pause_after(pauses[-1], heard=False))
    assert pauses[1:] == [0.5, 1, 2, 4, 8, BACKOFF_MAX_S]
    assert pause_after(BACKOFF_MAX_S, heard=True) == BACKOFF_FIRST_S


@pytest.mark.parametrize(
    "nonsense",
    [
        "", "{", "[]", "null", '{"type": 5}', '{"type": "x", "data": []}', "[" * 200_000,
        '{"type": "executing", "data": {"node": {"a": []}, "prompt_id": {}}}',
        b"", b"\0", b"\0\0\0\4\xff\xff\xff\xff", b"\0\0\0\4\0\0\0\2[]", b"\0\0\0\4\0\0\0\1\xff",
        b"\0\0\0\x63abcd",
    ],
    ids=range(14),
)  # fmt: skip
async def test_nonsense_from_a_peer_ends_nothing(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI, nonsense: str | bytes
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.send_raw(stream.client_id, nonsense)
    await fake.finish("p1")
    await until(lambda: "execution_success" in types(heard))
    assert fake.socket_count == 1


async def test_a_large_preview_passes(client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await run(client, stream, fake, "p1")
    await fake.send_preview("p1", "3", b"x" * (8 << 20))
    await until(lambda: "preview" in types(heard))


async def test_a_cut_stream_comes_back_under_the_same_client_id(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    heard: list[Message] = []
    stream.subscribe("p1", heard.append)
    await until(lambda: fake.hellos)
    await fake.cut_sockets()
    await until(lambda: fake.socket_count == 2 and stream.client_id in fake.sockets)
    await run(client, stream, fake, "p1")
    await until(lambda: "execution_start" in types(heard))


async def test_never_two_sockets_of_one_client_id_are_open(stream: EventStream, fake: FakeComfyUI) -> None:
    open_now = most = 0
    stock = fake._websocket

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            return await stock(request)
        finally:
            open_now -= 1

    fake.answers["/ws"] = count
    for number in range(2, 4):
        await until(lambda: stream.client_id in fake.sockets)
        await fake.cut_sockets()
        await until(lambda number=number: fake.socket_count == number)
    assert most == 1


async def test_a_peer_that_comes_back_is_heard_again(
    client: ComfyUIClient, stream: EventStream, fake: FakeComfyUI
) -> None:
    await fake.go_down()
    await until(lambda: not stream._connected.is_set())
    assert not await stream.wait_connected(0.01)
    await fake.come_back()
    assert await stream.wait_connected(10)


async def test_who_waits_for_a_peer_that_came_back_need_not_wait_for_the_next_attempt(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    stream = EventStream(client, backoff_first_s=3600.0)
    stream.start()
    assert await stream.wait_connected(5)
    await fake.go_down()
    await until(lambda: not stream.is_connected)
    await fake.come_back()
    assert await stream.wait_connected(5)
    await stream.aclose()


async def test_a_proxy_without_websockets_is_not_asked_again_and_again(fake: FakeComfyUI) -> None:
    async def close_at_once(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    fake.answers["/ws"] = close_at_once
    client = ComfyUIClient(fake.url)
    stream = EventStream(client)
    stream.start()
    await until(lambda: len(fake.asked("/ws")) == 2 and stream._pause_s == 2 * BACKOFF_FIRST_S)
    await stream.aclose()
    await client.close()


async def test_a_closed_stream_lets_go_of_its_socket_and_may_be_closed_twice(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    stream = EventStream(client)
    await stream.aclose()
    stream.start()
    await stream.wait_connected(5)
    await stream.aclose()
    await stream.aclose()
    await until(lambda: not fake.sockets)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith("remote-dispatch") for name in names)


async def test_no_stream_is_not_worth_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeComfyUI() as fake:
        fake.answers["/ws"] = _not_found
        client = ComfyUIClient(fake.url)
        stream = EventStream(client)
        with caplog.at_level(logging.INFO):
            stream.start()
            await until(lambda: len(fake.asked("/ws")) == 2)
        await stream.aclose()
        await client.close()
    assert [record for record in caplog.records if record.name.startswith("orchestrator")] == []


async def _not_found(_: web.Request) -> web.Response:
    return web.Response(status=404, text=json.dumps({}))
