"""F20, F33, F35, F37 and F38 of the fault list, as far as no browser is needed; and the support bundle."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from orchestrator.backends.client import ComfyUIClient
from orchestrator.backends.connection import open_session
from orchestrator.backends.resolver import CheckedResolver
from orchestrator.core.models.job import JobState
from orchestrator.core.workflow.cut import DISPATCH_CLASS
from orchestrator.errors import ConfigError, PeerUnreachableError
from orchestrator.host.api.report import STRUCK, job_report, recorder, report, striker
from orchestrator.host.doors.hops import came_from_a_master, refuse_further_hop, sender_of
from tests.fakes.answers import answer
from tests.fakes.api import Host, serving
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.faults.rig import KEY, Rig


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with serving(tmp_path / "host") as host:
        yield host


@pytest.fixture
def kept_log() -> None:
    recorder.lines.clear()


# The support bundle


async def test_the_support_bundle_tells_what_happened_and_no_secret(rig: Rig, kept_log: None) -> None:
    package = logging.getLogger("orchestrator")
    package.addHandler(recorder)
    try:
        package.warning("the key is %s at %s", KEY[1], rig.a.url)
        rig.a.on_prompt = "error"
        graph = picture(prefix="secret project/cat")
        job = await rig.run(graph, title="A private title", extra_data={"note": "private note"})
        told = await report(rig.master.runtime, "t0ken-of-the-page")
    finally:
        package.removeHandler(recorder)
    text = json.dumps(told)
    assert told["jobs"][0]["attempts"][0]["outcome"] == "refused"
    assert [peer["health"] for peer in told["peers"]] == ["up", "up"]
    assert any("the key is" in line for line in told["log"])
    secret = (KEY[1], "127.0.0.1", "secret project", "private", "t0ken", str(Path.home()))
    assert [word for word in secret if word in text] == []
    assert job.state is JobState.DONE


async def test_the_support_bundle_strikes_out_what_a_failed_node_quotes(rig: Rig, kept_log: None) -> None:
    graph = picture(prefix="renders/for_a_friend")
    graph["1"]["_meta"] = {"title": "Portrait of Ada"}
    graph["1"]["inputs"]["text"] = "a lady, in red"
    job = await rig.submit_to(rig.a, graph, title="Birthday card", peer="a")
    said = "Birthday card: 'a lady, in red' not to renders/for_a_friend C:\\Users\\kim\\me.png, /home/kim/x y"
    await rig.a.fail(rig.a.running or "", node_id="1", exception_message=said)
    ended = await rig.end_of(job)
    assert ended.state is JobState.FAILED
    whole = await report(rig.master.runtime, "t0ken-of-the-page")
    alone = await job_report(rig.master.runtime, "t0ken-of-the-page", ended)
    assert alone["job"]["error"]["node_type"] == "EmptyImage" and alone["versions"].keys() >= {"comfyui"}
    assert [peer["id"] for peer in alone["peers"]] == [ended.attempts[0].backend_id]
    private = ("Portrait", "Ada", "kim", "Birthday", "lady", "friend", "me.png", "127.0.0.1")
    for told, its_job in ((whole, whole["jobs"][0]), (alone, alone["job"])):
        assert "EmptyImage, node 1) failed on a" in its_job["error"]["message"]
        assert [word for word in private if word in json.dumps(told)] == []


async def test_the_support_bundle_strikes_out_the_path_of_a_peers_address(rig: Rig) -> None:
    added = await rig.master.runtime.peers.add(name="far", url=f"{rig.a.url}/s3cret-path")
    assert "s3cret-path" in rig.master.runtime.manager.get_status(added.id).reason
    assert "s3cret-path" not in json.dumps(await report(rig.master.runtime, "t0ken-of-the-page"))


@pytest.mark.parametrize(
    ("text", "struck"),
    [
        ("Bearer abcdef at http://gpu-2:8188/x", f"{STRUCK} at http://{STRUCK}:8188/x"),
        ("10.0.0.7 refused", f"{STRUCK} refused"),
        ("http://peer-host:1 is gone", "http://<id-1>:1 is gone"),
        ("[fe80::1]:8188", f"{STRUCK}:8188"),
        ("no secret", "no secret"),
        ("it has no /system_stats there", "it has no /system_stats there"),
        ("cannot open '/srv/pictures/cat.png'", f"cannot open '{STRUCK}'"),
    ],
)
def test_keys_and_addresses_are_struck_out_of_every_sentence(text: str, struck: str) -> None:
    strike = striker({"Bearer abcdef": STRUCK, "peer-host": "<id-1>", "no": STRUCK})
    assert strike({"a": [text, 1, None]}) == {"a": [struck, 1, None]}


# F37, F38


async def test_f37_every_route_of_ours_is_under_both_prefixes_and_refuses_a_foreign_page(host: Host) -> None:
    before = await host.state()
    seen = set()
    for route in host.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical.replace("{id}", "x").replace("{n}", "0")
        seen.add((route.method, path))
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example"},
        ):
            if route.method != "HEAD":
                method = "PUT" if route.method == "*" else route.method
                status, answer = await host.ask(method, path, {}, headers=headers)
                assert (status, answer["error"]) in ((403, "bad_origin"), (403, "bad_host")), path
    assert {(m, p.removeprefix("/api")) for m, p in seen if p.startswith("/api/")} == {
        (m, p) for m, p in seen if not p.startswith("/api/")
    }
    assert await host.state() == before


async def test_f38_the_token_of_an_earlier_process_changes_nothing(host: Host, tmp_path: Path) -> None:
    old = host.guard.token
    async with serving(tmp_path / "later") as later:
        for token in ("", old, old[:-1], "é"):
            headers = {"X-Orchestrator-Token": token}
            status, _ = await later.ask("POST", "/orchestrator/peers", {"url": "gpu-9"}, headers=headers)
            assert status == 403
        assert later.runtime.manager.all() == ()


# F20, F33


async def test_f20_what_a_master_sends_says_so_and_another_master_sends_it_no_further(rig: Rig) -> None:
    await rig.run()
    (post,) = rig.a.asked("/prompt")
    assert came_from_a_master(post.headers)
    assert not came_from_a_master({"Content-Type": "application/json"})
    assert rig.master.runtime.is_sender(sender_of(post.headers))
    assert not rig.master.runtime.is_sender("") and not rig.master.runtime.is_sender("1")
    refuse_further_hop(picture())
    with pytest.raises(ConfigError, match="another master"):
        refuse_further_hop({**picture(), "9": {"class_type": DISPATCH_CLASS, "inputs": {}}})


class Names(AbstractResolver):
    """A resolver whose answers are given one after the other; nobody is asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0)
        result = {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
        return [cast("ResolveResult", result)]

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "::ffff:169.254.1.1", "0.0.0.0", "224.0.0.1"]
)
async def test_f33_a_name_that_leads_to_a_forbidden_address_is_not_connected_to(address: str) -> None:
    async with open_session(CheckedResolver(Names(address))) as session:
        client = ComfyUIClient("http://peer.test:1", session=session)
        with pytest.raises(PeerUnreachableError, match=r"peer\.test leads to"):
            await client.health_check()


@pytest.mark.parametrize(
    ("first", "later"),
    [("93.184.215.14", "192.168.1.1"), ("93.184.215.14", "127.0.0.1"), ("192.168.1.1", "127.0.0.1")],
)
async def test_f33_a_name_that_moves_inwards_is_not_followed(first: str, later: str) -> None:
    resolver = CheckedResolver(Names(first, later))
    assert [answer["host"] for answer in await resolver.resolve("peer.test")] == [first]
    with pytest.raises(PeerUnreachableError, match="before and now"):
        await resolver.resolve("peer.test")


async def test_f33_a_name_that_stays_or_moves_outwards_is_followed() -> None:
    resolver = CheckedResolver(Names("192.168.1.1", "192.168.1.2", "93.184.215.14"))
    for _ in range(3):
        assert await resolver.resolve("peer.test")


async def test_f33_a_name_of_this_machine_is_a_peer_like_any(rig: Rig) -> None:
    async with open_session(CheckedResolver(Names("127.0.0.1", "127.0.0.1"))) as session:
        headers = {KEY[0]: KEY[1]}
        client = ComfyUIClient(f"http://peer.test:{rig.a.port}", session=session, headers=headers)
        assert await client.health_check()


# F35


@pytest.mark.parametrize("route", ["/queue", "/system_stats", "/object_info"])
@pytest.mark.parametrize("body", ["[" * 200_000, '{"a":' * 200_000, '{"a": 1, "a": {"__proto__": []}}'])
async def test_f35_a_peer_whose_json_is_hostile_is_down_in_words(
    rig: Rig, route: str, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeComfyUI() as hostile:
        hostile.answers[route] = answer(body)
        peer_id = await rig.master.add("hostile", hostile)
        status = rig.master.runtime.manager.get_status(peer_id)
        known = rig.master.runtime.manager.get_object_info(peer_id)
        assert status.health.value != "up" or not known or "constructor" not in known
        await rig.master.runtime.peers.remove(peer_id)
    assert "RecursionError" not in caplog.text
    assert (await rig.run()).state is JobState.DONE


@pytest.mark.parametrize("node_id", ["__proto__", "constructor", "toString", "0", "-1", "a" * 10_000])
async def test_f35_a_peer_that_names_nodes_oddly_neither_stops_a_job_nor_gets_a_file_in(
    rig: Rig, node_id: str
) -> None:
    job = await rig.submit_to(rig.a)
    prompt = rig.a.prompts[-1]
    for told in ({node_id: {"images": [{"filename": "x.png", "type": "output"}]}}, {node_id: None}):
        output = next(iter(told.values()))
        await rig.a.send(prompt, "executed", node=node_id, display_node=node_id, output=output)
        await rig.a.send(prompt, "progress_state", nodes={node_id: {"value": 1, "max": "much", "state": 7}})
    await rig.a.finish(prompt.id, {**rig.a._pictures(prompt), node_id: {"images": [{"filename": "x.png"}]}})
    done = await rig.end_of(job)
    assert (done.state, len(done.outputs)) == (JobState.DONE, 1)
