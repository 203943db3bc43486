"""Values of the graph from the files that a peer made of them. Nothing in these files is trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import safetensors.torch
import torch
from PIL import Image, UnidentifiedImageError

from ..orchestrator.core.workflow.carriers import CARRIED
from ..orchestrator.errors import ResultError
from .films import film_of
from .shards import is_shard, noise_mask
from .sounds import sound_of

MAX_PIXELS = 1 << 28  #: of one picture: 16384 x 16384
FLAT_PIXELS = 1 << 24  #: up to here a picture may be of one colour and its file as good as empty
#: Above FLAT_PIXELS: a file that unpacks to more is a decompression bomb; real pictures stay far below.
MAX_PIXELS_PER_BYTE = 500
#: ffmpeg's layouts of an EXR with 32 bits: where each of our channels lies among its planes
_EXR_CHANNELS = {"gbrpf32le": (2, 0, 1), "gbrapf32le": (2, 0, 1, 3), "grayf32le": (0, 0, 0)}
_FORMATS = ("PNG", "JPEG", "WEBP")
_OLD_LATENT_SCALE = 1.0 / 0.18215  #: files without latent_format_version_0, as core LoadLatent reads them


def value_from_files(kind: str, paths: Sequence[Path], texts: Sequence[str]) -> Any:
    """Make the value a link of type `kind` carries.

    IMAGE: float32 [batch, height, width, channels], in the order of `paths`; 0..1, of EXR and shards whatever
    the peer had. MASK: float32 [batch, height, width]. LATENT: {"samples": float32 tensor}. AUDIO:
    {"waveform": float32 [batch, channels, samples], "sample_rate": int}. VIDEO: ComfyUI's object for a file.
    Texts and numbers: the Python value.

    Raises:
        ResultError: there is nothing, or it cannot be read.
    """
    first = _first(texts if kind not in CARRIED else paths, kind)
    if kind in ("IMAGE", "MASK"):
        pictures = _of_shards(paths) if is_shard(first) else pictures_from_files(paths)
        return pictures[..., 0].contiguous() if kind == "MASK" else pictures
    if kind == "LATENT":
        return _latent(first)
    if kind == "AUDIO":
        return _audio(paths)
    return film_of(first) if kind == "VIDEO" else _plain(kind, first)


def pictures_from_files(paths: Sequence[Path]) -> torch.Tensor:
    """float32 [batch, height, width, channels], 0..1, of EXR as it is; all pictures must have one size. Where
    some have an alpha channel and others none, it is left out.

    Raises:
        ResultError
    """
    _first(paths, "picture")
    if len(paths) == 1:
        arrays = [_read(paths[0])]
    else:
        with ThreadPoolExecutor() as pool:  # unpacking leaves the interpreter to others
            arrays = list(pool.map(_read, paths))
    channels = min(array.shape[2] for array in arrays)
    arrays = [array[..., :channels] for array in arrays]
    sizes = {array.shape[:2] for array in arrays}
    if len(sizes) > 1:
        listed = ", ".join(sorted(f"{width}x{height}" for height, width in sizes))
        raise ResultError(
            f"The pictures have different sizes ({listed}) and make no batch. Link nodes that give one size."
        )
    return torch.from_numpy(np.stack(arrays))


def _read(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    return _exr(path) if path.suffix == ".exr" else _picture(path)


def _picture(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_size(image.width, image.height, path)
            shown = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
            return np.asarray(shown, dtype=np.float32) / np.float32(255.0)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise ResultError(f"The peer's picture {path.name} cannot be read: {exc}.") from exc


def _exr(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Of 32 bits, as ComfyUI writes it."""
    try:
        # Named, or a file might be a list of others that ffmpeg goes and reads.
        with av.open(str(path), format="exr_pipe") as container:
            stream = container.streams.video[0]
            _check_size(stream.width, stream.height, path)
            frame = next(container.decode(stream))
            form = frame.format.name
            if form not in _EXR_CHANNELS:
                raise ResultError(f"The peer's picture {path.name} has {form} for its pixels, not 32 bits.")
            planes = [np.frombuffer(bytes(plane), np.float32) for plane in frame.planes]
            rows = [plane.reshape(frame.height, -1)[:, : frame.width] for plane in planes]
            return np.stack([rows[channel] for channel in _EXR_CHANNELS[form]], axis=-1)
    except (OSError, ValueError, IndexError, StopIteration, av.error.FFmpegError) as exc:
        raise ResultError(f"The peer's picture {path.name} cannot be read: {exc}.") from exc


def _of_shards(paths: Sequence[Path]) -> torch.Tensor:
    channels = [noise_mask(path) for path in paths]
    if len({channel.shape for channel in channels}) > 1:
        raise ResultError(f"The channels of the peer's picture {paths[0].name} have different sizes.")
    return torch.stack(channels, dim=-1)


def _check_size(width: int, height: int, path: Path) -> None:
    """Before anything is unpacked: a few kilobytes may say that they are gigabytes."""
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise ResultError(f"A picture of {width}x{height} pixels is too large to take in.")
    if pixels > max(FLAT_PIXELS, MAX_PIXELS_PER_BYTE * path.stat().st_size):
        raise ResultError(
            f"The peer's picture {path.name} says it has {width}x{height} pixels in a file of "
            f"{path.stat().st_size} bytes, and was not unpacked. Look at what made it on the peer."
        )


def _latent(path: Path) -> dict[str, Any]:
    try:
        tensors = safetensors.torch.load_file(path)
        scale = 1.0 if "latent_format_version_0" in tensors else _OLD_LATENT_SCALE
        return {"samples": tensors["latent_tensor"].float() * scale}
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as exc:
        raise ResultError(f"The peer's latent {path.name} cannot be read: {exc}.") from exc


def _audio(paths: Sequence[Path]) -> dict[str, Any]:
    sounds = [sound_of(path) for path in paths]
    shapes = {(rate, *sound.shape) for sound, rate in sounds}
    if len(shapes) > 1:
        raise ResultError("The sounds have different lengths, channels or rates and make no batch.")
    waveform = torch.from_numpy(np.stack([sound for sound, _ in sounds]))
    return {"waveform": waveform, "sample_rate": sounds[0][1]}


def _plain(kind: str, text: str) -> Any:
    """`kind` may be several, as "INT,STRING": the first that the text can be read as."""
    read: Mapping[str, Callable[[str], Any]] = {"INT": int, "FLOAT": float, "BOOLEAN": _truth}
    for one in kind.split(","):
        try:
            return read.get(one, str)(text)
        except (ValueError, KeyError):
            continue
    due = "true or false" if kind == "BOOLEAN" else "a number"
    raise ResultError(f"The peer answered {text[:40]!r} where {due} was due.")


def _truth(text: str) -> bool:
    return {"True": True, "1": True, "False": False, "0": False}[text]


def _first(items: Sequence[Any], kind: str) -> Any:
    if not items:
        raise ResultError(f"The peer finished without handing back the {kind}. Run it again.")
    return items[0]
