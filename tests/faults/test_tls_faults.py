"""F39 of the fault list: a peer behind https shows the right certificate before anything secret is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.backends.client import ComfyUIClient
from orchestrator.backends.pool import ClientPool
from orchestrator.core.models.backend import BackendConfig
from orchestrator.core.models.job import JobState
from orchestrator.errors import PeerUnreachableError
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import started
from tests.fakes.tls import AUTHORITY, fingerprint, tls_front
from tests.fakes.waiting import until

KEY = ("X-Api-Key", "k3y-that-nobody-may-see")


@pytest.fixture
async def peer() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI(key=KEY) as peer:
        yield peer


@pytest.mark.parametrize(
    ("certificate", "tls", "words"),
    [
        ("self_signed", "", "nobody trusted has signed it.*SHA-256 fingerprint into the peer's form"),
        ("valid", "", "nobody trusted has signed it"),
        ("self_signed", AUTHORITY, "nobody trusted has signed it"),
        ("wrong_name", AUTHORITY, "another name. Use that name in the address"),
        ("expired", AUTHORITY, "not valid any more. Renew it on the peer"),
        ("valid", fingerprint("self_signed"), f"another certificate .*{fingerprint('valid')}.*was renewed"),
    ],
    ids=["self-signed", "no authority", "other authority", "wrong name", "expired", "other than pinned"],
)
async def test_f39_a_wrong_certificate_is_refused_before_anything_is_sent(
    peer: FakeComfyUI, certificate: str, tls: str, words: str
) -> None:
    async with tls_front(peer.port, certificate) as front:
        client = ComfyUIClient(front.url, headers=dict([KEY]), tls=tls)
        with pytest.raises(PeerUnreachableError, match=words):
            await client.health_check()
        with pytest.raises(PeerUnreachableError, match=words):
            async with client.websocket("c1"):
                pass
        await client.close()
        assert (bytes(front.received), peer.requests) == (b"", [])


@pytest.mark.parametrize(
    ("certificate", "tls"),
    [
        ("valid", AUTHORITY),
        ("self_signed", fingerprint("self_signed")),
        ("expired", fingerprint("expired")),
        ("wrong_name", fingerprint("wrong_name")),
    ],
)
async def test_f39_the_right_one_is_taken_for_requests_and_events(
    peer: FakeComfyUI, certificate: str, tls: str
) -> None:
    async with tls_front(peer.port, certificate) as front:
        client = ComfyUIClient(front.url, headers=dict([KEY]), tls=tls)
        assert await client.health_check()
        async with client.websocket("c1"):
            await until(lambda: "c1" in peer.sockets)
        await client.close()
        assert KEY[1].encode() in front.received


async def test_f39_a_peer_whose_pinned_certificate_changes_gets_no_more_keys_until_its_owner_agrees(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    async with tls_front(peer.port, "self_signed") as front, started(tmp_path) as master:
        pinned = fingerprint("self_signed")
        credentials = {"header": KEY[0], "value": KEY[1]}
        peer_id = await master.add("far", front.url, credentials=credentials, tls=pinned)
        status = master.runtime.manager.get_status
        assert status(peer_id).health.value == "up"
        front.show("valid")
        front.cut()
        await until(lambda: "another certificate" in status(peer_id).reason)
        assert front.received == b""
        changed = await master.runtime.peers.update(peer_id, {"tls": fingerprint("valid")})
        assert changed.tls == fingerprint("valid")
        await until(lambda: status(peer_id).health.value == "up")
        assert KEY[1].encode() in front.received


async def test_f39_a_job_runs_over_a_pinned_connection_and_the_pin_outlives_a_restart(
    tmp_path: Path, peer: FakeComfyUI
) -> None:
    peer.object_info = stock_classes()
    credentials = {"header": KEY[0], "value": KEY[1]}
    async with tls_front(peer.port, "self_signed") as front:
        pin = fingerprint("self_signed")
        async with started(tmp_path) as master:
            await master.add("far", front.url, credentials=credentials, tls=pin.upper())
            assert (await master.run(picture())).state is JobState.DONE
        async with started(tmp_path) as master:
            assert [config.tls for config in master.runtime.manager.all()] == [pin]
            assert (await master.run(picture(seed=2))).state is JobState.DONE


async def test_another_certificate_in_the_form_gives_a_new_connection() -> None:
    pool = ClientPool(lambda backend_id: {})
    config = BackendConfig("a", url="https://gpu-2", tls=fingerprint("valid"))
    first = pool(config)
    assert pool(config) is first
    assert pool(dataclasses.replace(config, tls=AUTHORITY)) is not first
    await pool.aclose()
