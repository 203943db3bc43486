"""Files that a peer made become values of the graph again, and nothing but what they have to be is read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.plugin import node_module

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
av = pytest.importorskip("av")
media: Any = node_module("media")


def exr(picture: Any, *, bits: str = "gbrpf32le") -> bytes:
    """As ComfyUI's SaveImageAdvanced writes it."""
    codec = av.CodecContext.create("exr", "w")
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt, codec.time_base = bits, Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(picture, format="gbrpf32le")
    frame = frame if bits == "gbrpf32le" else frame.reformat(format=bits)
    frame.pts, frame.time_base = 0, codec.time_base
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def written(folder: Path, *contents: bytes) -> list[Path]:
    paths = [folder / f"{number}.exr" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_pictures_of_floats_are_read_to_the_last_bit_and_in_their_order(tmp_path: Path) -> None:
    pictures = (torch.rand(2, 5, 7, 3) * 4 - 1).numpy()
    paths = written(tmp_path, *map(exr, pictures))
    assert np.array_equal(media.value_from_files("IMAGE", paths, ()).numpy(), pictures)
    assert np.array_equal(media.value_from_files("MASK", paths, ()).numpy(), pictures[..., 0])


def test_a_grey_picture_has_three_channels(tmp_path: Path) -> None:
    picture = np.full((4, 6, 3), 0.25, np.float32)
    (path,) = written(tmp_path, exr(picture, bits="grayf32le"))
    assert media.value_from_files("IMAGE", [path], ()).shape == (1, 4, 6, 3)


@pytest.mark.parametrize("data", [b"", b"no picture", b"ffconcat version 1.0\nfile 0.exr\n"])
def test_what_is_no_such_picture_is_not_read(tmp_path: Path, data: bytes) -> None:
    _, path = written(tmp_path, exr(np.zeros((4, 4, 3), np.float32)), data)
    with pytest.raises(media.ResultError, match=r"1\.exr cannot be read"):
        media.value_from_files("IMAGE", [path], ())


def test_sounds_of_several_lengths_make_no_batch(tmp_path: Path) -> None:
    paths = []
    for length in (80, 90):
        paths.append(tmp_path / f"{length}.wav")
        paths[-1].write_bytes(node_module("sounds").wav(np.zeros((1, length), np.float32), 8_000))
    assert media.value_from_files("AUDIO", paths[:1], ())["waveform"].shape == (1, 1, 80)
    with pytest.raises(media.ResultError, match="make no batch"):
        media.value_from_files("AUDIO", paths, ())


def test_nothing_is_said_to_be_nothing() -> None:
    for kind in ("IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO", "STRING"):
        with pytest.raises(media.ResultError, match=f"without handing back the {kind}"):
            media.value_from_files(kind, (), ())
