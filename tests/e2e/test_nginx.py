"""A real nginx before a real peer: as it comes, limiting requests, below a path with Basic, over TLS."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from orchestrator.core.models.job import Job, JobState
from tests.fakes.master import Master, outcomes, started
from tests.fakes.tls import CERTIFICATES, fingerprint
from tests.fakes.waiting import until, until_told
from tests.rig import nginx
from tests.rig.fleet import Fleet
from tests.rig.nginx import Nginx

from .graphs import node, sleep
from .session import Session

pytestmark = pytest.mark.skipif(nginx.PROGRAM is None, reason="there is no nginx on this machine")
END_S = 120.0
UPGRADE = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
"""


@dataclass(frozen=True)
class Case:
    """``takes_large``: whether an input of 3 MB gets through; ``has_events``: whether a websocket does."""

    takes_large: bool = True
    has_events: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    peer: Mapping[str, Any] = field(default_factory=dict)


def bearer(key: str) -> str:
    return f'if ($http_authorization != "Bearer {key}") {{ return 401; }}'


CASES = {
    "as it comes": Case(takes_large=False, has_events=False),
    "two requests a second": Case(
        settings={
            "http": "limit_req_zone $server_name zone=few:1m rate=2r/s;",
            "server": "client_max_body_size 0;",
            "location": f"limit_req zone=few; {UPGRADE}",
        }
    ),
    "below a path, with Basic and gzip": Case(
        settings={
            "http": "gzip on; gzip_types application/json; gzip_proxied any;",
            "server": "client_max_body_size 0;",
            "location": f'auth_basic "peers"; auth_basic_user_file htpasswd; {UPGRADE}',
            "path": "/comfy",
        },
        peer={
            "credentials": {
                "header": "Authorization",
                "value": "Basic " + base64.b64encode(b"master:only-for-tests").decode(),
            }
        },
    ),
    "over TLS, with Bearer": Case(
        settings={
            "server": f"""
                ssl_certificate {CERTIFICATES / "valid.pem"};
                ssl_certificate_key {CERTIFICATES / "server_key.pem"};
                client_max_body_size 0;
            """,
            "location": f"{bearer('a-key-for-tests')} {UPGRADE}",
            "tls": True,
        },
        peer={
            "credentials": {"header": "Authorization", "value": "Bearer a-key-for-tests"},
            "tls": fingerprint("valid"),
        },
    ),
}


def noise(path: Path) -> None:
    """A picture of 3 MB: noise does not shrink."""
    pixels = np.random.default_rng(7).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def colour(seed: int) -> dict[str, Any]:
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=seed),
        "2": node("SaveImage", images=["1", 0], filename_prefix="nginx"),
    }


def loaded(name: str) -> dict[str, Any]:
    return {
        "1": node("LoadImage", image=name),
        "2": node("SaveImage", images=["1", 0], filename_prefix="nginx"),
    }


async def ended(master: Master, prompt: dict[str, Any]) -> Job:
    return await master.end_of(await master.submit(prompt), END_S)


@pytest.mark.parametrize("name", CASES)
async def test_f47_a_real_nginx_before_a_real_peer(
    fleet: Fleet, http: aiohttp.ClientSession, tmp_path: Path, name: str
) -> None:
    case, peer = CASES[name], Session(http, fleet.peers[0].url)
    settings = Nginx(tmp_path / "nginx", to=peer.url, **case.settings)
    hashed = await asyncio.to_thread(hashed_password, "only-for-tests")
    await asyncio.to_thread((tmp_path / "nginx" / "htpasswd").write_text, f"master:{hashed}\n")
    home = tmp_path / "master"
    await asyncio.to_thread(home.mkdir)
    with settings as proxy:
        async with started(home) as master:
            backend_id = await master.add("peer", proxy.url, **case.peer)
            await until(lambda: master.runtime.manager.get_object_info(backend_id), deadline_s=END_S)

            job = await ended(master, colour(os.getpid()))
            assert (job.state, outcomes(job), len(job.outputs)) == (JobState.DONE, ["done"], 1)

            await asyncio.to_thread(noise, master.input / "noise.png")
            large = await ended(master, loaded("noise.png"))
            if case.takes_large:
                assert (large.state, outcomes(large)) == (JobState.DONE, ["done"])
            else:
                assert (large.state, outcomes(large)) == (JobState.FAILED, ["body_too_large"])
                assert large.error and "client_max_body_size" in large.error["message"]
                again = await ended(master, loaded("noise.png"))
                assert (again.state, outcomes(again)) == (JobState.FAILED, [])
                assert len([line for line, status in proxy.answers if status == 413]) == 1

            running = await master.submit(saved(sleep(os.getpid(), 60.0)))
            await until(lambda: master.job(running).begun_at, "it runs", deadline_s=END_S)
            await master.runtime.jobs.cancel(running.id)
            assert master.job(running).state is JobState.CANCELLED
            await until_told(peer.is_idle, "nothing of ours runs on the peer", deadline_s=END_S)

            status = master.runtime.manager.get_status(backend_id)
            assert (status.conduct.failures, status.conduct.ejections) == (0, 0)
            if not case.has_events:
                await until(lambda: "no websocket" in master.runtime.manager.get_status(backend_id).reason)


def saved(graph: dict[str, Any]) -> dict[str, Any]:
    return {**graph, "20": node("SaveImage", images=["10", 0], filename_prefix="nginx")}


def hashed_password(password: str) -> str:
    command = ["openssl", "passwd", "-apr1", password]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
