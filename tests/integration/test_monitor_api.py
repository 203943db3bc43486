"""What the monitor asks of the server: its own page, and what each peer did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from orchestrator.errors import OrchestratorError
from tests.fakes.api import Host, serving
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with serving(tmp_path) as host:
        yield host


async def run(host: Host, peer: FakeComfyUI, *ways: str) -> None:
    """A job for each way the peer takes prompts, one after the other."""
    for way in ways:
        peer.on_prompt = way
        _, sent = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture(), "peer": "gpu-1"})
        with suppress(OrchestratorError):  # a failure is what is counted
            await host.runtime.jobs.wait(sent["job_id"])


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def work(host: Host, since: datetime) -> dict[str, Any]:
    status, answer = await host.ask("GET", f"/orchestrator/work?since={text(since)}")
    assert status == 200, answer
    return dict(answer)


async def test_jobs_and_failures_of_a_peer_are_counted_from_the_journal(host: Host) -> None:
    before = datetime.now(timezone.utc)
    async with FakeComfyUI() as peer:
        peer.object_info = stock_classes()
        added = await host.add_peer(url=peer.url, name="gpu-1", enabled=True)
        await run(host, peer, "run", "run", "fail")
        (found,) = (await work(host, before))["peers"]
        assert (found["peer_id"], found["peer"]) == (added["id"], "gpu-1")
        assert (found["done"], found["failed"], sum(found["failures"])) == (2, 1, 1)
        assert (await work(host, datetime.now(timezone.utc)))["peers"] == []


@pytest.mark.parametrize("since", ["", "yesterday", "2026-03-01T00:00:00"])
async def test_a_moment_that_is_none_or_has_no_zone_is_refused(host: Host, since: str) -> None:
    status, answer = await host.ask("GET", f"/orchestrator/work?since={since}")
    assert (status, answer["error"]) == (400, "bad_request")
    assert "2026-03-01T00:00:00Z" in answer["message"]


@pytest.mark.parametrize("days", [-8, 1])
async def test_a_while_that_is_not_over_the_last_days_is_refused(host: Host, days: int) -> None:
    since = datetime.now(timezone.utc) + timedelta(days=days)
    status, answer = await host.ask("GET", f"/orchestrator/work?since={text(since)}")
    assert (status, answer["field"]) == (400, "since")


@pytest.mark.parametrize("place", ["/orchestrator/monitor", "/api/orchestrator/monitor"])
async def test_the_page_finds_its_files_below_whatever_path_a_proxy_serves_it(host: Host, place: str) -> None:
    async with host.session.get(host.url + place) as answer:
        page = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    base = page.split('<base href="')[1].split('"')[0]
    for proxied in ("", "/studio/comfy"):
        files = urljoin(f"http://host{proxied}{place}", base)
        assert files == f"http://host{proxied}/extensions/remote-dispatch/"
