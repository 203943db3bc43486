"""One server's HTTP, on a real socket, with answers good, broken and hostile."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from orchestrator.backends import transfer
from orchestrator.backends.client import ComfyUIClient
from orchestrator.backends.connection import open_session
from orchestrator.core.models.backend import QueueState
from orchestrator.core.models.job import RemoteFile
from orchestrator.errors import (
    AnswerTooLargeError,
    PeerAuthError,
    PeerError,
    PeerProtocolError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PromptRefusedError,
    ResultError,
    ResultGoneError,
    WorkflowError,
)
from tests.fakes.answers import announce, answer, dribble, endless, login_page, redirect, refusal_of, silence
from tests.fakes.comfyui import MIB, FakeComfyUI
from tests.fakes.waiting import until

GRAPH = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "run/pic", "images": ["2", 0]}}}
RESULT = RemoteFile("1", "a.png", "run", "output")


async def submit(client: ComfyUIClient, prompt: dict[str, Any] = GRAPH) -> dict[str, Any]:
    return await client.submit(prompt, prompt_id="p1", client_id="c1", extra_data={"preview_method": "auto"})


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class NoNames(AbstractResolver):
    """A network in which no machine has a name."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        raise OSError(f"{host} is unknown")

    async def close(self) -> None:
        pass


# Health


async def test_a_health_check_keeps_what_it_saw(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.on_prompt = "hold"
    await submit(client)
    await until(lambda: fake.running)
    assert client.latest is None
    assert await client.health_check()
    assert client.latest is not None
    assert client.latest.comfyui_version == fake.version
    assert client.latest.devices[0].vram_free_bytes == fake.vram_free
    assert client.latest.queue == QueueState(running=("p1",))


async def test_the_questions_of_a_health_check_take_one_connection(fake: FakeComfyUI) -> None:
    client = ComfyUIClient(fake.url)
    for _ in range(3):
        await client.vitals()
    await client.close()
    assert len(fake.requests) == 6 and len({seen.port for seen in fake.requests}) == 1


async def test_a_peer_that_is_off_is_unreachable() -> None:
    client = ComfyUIClient(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(PeerUnreachableError, match="refused the connection"):
        await client.health_check()
    await client.close()


async def test_a_name_that_no_machine_has_is_said_so() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NoNames())) as session:
        client = ComfyUIClient("http://gpu-2:8188", session=session)
        with pytest.raises(PeerUnreachableError, match="no machine called gpu-2"):
            await client.health_check()


async def test_a_peer_that_stands_still_is_a_timeout(fake: FakeComfyUI) -> None:
    fake.freeze()
    client = ComfyUIClient(fake.url, timeout_s=0.05)
    with pytest.raises(PeerTimeoutError):
        await client.health_check()
    await client.close()


async def test_a_body_that_dribbles_does_not_hold_us_longer_than_silence_does(fake: FakeComfyUI) -> None:
    fake.answers["/system_stats"] = dribble(b" ", 0.01)
    client = ComfyUIClient(fake.url, timeout_s=0.2)
    with pytest.raises(PeerTimeoutError):
        await client.health_check()
    await client.close()


async def test_a_path_in_front_of_comfyui_is_kept() -> None:
    async with FakeComfyUI(prefix="/gpu/2") as fake:
        client = ComfyUIClient(fake.url + "/")
        assert await client.health_check()
        async with client.websocket("c1"):
            await until(lambda: "c1" in fake.sockets)
        await client.close()


async def test_a_large_prompt_is_not_overtaken_by_the_small_one_that_is_handed_in_after_it(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    fake.on_prompt = "hold"
    large = {"9": {"class_type": "Note", "inputs": {"text": "x" * MIB}}, **GRAPH}
    await asyncio.gather(
        *(
            client.submit(graph, prompt_id=name, client_id="c1")
            for name, graph in (("l", large), ("s", GRAPH))
        )
    )
    assert [prompt.id for prompt in fake.prompts] == ["l", "s"]


async def test_nothing_we_send_looks_like_a_web_page(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    await client.health_check()
    await submit(client)
    async with client.websocket("c1"):
        pass
    assert not any({"Origin", "Cookie", "Referer"} & set(seen.headers) for seen in fake.requests)


# Keys


async def test_the_key_goes_with_every_request_and_the_websocket() -> None:
    async with FakeComfyUI(key=("Authorization", "Bearer k")) as fake:
        client = ComfyUIClient(fake.url, headers={"Authorization": "Bearer k"})
        await client.health_check()
        await submit(client)
        async with client.websocket("c1"):
            await until(lambda: "c1" in fake.sockets)
        await client.close()
        assert {seen.headers["Authorization"] for seen in fake.requests} == {"Bearer k"}


async def test_without_its_key_a_peer_is_not_down_but_wants_one() -> None:
    async with FakeComfyUI(key=("X-Token", "k")) as fake:
        client = ComfyUIClient(fake.url)
        with pytest.raises(PeerAuthError, match="needs an API key"):
            await client.health_check()
        with pytest.raises(PeerAuthError, match="needs an API key"):
            async with client.websocket("c1"):
                pass
        await client.close()


async def test_a_key_that_a_peer_refuses_is_not_asked_for_as_if_there_were_none() -> None:
    async with FakeComfyUI(key=("Authorization", "Bearer k")) as fake:
        client = ComfyUIClient(fake.url, headers={"Authorization": "k"})
        with pytest.raises(PeerAuthError, match=r"refused the saved key .*Bearer"):
            await client.health_check()
        with pytest.raises(PeerAuthError, match="refused the saved key"):
            async with client.websocket("c1"):
                pass
        await client.close()


@pytest.mark.parametrize(
    "barrier",
    [
        answer(status=403),
        answer(status=407),
        login_page(200),
        login_page(401),
        redirect("/login"),
        redirect("/", 307),
    ],
    ids=["403", "407", "page", "401", "302", "307"],
)
async def test_a_login_in_front_of_a_peer_wants_a_key(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path, barrier: Any
) -> None:
    fake.answers["*"] = barrier
    for asked in (client.health_check(), submit(client)):
        with pytest.raises(PeerAuthError):
            await asked
    # ComfyUI itself answers 403 for a file outside of its folders.
    with pytest.raises((PeerAuthError, ResultGoneError)):
        await client.download(RESULT, tmp_path / "a")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_us_or_the_key_anywhere(
    fake: FakeComfyUI, tmp_path: Path, status: int
) -> None:
    async with FakeComfyUI() as canary:
        client = ComfyUIClient(fake.url, headers={"X-Token": "secret"})
        fake.answers["*"] = redirect(canary.url + "/system_stats", status)
        with pytest.raises(PeerAuthError):
            await client.health_check()
        with pytest.raises(PeerAuthError):
            await submit(client)
        with pytest.raises(PeerAuthError):
            await client.download(RESULT, tmp_path / "a")
        with pytest.raises(PeerAuthError):
            async with client.websocket("c1"):
                pass
        await client.close()
        assert canary.requests == []


async def test_a_session_of_somebody_else_takes_us_nowhere_either(fake: FakeComfyUI) -> None:
    async with FakeComfyUI() as canary, aiohttp.ClientSession() as session:
        fake.answers["*"] = redirect(canary.url + "/queue")
        with pytest.raises(PeerAuthError):
            await ComfyUIClient(fake.url, session=session).queue()
        assert canary.requests == []


async def test_cookies_of_a_peer_are_not_kept(fake: FakeComfyUI) -> None:
    client = ComfyUIClient(fake.url.replace("127.0.0.1", "localhost"))  # of a bare address nobody keeps any
    fake.answers["/queue"] = answer(
        '{"queue_running": [], "queue_pending": []}', headers={"Set-Cookie": "track=1; Path=/"}
    )
    await client.queue()
    await client.queue()
    await client.close()
    assert "Cookie" not in fake.requests[-1].headers


async def test_the_system_looks_after_the_other_end_of_a_silent_websocket(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    async with client.websocket("c1") as stream:
        connection = stream.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


# Answers that are none


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '"hello"', "[" * 100_000, '{"system": 1}', '{"queue_running": {}}', "\x00\xff"],
    ids=range(9),
)
async def test_json_that_is_not_comfyuis_is_a_protocol_error(
    client: ComfyUIClient, fake: FakeComfyUI, body: str
) -> None:
    fake.answers["*"] = answer(body)
    with pytest.raises(PeerProtocolError):
        await client.health_check()
    with pytest.raises(PeerProtocolError):
        await client.queue()
    with pytest.raises(PeerProtocolError):
        await submit(client)


async def test_something_that_is_not_http_is_a_peer_error() -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(chat, "127.0.0.1", 0)
    client = ComfyUIClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(PeerError):
        await client.health_check()
    await client.close()
    server.close()
    await server.wait_closed()


async def test_an_answer_without_end_is_cut_at_the_cap(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.answers["/queue"] = endless(b" " * (1 << 20))
    with pytest.raises(AnswerTooLargeError, match="64 MiB"):
        await client.queue()


async def test_a_compressed_bomb_is_cut_at_the_cap(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    bomb = gzip.compress(b" " * (80 << 20))
    fake.answers["/queue"] = answer(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(AnswerTooLargeError, match="64 MiB"):
        await client.queue()


async def test_an_error_page_is_not_read_out(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.answers["*"] = login_page(502)
    with pytest.raises(PeerRefusedError, match="502") as caught:
        await client.queue()
    assert (caught.value.status, "<" in str(caught.value)) == (502, False)


async def test_an_error_in_words_is_passed_on_within_bounds(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.answers["*"] = answer("disk full\n" + "x" * 100_000, status=507, content_type="text/plain")
    with pytest.raises(PeerRefusedError, match="disk full x") as caught:
        await client.queue()
    assert len(str(caught.value)) < 400


# The node list


async def test_the_node_list_of_a_large_installation_is_read(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    fake.object_info = {f"Class{number}": {"input": {"required": {}}} for number in range(50_000)}
    assert await client.object_info() == fake.object_info


async def test_a_node_list_that_is_none_is_a_protocol_error(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.answers["/object_info"] = answer("[1, 2]")
    with pytest.raises(PeerProtocolError):
        await client.object_info()


async def test_nan_in_a_node_list_is_read(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.answers["/object_info"] = answer('{"A": {"input": {"required": {"x": ["FLOAT", {"min": NaN}]}}}}')
    assert "A" in await client.object_info()


@pytest.mark.parametrize("body", ["{}", '{"max_upload_size": "much"}', '{"max_upload_size": Infinity}', "[]"])
async def test_a_peer_that_tells_no_upload_limit_has_comfyuis_own(
    client: ComfyUIClient, fake: FakeComfyUI, body: str
) -> None:
    assert await client.max_upload_bytes() == 100 << 20
    fake.features["max_upload_size"] = 7
    assert await client.max_upload_bytes() == 7
    fake.answers["/features"] = answer(body)
    assert await client.max_upload_bytes() == 104_857_600
    fake.answers["/features"] = answer(status=404)
    assert await client.max_upload_bytes() == 104_857_600


# Prompts


async def test_a_prompt_is_posted_once_with_our_id_and_never_a_number(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    assert await submit(client) == {}
    (seen,) = fake.asked("/prompt")
    assert seen.json == {
        "prompt": GRAPH,
        "prompt_id": "p1",
        "client_id": "c1",
        "extra_data": {"preview_method": "auto"},
    }
    assert seen.headers["Content-Type"] == "application/json"


async def test_a_finished_prompt_is_in_history_and_no_other(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    await submit(client)
    await until(lambda: not fake.running and not fake.pending)
    entry = await client.history("p1")
    assert entry is not None and entry["status"]["status_str"] == "success"
    assert await client.history("p2") is None


async def test_a_refused_prompt_holds_the_peers_own_words(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.on_prompt = "refuse"
    with pytest.raises(
        PromptRefusedError, match=r"SaveImage \(node 1\): Value not in list: ckpt_name"
    ) as caught:
        await submit(client)
    assert caught.value.error["type"] == "prompt_outputs_failed_validation"
    assert caught.value.node_errors["1"]["errors"][0]["type"] == "value_not_in_list"


async def test_a_class_the_peer_does_not_have_is_named(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.object_info = {"KSampler": {}}
    with pytest.raises(PromptRefusedError, match="SaveImage does not exist"):
        await submit(client)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": "no", "node_errors": []}),
        json.dumps({"error": {"message": {"deep": [1]}}, "node_errors": {"1": {"errors": "x"}}}),
        json.dumps(
            {
                "error": None,
                "node_errors": {"1": 7, "4": {"errors": 7}, "2": {"errors": [{"message": 5}, 3, None]}},
            }
        ),
        "{}",
        json.dumps(refusal_of("x", "m" * 10_000, "d", {"1": {"errors": [{"message": "y" * 10_000}] * 50}})),
    ],
    ids=range(5),
)
async def test_a_refusal_of_any_shape_is_a_refusal_with_words(
    client: ComfyUIClient, fake: FakeComfyUI, body: str
) -> None:
    fake.answers["/prompt"] = answer(body, status=400)
    with pytest.raises(PromptRefusedError) as caught:
        await submit(client)
    assert 0 < len(str(caught.value)) <= 2_000


async def test_a_400_that_is_not_comfyuis_is_a_plain_refusal(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    fake.answers["/prompt"] = answer("Bad Request", status=400, content_type="text/plain")
    with pytest.raises(PeerRefusedError) as caught:
        await submit(client)
    assert not isinstance(caught.value, PromptRefusedError)


async def test_parts_a_peer_leaves_out_are_told(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.node_errors = {"1": {"errors": []}}
    assert await submit(client) == {"1": {"errors": []}}


async def test_a_lost_answer_is_unknown_and_nothing_is_posted_again(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    for accident, taken in (("drop", 0), ("drop_after_accept", 1)):
        fake.on_prompt = accident  # type: ignore[assignment]
        asked = len(fake.asked("/prompt"))
        with pytest.raises(PeerUnreachableError):
            await submit(client)
        assert (len(fake.asked("/prompt")) - asked, len(fake.prompts)) == (1, taken)


async def test_a_server_error_at_posting_tells_its_status(client: ComfyUIClient, fake: FakeComfyUI) -> None:
    fake.on_prompt = "error"
    with pytest.raises(PeerRefusedError) as caught:
        await submit(client)
    assert caught.value.status == 500


async def test_a_peer_that_gives_the_prompt_its_own_id_is_too_old(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    fake.answers["/prompt"] = answer('{"prompt_id": "mine", "number": 1, "node_errors": {}}')
    with pytest.raises(PeerProtocolError, match=r"0\.3\.45"):
        await submit(client)


async def test_a_prompt_that_json_does_not_know_is_our_own_fault(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    with pytest.raises(WorkflowError):
        await submit(client, {"1": {"class_type": "A", "inputs": {"x": {1, 2}}}})
    assert fake.requests == []


async def test_interrupt_and_delete_name_their_prompt_and_hit_no_other(
    client: ComfyUIClient, fake: FakeComfyUI
) -> None:
    fake.on_prompt = "hold"
    for prompt_id in ("running", "waiting", "other"):
        await client.submit(GRAPH, prompt_id=prompt_id, client_id="c1")
    await until(lambda: fake.running)
    await client.interrupt("waiting")
    assert fake.running == "running"
    await client.delete_queued("waiting")
    await client.delete_queued("running")
    assert (fake.running, fake.pending) == ("running", ["other"])
    await client.interrupt("running")
    await until(lambda: fake.running == "other")


# Files up


async def test_an_upload_gives_the_name_the_peer_chose(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    source = tmp_path / "local.png"
    source.write_bytes(b"new")
    fake.files[("input", "rd", "x.png")] = b"old"
    assert await client.upload(source, name="x.png", subfolder="rd") == "rd/x (1).png"
    assert await client.upload(source, name="y.png") == "y.png"
    assert fake.files[("input", "rd", "x.png")] == b"old"
    assert fake.files[("input", "rd", "x (1).png")] == fake.files[("input", "", "y.png")] == b"new"


async def test_an_upload_of_many_megabytes_arrives_whole(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(range(256)) * (32 << 12))
    await client.upload(source, name="large.bin")
    assert fake.files[("input", "", "large.bin")] == source.read_bytes()


async def test_an_upload_that_is_too_large_for_the_peer_is_refused_with_413(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"a")
    fake.answers["/upload/image"] = answer(status=413, content_type="text/plain")
    with pytest.raises(PeerRefusedError) as caught:
        await client.upload(source, name="a.bin")
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "body", ["{}", "[]", '{"name": ""}', '{"name": 5}', '{"name": null, "subfolder": {}}']
)
async def test_an_upload_without_a_name_in_the_answer_is_a_protocol_error(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path, body: str
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"a")
    fake.answers["/upload/image"] = answer(body)
    with pytest.raises(PeerProtocolError):
        await client.upload(source, name="a.bin")


# Files down


@pytest.mark.parametrize("size", [0, 1, 70_000, (1 << 20) - 1, 1 << 20, (5 << 20) + 3])
async def test_a_result_arrives_byte_for_byte(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path, size: int
) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    fake.files[("output", "run", "a.png")] = data
    assert await client.download(RESULT, tmp_path / "a") == size
    assert (tmp_path / "a").read_bytes() == data


@pytest.mark.parametrize("name", ["a b&c=d#e%2f?.png", "ünïcode 文件.png", "a+b.png", "../../x", "a\x00b"])
async def test_odd_names_reach_the_peer_as_they_are(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path, name: str
) -> None:
    fake.files[("temp", "sub/dir", name)] = b"x"
    await client.download(RemoteFile("1", name, "sub/dir", "temp"), tmp_path / "a")
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("n" * 5_000_000, "a name of 5000000 characters"), ("\ud800.png", "no longer")],
    ids=["long", "surrogate"],
)
async def test_a_name_that_fits_no_url_is_a_result_that_cannot_be_had(
    client: ComfyUIClient, tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(ResultError, match=words):
        await client.download(RemoteFile("1", name), tmp_path / "a")


async def test_a_peer_in_trouble_still_has_its_result(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    fake.answers["/view"] = answer(status=503)
    with pytest.raises(PeerRefusedError):
        await client.download(RESULT, tmp_path / "a")


async def test_a_result_replaces_what_was_there(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    fake.files[("output", "run", "a.png")] = b"new"
    (tmp_path / "a").write_bytes(b"old and longer")
    await client.download(RESULT, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"


async def test_a_result_that_is_gone_is_said_to_be(client: ComfyUIClient, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"no longer has its result a\.png"):
        await client.download(RESULT, tmp_path / "a")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("announced", [10_000, 5 << 20], ids=["small", "large"])
async def test_nothing_is_left_of_a_result_that_ended_early(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path, announced: int
) -> None:
    fake.answers["/view"] = announce(announced, b"x" * (announced - 1))
    with pytest.raises(PeerUnreachableError):
        await client.download(RESULT, tmp_path / "a")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("handler", [announce(2 << 20, b"x"), endless(b"x" * 65536)], ids=["said", "unsaid"])
async def test_a_result_above_the_cap_is_not_taken(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path, handler: Any
) -> None:
    fake.answers["/view"] = handler
    with pytest.raises(ResultError, match="1"):
        await client.download(RESULT, tmp_path / "a", max_bytes=1_500_000)
    assert names_in(tmp_path) == []


async def test_a_result_that_a_proxy_compressed_all_the_same_is_whole(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    fake.answers["/view"] = answer(
        gzip.compress(b"text" * 1000), content_type="text/plain", headers={"Content-Encoding": "gzip"}
    )
    assert await client.download(RESULT, tmp_path / "a") == 4000
    assert (tmp_path / "a").read_bytes() == b"text" * 1000
    assert fake.asked("/view")[0].headers["Accept-Encoding"] == "identity"


async def test_a_target_that_cannot_be_written_is_not_the_peers_fault(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    fake.files[("output", "run", "a.png")] = b"x"
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        await client.download(RESULT, tmp_path / "file" / "a")
    assert names_in(tmp_path) == ["file"]


async def test_a_download_makes_the_folders_it_needs(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    fake.files[("output", "run", "a.png")] = b"x"
    await client.download(RESULT, tmp_path / "new" / "folder" / "a")
    assert (tmp_path / "new" / "folder" / "a").read_bytes() == b"x"


async def test_a_download_that_is_cancelled_leaves_nothing(
    client: ComfyUIClient, fake: FakeComfyUI, tmp_path: Path
) -> None:
    fake.answers["/view"] = endless(b"x" * 65536)
    task = asyncio.create_task(client.download(RESULT, tmp_path / "a"))
    await until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").stat().st_size)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names_in(tmp_path) == []


async def test_a_transfer_without_a_time_limit_ends_when_it_stands_still() -> None:
    ended = asyncio.Event()

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(PeerTimeoutError, match="stood still"):
        await transfer.at_a_pace(stuck(), lambda: 10, "http://peer", window_s=0.01)
    assert ended.is_set()


async def test_a_transfer_that_moved_and_then_stands_still_ends_too() -> None:
    with pytest.raises(PeerTimeoutError):
        await transfer.at_a_pace(
            asyncio.Event().wait(), lambda: 10 * transfer.WINDOW_MIN_BYTES, "http://peer", window_s=0.01
        )


async def test_a_cancelled_caller_waits_for_the_thread_that_writes_its_file() -> None:
    may_end, has_ended = threading.Event(), threading.Event()

    def write() -> None:
        may_end.wait(10)
        has_ended.set()

    task = asyncio.create_task(transfer.in_thread(write))
    await asyncio.sleep(0)
    task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_ended.is_set()


async def test_a_transfer_that_moves_may_take_as_long_as_it_wants() -> None:
    moved = 0
    enough = asyncio.Event()

    def count() -> int:
        nonlocal moved
        moved += transfer.WINDOW_MIN_BYTES
        if moved > 10 * transfer.WINDOW_MIN_BYTES:
            enough.set()
        return moved

    assert await transfer.at_a_pace(enough.wait(), count, "http://peer", window_s=0.001)


async def test_a_file_that_is_sent_tells_how_far_it_is(fake: FakeComfyUI, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)
    with transfer.observed(path) as file:
        file.read(1_000)
        assert file.moved_bytes == 1_000
        file.read()
        assert file.moved_bytes == 100_000


# Sessions


async def test_a_session_that_was_handed_in_is_not_closed_with_the_client(fake: FakeComfyUI) -> None:
    async with open_session() as session:
        client = ComfyUIClient(fake.url, session=session)
        await client.health_check()
        await client.close()
        assert not session.closed
    with pytest.raises(PeerUnreachableError, match="being closed"):
        await client.health_check()


async def test_one_peer_that_does_not_answer_keeps_no_other_waiting(fake: FakeComfyUI) -> None:
    async with FakeComfyUI() as stuck, open_session() as session:
        stuck.answers["*"] = silence()
        slow, quick = (ComfyUIClient(url, session=session, timeout_s=60) for url in (stuck.url, fake.url))
        waiting = [asyncio.create_task(slow.queue()) for _ in range(150)]
        assert await quick.health_check()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
