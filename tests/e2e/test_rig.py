"""What all other end-to-end tests stand on: real processes, real sampling, and an end of both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.comfy import ComfyProcess
from tests.rig.environment import Installation, RigError
from tests.rig.fleet import ROOT, Fleet

from .graphs import sampled
from .session import Session, until

pytestmark = pytest.mark.e2e

STEPS = 6


async def test_peers_have_the_model_and_the_test_nodes_and_the_master_has_neither(
    master: Session, peers: list[Session]
) -> None:
    for session, expected in ((master, False), (peers[0], True), (peers[1], True)):
        classes = await session.own_nodes()
        assert ("TestStamp" in classes) is expected
        assert ("tiny-random-unet.safetensors" in str(classes["UNETLoader"])) is expected
        assert ("taesd" in str(classes["VAELoader"]["input"]["required"]["vae_name"][0])) is expected


async def test_peers_are_stock(peers: list[Session]) -> None:
    for peer in peers:
        assert "RemoteDispatch" not in await peer.get("/object_info")


async def test_sampling_on_a_peer_is_real_steps_and_previews_included(peers: list[Session]) -> None:
    graph = sampled(seed=1001, steps=STEPS)
    graph["9"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "rig"}}
    async with peers[0].listening() as (client_id, heard):
        done = await peers[0].finished(await peers[0].queue(graph, client_id=client_id))
        assert done.succeeded, done.entry["status"]

        async def all_steps() -> bool:
            steps = [
                e["data"]["value"] for e in heard if e["type"] == "progress" and e["data"]["node"] == "4"
            ]
            return steps == list(range(1, STEPS + 1))

        async def previews() -> list[bytes]:
            return [e["data"] for e in heard if e["type"] == "binary" and e["event"] == 4]

        await until(all_steps, "each step of the sampler was told, in order")
        pictures = await until(previews, "previews of the latent came")
    assert all(b"\xff\xd8\xff" in picture[:1000] for picture in pictures), "previews are JPEG"
    assert (await peers[0].picture(done.images("9")[0])).shape == (64, 64, 3)


@pytest.fixture
def tree(tmp_path: Path, fleet: Fleet) -> Iterator[Installation]:
    """An installation whose main.py is the test's own; write it before use."""
    folder = tmp_path / "tree"
    folder.mkdir()
    yield Installation(folder, fleet.master.installation.python)


def test_a_process_that_ends_while_starting_shows_the_end_of_its_log(
    tree: Installation, workspace: Path
) -> None:
    (tree.path / "main.py").write_text("raise SystemExit('no room on this computer')")
    process = ComfyProcess("broken", tree, workspace / "broken")
    process.start()
    with pytest.raises(RigError, match=r"(?s)broken ended by itself.*no room on this computer"):
        process.wait_ready()


RIG = """
import sys, time
from pathlib import Path
from tests.rig.comfy import ComfyProcess
from tests.rig.environment import Installation
tree, python, base = map(Path, sys.argv[1:])
process = ComfyProcess("left", Installation(tree, python), base)
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""


def start_and_kill_a_rig(tree: Installation, base: Path) -> int:
    """The id of the process it had started."""
    command = [sys.executable, "-c", RIG, str(tree.path), str(tree.python), str(base)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as rig:
        assert rig.stdout is not None
        left = int(rig.stdout.readline())
        os.kill(left, 0)
        rig.kill()
    return left


@pytest.mark.skipif(sys.platform == "win32", reason="asks for a process by its id the POSIX way")
async def test_a_killed_rig_leaves_no_process_behind(tree: Installation, workspace: Path) -> None:
    (tree.path / "main.py").write_text("import time\ntime.sleep(600)")
    left = start_and_kill_a_rig(tree, workspace / "left")

    async def gone() -> bool:
        try:
            os.kill(left, 0)
        except ProcessLookupError:
            return True
        return False

    await until(gone, "the process ended with its rig", deadline_s=30)
