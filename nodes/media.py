"""Values of the graph to files and back."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image, UnidentifiedImageError

from ..orchestrator.errors import OrchestratorError, ResultError, UnsupportedTypeError

CHAIN_FOLDER = "remote-dispatch-chain"
MAX_PIXELS = 1 << 28  #: of one picture: 16384 x 16384
FLAT_PIXELS = 1 << 24  #: up to here a picture may be of one colour and its file as good as empty
#: Above FLAT_PIXELS: a file that unpacks to more is a decompression bomb; real pictures stay far below.
MAX_PIXELS_PER_BYTE = 500
_FORMATS = ("PNG", "JPEG", "WEBP")
_OLD_LATENT_SCALE = 1.0 / 0.18215  #: files without latent_format_version_0, as core LoadLatent reads them


def value_from_files(kind: str, paths: Sequence[Path], texts: Sequence[str]) -> Any:
    """Make the value a link of type `kind` carries.

    IMAGE: float32 [batch, height, width, channels], 0..1, in the order of `paths`. MASK: float32 [batch,
    height, width]. LATENT: {"samples": float32 tensor}. Texts and numbers: the Python value.

    Raises:
        ResultError: there is nothing, or it cannot be read.
    """
    if kind in ("IMAGE", "MASK"):
        pictures = pictures_from_files(paths)
        return pictures[..., 0].contiguous() if kind == "MASK" else pictures
    if kind == "LATENT":
        return _latent(_first(paths, kind))
    return _plain(kind, _first(texts, kind))


def pictures_from_files(paths: Sequence[Path]) -> torch.Tensor:
    """float32 [batch, height, width, channels], 0..1; all pictures must have one size. Where some have an
    alpha channel and others none, it is left out.

    Raises:
        ResultError
    """
    _first(paths, "picture")
    arrays = [_picture(path) for path in paths]
    channels = min(array.shape[2] for array in arrays)
    arrays = [array[..., :channels] for array in arrays]
    sizes = {array.shape[:2] for array in arrays}
    if len(sizes) > 1:
        listed = ", ".join(sorted(f"{width}x{height}" for height, width in sizes))
        raise ResultError(
            f"The pictures have different sizes ({listed}) and make no batch. Link nodes that give one size."
        )
    return torch.from_numpy(np.stack(arrays))


def _picture(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_size(image, path)
            shown = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
            return np.asarray(shown, dtype=np.float32) / np.float32(255.0)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise ResultError(f"The peer's picture {path.name} cannot be read: {exc}.") from exc


def _check_size(image: Image.Image, path: Path) -> None:
    """Before anything is unpacked: a few kilobytes may say that they are gigabytes."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise ResultError(f"A picture of {image.width}x{image.height} pixels is too large to take in.")
    if pixels > max(FLAT_PIXELS, MAX_PIXELS_PER_BYTE * path.stat().st_size):
        raise ResultError(
            f"The peer's picture {path.name} says it has {image.width}x{image.height} pixels in a file of "
            f"{path.stat().st_size} bytes, and was not unpacked. Look at what made it on the peer."
        )


def _latent(path: Path) -> dict[str, Any]:
    try:
        tensors = safetensors.torch.load_file(path)
        scale = 1.0 if "latent_format_version_0" in tensors else _OLD_LATENT_SCALE
        return {"samples": tensors["latent_tensor"].float() * scale}
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as exc:
        raise ResultError(f"The peer's latent {path.name} cannot be read: {exc}.") from exc


def _plain(kind: str, text: str) -> Any:
    """`kind` may be several, as "INT,STRING": the first that the text can be read as."""
    read = {"INT": int, "FLOAT": float, "BOOLEAN": _truth}
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


def kind_of(value: object) -> str:
    """The link type of a value that another dispatch node gave back.

    Raises:
        UnsupportedTypeError
    """
    if isinstance(value, torch.Tensor):
        return "IMAGE" if value.ndim == 4 else "MASK"
    if isinstance(value, dict) and isinstance(value.get("samples"), torch.Tensor):
        return "LATENT"
    for kind, plain in (("BOOLEAN", bool), ("INT", int), ("FLOAT", float), ("STRING", str)):
        if isinstance(value, plain):
            return kind
    raise UnsupportedTypeError(f"A value of type {type(value).__name__} cannot travel to the next peer.")


def files_from_value(kind: str, value: Any, temp: Path) -> list[str]:
    """Write a value below ComfyUI's temp folder; return names as LoadImage takes them.

    Equal values give equal names. 8 bits a channel for IMAGE and MASK, float32 for LATENT.

    Raises:
        OrchestratorError: the temp folder cannot be written.
    """
    folder = temp / CHAIN_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "LATENT":
            data = safetensors.torch.save(
                {
                    "latent_tensor": value["samples"].contiguous().cpu(),
                    "latent_format_version_0": torch.tensor([]),
                }
            )
            return [_write(folder, data, "latent")]
        batch = value if kind == "IMAGE" else value.reshape(-1, *value.shape[-2:], 1).expand(-1, -1, -1, 3)
        return [_write(folder, _png(picture), "png") for picture in batch]
    except OSError as exc:
        raise OrchestratorError(
            f"A value for the next peer cannot be written to {folder}: {exc.strerror}. Make room, run again."
        ) from exc


def _png(picture: torch.Tensor) -> bytes:
    array = (picture.clamp(0, 1) * 255.0).round().to(torch.uint8).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _write(folder: Path, data: bytes, ending: str) -> str:
    path = folder / f"{hashlib.sha256(data).hexdigest()[:40]}.{ending}"
    if not path.is_file():
        part = path.with_suffix(f".{ending}.part")
        part.write_bytes(data)
        part.replace(path)
    return f"{CHAIN_FOLDER}/{path.name} [temp]"
