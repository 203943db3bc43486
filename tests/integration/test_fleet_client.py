"""The Python client in a script of a user's own, and the example of docs/commands.md word for word."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from orchestrator.commands import Fleet
from orchestrator.errors import ConfigError, NoEligiblePeerError, NotFoundError, ParameterError, PeerAuthError
from tests.fakes.api import Host
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.waiting import until

from .test_command_line import ROOT


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    """It is up, and has told its nodes."""
    _, added = await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    await until(lambda: host.runtime.manager.get_object_info(added["id"]), "its nodes are known")
    return peer


@pytest.fixture
def fleet(host: Host) -> Fleet:
    return Fleet(host.url, host.guard.token)


async def test_the_example_of_the_documentation_does_what_it_says(
    host: Host, peer: FakeComfyUI, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "commands.md").read_text("utf-8"), re.S)
    script = example.replace("http://127.0.0.1:8188", host.url).replace("KSampler.seed", "EmptyImage.color")
    graph = {**picture(), "1": {**picture()["1"], "class_type": "EmptyImage"}}
    (tmp_path / "portrait.json").write_text(json.dumps(graph), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{script}\nprint(len(files))"),
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "ORCHESTRATOR_TOKEN": host.guard.token, "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out.strip()) == (0, b"4"), err.decode()
    assert [path.read_bytes() for path in (tmp_path / "results").iterdir()] == [PNG] * 4
    assert {prompt.graph["1"]["inputs"]["color"] for prompt in peer.prompts} == {7}


async def test_a_graph_in_hand_is_checked_run_and_done_again(
    host: Host, peer: FakeComfyUI, fleet: Fleet, tmp_path: Path
) -> None:
    def script() -> None:
        found = fleet.check(picture(), {"1.color": 3}, variations=[{}, {"1.width": 8}])
        assert (found["count"], found["waits_for"]) == (2, "")
        (job_id,) = fleet.submit(picture(), {"1.color": 3}, title="Cat", priority=2)
        (job,) = fleet.wait([job_id])
        assert (job["state"], job["title"]) == ("done", "Cat")
        assert fleet.job(job_id[:8])["job_id"] == job_id
        again = fleet.retry(job_id, peer="gpu")
        assert fleet.wait([again])[0]["retry_of"] == job_id
        assert [found["job_id"] for found in fleet.jobs(state="done", limit=1)] == [again]
        assert [path.name for path in fleet.save(job, tmp_path)] == [job["outputs"][0]["filename"]]
        assert fleet.cancel(job_id)["state"] == "done"

    await asyncio.to_thread(script)


async def test_peers_are_managed_by_name(host: Host, peer: FakeComfyUI, fleet: Fleet, dead_url: str) -> None:
    def script() -> None:
        added = fleet.add_peer(dead_url, name="old", enabled=False)
        assert fleet.change_peer("old", name="older", tags=["slow"])["tags"] == ["slow"]
        assert fleet.peer(added["id"])["name"] == "older"
        fleet.remove_peer("OLDER")
        assert [peer["name"] for peer in fleet.peers()] == ["gpu"]
        assert fleet.test_peer("gpu")["ok"]

    await asyncio.to_thread(script)


async def test_what_is_wrong_is_an_error_of_its_own_class(
    host: Host, peer: FakeComfyUI, fleet: Fleet
) -> None:
    def script() -> None:
        with pytest.raises(ParameterError) as caught:
            fleet.submit(picture(), {"1.colour": 1})
        assert caught.value.candidates == ("1.color",)
        with pytest.raises(NoEligiblePeerError):
            fleet.submit(picture(), peer="gpu-9")
        with pytest.raises(NotFoundError, match=r"There is no peer gpv\. Did you mean gpu"):
            fleet.peer("gpv")
        with pytest.raises(ConfigError):
            fleet.job("")
        with pytest.raises(PeerAuthError, match="refuses the token"):
            Fleet(host.url, "wrong").submit(picture())

    await asyncio.to_thread(script)
