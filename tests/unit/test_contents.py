"""Whether a file holds what its ending says: files as real programs write them, and the same ones cut off."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.dispatch.attempts.contents import check_contents
from orchestrator.errors import ResultError
from tests.fakes.comfyui import PNG


def picture(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = (np.arange(64 * 64 * 3) * 7 % 251).astype(np.uint8).reshape(64, 64, 3)
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return buffer.getvalue()


def tensors() -> bytes:
    header = json.dumps(
        {"__metadata__": {"a": "b"}, "x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    )
    return struct.pack("<Q", len(header)) + header.encode() + bytes(16)


def film() -> bytes:
    boxes = (b"ftyp", b"isom"), (b"moov", bytes(40)), (b"mdat", bytes(500))
    return b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in boxes)


WHOLE = {
    "png": picture("PNG"),
    "jpg": picture("JPEG"),
    "jpeg": picture("JPEG", quality=95),
    "webp": picture("WEBP"),
    "gif": picture("GIF"),
    "bmp": picture("BMP"),
    "tiff": picture("TIFF"),
    "safetensors": tensors(),
    "latent": tensors(),
    "mp4": film(),
}


@pytest.mark.parametrize("ending", WHOLE)
def test_a_whole_file_passes(tmp_path: Path, ending: str) -> None:
    (tmp_path / "file").write_bytes(WHOLE[ending])
    check_contents(tmp_path / "file", ending, "theirs")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "safetensors", "mp4"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_one_that_was_cut_off_does_not(tmp_path: Path, ending: str, share: float) -> None:
    whole = WHOLE[ending]
    (tmp_path / "file").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ResultError, match="theirs"):
        check_contents(tmp_path / "file", ending, "theirs")


@pytest.mark.parametrize("ending", WHOLE)
@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"MZ" * 100, b"<html>" * 20], ids=ascii)
def test_anything_else_does_not(tmp_path: Path, ending: str, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ResultError):
        check_contents(tmp_path / "file", ending, "theirs")


@pytest.mark.parametrize("ending", ["png", "jpg", "mp4", "flac"])
@pytest.mark.parametrize("really", ["png", "jpg", "webp", "gif", "mp4"])
def test_a_whole_picture_or_film_passes_under_another_ones_ending(
    tmp_path: Path, ending: str, really: str
) -> None:
    (tmp_path / "file").write_bytes(WHOLE[really])
    check_contents(tmp_path / "file", ending, "theirs")
    if really != "gif":
        (tmp_path / "file").write_bytes(WHOLE[really][: len(WHOLE[really]) // 2])
        with pytest.raises(ResultError, match="not whole"):
            check_contents(tmp_path / "file", ending, "theirs")


def test_what_is_loaded_as_tensors_has_to_be_tensors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(WHOLE["png"])
    with pytest.raises(ResultError, match="no latent file"):
        check_contents(tmp_path / "file", "latent", "theirs")


@pytest.mark.parametrize("ending", ["txt", "json", "bin", "obj"])
def test_kinds_without_a_sign_of_their_own_pass(tmp_path: Path, ending: str) -> None:
    (tmp_path / "file").write_bytes(b"anything")
    check_contents(tmp_path / "file", ending, "theirs")


def test_what_stands_behind_a_pictures_end_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(PNG + b"more")
    check_contents(tmp_path / "file", "png", "theirs")
