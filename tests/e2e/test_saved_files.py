"""Files a real ComfyUI saves, of every kind it writes a workflow into, back into the prompt."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.embedded.document import read_document
from tests.rig.fleet import ROOT, Fleet

from .graphs import node, stamp
from .session import Session

pytestmark = pytest.mark.e2e

TEMPLATES = ROOT / "tests" / "data" / "converter" / "templates_fe1.58.1.json.gz"
#: The classes that save, the ending each gives its file, and what they need beside picture or sound.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "SaveImage": ("png", {"images": ["1", 0]}),
    "SaveAnimatedPNG": ("png", {"images": ["1", 0], "fps": 6.0, "compress_level": 4}),
    "SaveAnimatedWEBP": (
        "webp",
        {"images": ["1", 0], "fps": 6.0, "lossless": True, "quality": 80, "method": "default"},
    ),
    "SaveWEBM": ("webm", {"images": ["1", 0], "codec": "vp9", "fps": 8.0, "crf": 32.0}),
    "SaveVideo": ("mp4", {"video": ["2", 0], "format": "auto", "codec": "auto"}),
    "SaveAudio": ("flac", {"audio": ["3", 0]}),
    "SaveAudioMP3": ("mp3", {"audio": ["3", 0], "quality": "128k"}),
    "SaveAudioOpus": ("opus", {"audio": ["3", 0], "quality": "128k"}),
    "SaveLatent": ("latent", {"samples": ["4", 0]}),
}
CONVERTED = ("SaveImage", "SaveAnimatedWEBP", "SaveVideo", "SaveAudio", "SaveLatent")


@cache
def template() -> dict[str, Any]:
    with gzip.open(TEMPLATES, "rt", encoding="utf-8") as file:
        return next(r for r in json.load(file) if r["name"] == "image_qwen_image.json")


@pytest.fixture
async def saved(peers: list[Session], fleet: Fleet) -> dict[str, Path]:
    """One file of each kind, saved by a run that carried the template as its workflow."""
    graph = {
        **stamp(7, size=64, batch=3),
        "2": node("CreateVideo", images=["1", 0], fps=8.0),
        "3": node("EmptyAudio", duration=1.0, sample_rate=48_000, channels=2),
        "4": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    }
    for kind, (_, inputs) in KINDS.items():
        graph[kind] = node(kind, filename_prefix=f"kinds/{kind}", **inputs)
    done = await peers[0].run(graph, extra_data={"extra_pnginfo": {"workflow": template()["workflow_file"]}})
    assert done.succeeded, done.entry["status"]
    folder = fleet.peers[0].base / "output" / "kinds"
    return {
        kind: next(folder.glob(f"{kind}_*.{ending}"))
        for kind, (ending, _) in KINDS.items()
    }  # fmt: skip


async def convert(file: Path, server: str, *options: str) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", "convert", str(file), "--server", server, *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out, err


async def test_every_kind_of_saved_file_gives_its_workflow_back(
    saved: dict[str, Path], peers: list[Session]
) -> None:
    for kind, path in saved.items():
        with path.open("rb") as file:
            assert read_document(file).workflow == template()["workflow_file"], kind
    for kind in CONVERTED:
        _, sent, said = await convert(saved[kind], peers[0].url)
        assert b"own prompt" in said and list(json.loads(sent)) == [*"1234", *KINDS], kind
        code, out, err = await convert(saved[kind], peers[0].url, "--from-workflow")
        assert (code, err) == (0, b""), kind
        made = json.loads(out)
        print(f"convert {saved[kind].name}: {len(made)} nodes")
        assert {key: entry["inputs"] for key, entry in made.items()} == {
            key: entry["inputs"] for key, entry in template()["api"].items()
        }
