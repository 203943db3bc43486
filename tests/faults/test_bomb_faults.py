"""F34 of the fault list: files that would swell in memory are refused before they do."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RSS_MAX = 128 << 20

#: A process of its own, whose highest memory is the file's doing alone.
READ = """
import resource, sys, types
from pathlib import Path
for name, path in (("plugin", sys.argv[1]), ("plugin.nodes", sys.argv[1] + "/nodes")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from plugin.nodes.media import value_from_files
from plugin.orchestrator.errors import ResultError
value_from_files("IMAGE", [Path(sys.argv[2])], [])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    value = value_from_files(sys.argv[4], [Path(sys.argv[3])], [])
    said = "taken " + str(tuple(value.shape))
except ResultError as error:
    said = "refused " + str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, said)
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, *, text: bytes = b"", grey: bool = True) -> bytes:
    """A whole picture of one colour, packed as small as it goes: one bit for each pixel, or three bytes."""
    row = b"\0" + bytes((side + 7) // 8 if grey else side * 3)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1 if grey else 8, 0 if grey else 2, 0, 0, 0)
    parts = (b"IHDR", header), *([(b"zTXt", b"parameters\0\0" + text)] if text else []), (b"IDAT", pixels)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts) + chunk(b"IEND", b"")


def texts_bomb() -> bytes:
    return png(64, text=zlib.compress(b" " * (256 << 20), 9))


def pickle_bomb(canary: Path) -> bytes:
    return f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()


def taken(folder: Path, data: bytes, kind: str) -> tuple[int, str]:
    """By how much memory grew at most, in bytes, and what was said."""
    (folder / "first.png").write_bytes(png(8))
    (folder / "result.png").write_bytes(data)
    files = (str(folder / "first.png"), str(folder / "result.png"))
    told = subprocess.run(
        [sys.executable, "-c", READ, str(ROOT), *files, kind], capture_output=True, text=True, check=True
    ).stdout
    grown, said = told.split(" ", 1)
    return int(grown) * 1024, said


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in Linux's units")
@pytest.mark.parametrize("bomb", ["12k", "30k", "text", "pickle", "pickled latent"])
async def test_f34_a_file_that_would_swell_is_refused_before_it_does(tmp_path: Path, bomb: str) -> None:
    pytest.importorskip("torch")
    canary = tmp_path / "canary"
    make = {"12k": lambda: png(12_000), "30k": lambda: png(30_000), "text": texts_bomb}
    data = await asyncio.to_thread(make.get(bomb, lambda: pickle_bomb(canary)))
    kind = "LATENT" if bomb == "pickled latent" else "IMAGE"
    grown, said = await asyncio.to_thread(taken, tmp_path, data, kind)
    print(f"F34 {bomb}, {len(data)} bytes: RSS +{grown / 1e6:.0f} MB, {said.strip()}")
    assert said.startswith("refused")
    assert grown <= RSS_MAX
    assert not canary.exists()


@pytest.mark.parametrize("side", [1024, 4096])
async def test_a_large_picture_of_one_colour_is_no_bomb(tmp_path: Path, side: int) -> None:
    pytest.importorskip("torch")
    data = await asyncio.to_thread(png, side, grey=False)
    assert (await asyncio.to_thread(taken, tmp_path, data, "IMAGE"))[1].startswith("taken")
