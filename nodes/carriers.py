"""Values of the graph as files, and the nodes that load them on a peer."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ..orchestrator.core.models.job import Prompt
from ..orchestrator.core.workflow.carriers import Loading, runs_of
from ..orchestrator.dispatch.attempts.transport import hash_file
from ..orchestrator.errors import OrchestratorError, UnsupportedTypeError
from . import films
from .apng import Frames, apng
from .sounds import wav

CHAIN_FOLDER = "remote-dispatch-chain"
FILE_BYTES = 64 << 20  #: of unpacked pictures in one file; a stock peer takes uploads of 100 MiB
_MOST = 2**24 - 1  #: of three bytes


def kind_of(value: object) -> str:
    """The link type of a value that may travel.

    Raises:
        UnsupportedTypeError
    """
    if isinstance(value, torch.Tensor) and value.ndim in (2, 3, 4):
        return "IMAGE" if value.ndim == 4 else "MASK"
    if isinstance(value, dict) and isinstance(value.get("samples"), torch.Tensor):
        return "LATENT"
    if isinstance(value, dict) and isinstance(value.get("waveform"), torch.Tensor):
        return "AUDIO"
    for kind, plain in (("BOOLEAN", bool), ("INT", int), ("FLOAT", float), ("STRING", str)):
        if isinstance(value, plain):
            return kind
    if films.is_film(value):
        return "VIDEO"
    raise UnsupportedTypeError(f"A value of type {type(value).__name__} cannot travel to the next peer.")


def carried(
    kind: str, value: Any, temp: Path, prefix: str, *, exact: bool = False
) -> tuple[Prompt, list[Any]]:
    """Write a value of a kind that travels in files below ComfyUI's temp folder; return the nodes that load
    it, whose ids begin with `prefix`, and the link to it. Equal values give equal files.

    IMAGE [batch, height, width, 1, 3 or 4 channels] and MASK [batch, height, width] have 8 bits a channel, or
    24 where `exact` and needed. LATENT is float32, with its noise mask (as a MASK) and ``batch_index``. AUDIO
    is float32, of a batch of one. A VIDEO keeps its streams, or is encoded as ComfyUI saves it.

    Raises:
        OrchestratorError: the temp folder cannot be written. UnsupportedTypeError: no file holds the value.
    """
    load = Loading(prefix)
    write = _Writer(temp / CHAIN_FOLDER, exact)
    try:
        (temp / CHAIN_FOLDER).mkdir(parents=True, exist_ok=True)
        return load.nodes, _WAYS[kind](load, write, value)
    except OSError as exc:
        raise OrchestratorError(
            f"A value for the next peer cannot be written to {temp / CHAIN_FOLDER}: {exc.strerror or exc}. "
            "Make room, run again."
        ) from exc


class _Writer:
    """Files are named by their content, as LoadImage takes names."""

    def __init__(self, folder: Path, exact: bool) -> None:
        self._folder = folder
        self._exact = exact

    def bytes(self, data: bytes, ending: str) -> str:
        return self._named(hashlib.sha256(data).hexdigest(), ending, lambda part: part.write_bytes(data))

    def saved(self, save: Callable[[str], object], ending: str) -> str:
        """What `save` writes to a path with this ending."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder, f"part.{ending}")
            save(str(path))
            return self._named(hash_file(path), ending, path.replace)

    def _named(self, digest: str, ending: str, bring: Callable[[Path], object]) -> str:
        path = self._folder / f"{digest[:40]}.{ending}"
        if not path.is_file():
            part = path.with_suffix(f".{uuid.uuid4().hex[:8]}.part")  # other items may write the same
            bring(part)
            part.replace(path)
        return f"{CHAIN_FOLDER}/{path.name} [temp]"

    def pictures(self, batch: torch.Tensor) -> list[list[str]]:
        """The names of the files, each part one or three. `batch`: [batch, height, width, 3]."""
        count = max(FILE_BYTES // max(batch[0].numel(), 1), 1)
        return [self._part(batch[start : start + count]) for start in range(0, len(batch), count)]

    def _part(self, batch: torch.Tensor) -> list[str]:
        planes = _planes(batch, self._exact)
        return [self.bytes(apng(frames, is_noise=low > 0), "png") for low, frames in enumerate(planes)]


def _planes(batch: torch.Tensor, exact: bool) -> Iterator[Frames]:
    """One of 8 bits where that is enough, else the high, middle and low byte of 24 bits."""
    eight = (batch.float().clamp(0, 1) * 255.0).round()
    if not exact or torch.equal(eight / 255.0, batch.float()):
        yield eight.to(torch.uint8).cpu().numpy()
        return
    least, most = float(batch.min()), float(batch.max())
    if not 0.0 <= least <= most <= 1.0:  # nor is it with a value that is no number
        raise UnsupportedTypeError(
            f"Values from {least:.4g} to {most:.4g} cannot travel to a peer exactly; a picture has 0 to 1. "
            "Put a node that limits them before Remote Dispatch, or choose '8 bit'."
        )
    fine = (batch.double() * _MOST).round().to(torch.int32)
    for shift in (16, 8, 0):
        yield (fine >> shift & 255).to(torch.uint8).cpu().numpy()


def _image(load: Loading, write: _Writer, value: torch.Tensor) -> list[Any]:
    channels = value.shape[-1]
    if not len(value) or channels not in (1, 3, 4):
        raise UnsupportedTypeError(
            f"A batch of {len(value)} pictures with {channels} channels cannot travel to a peer. Link "
            "pictures with 3 channels, or 4 with transparency."
        )
    colours = value[..., :3] if channels > 1 else value.expand(-1, -1, -1, 3)
    link = load.pictures(write.pictures(colours))
    return load.with_alpha(link, _mask(load, write, 1.0 - value[..., 3])) if channels == 4 else link


def _mask(load: Loading, write: _Writer, value: torch.Tensor) -> list[Any]:
    grey = value.reshape(-1, *value.shape[-2:], 1).expand(-1, -1, -1, 3)
    return load.mask(write.pictures(grey))


def _latent(load: Loading, write: _Writer, value: dict[str, Any]) -> list[Any]:
    samples = value["samples"].float().cpu()
    index = list(value.get("batch_index") or ())
    if len(index) != len(samples) or index == list(range(len(samples))):
        link = load.latents(_latents(write, samples))
    else:
        link = _indexed(load, write, samples, index)
    mask = value.get("noise_mask")
    if mask is None:
        return link
    if mask.ndim > 4 or (mask.ndim == 4 and mask.shape[1] != 1):
        raise UnsupportedTypeError(
            f"A latent with a noise mask of {'x'.join(map(str, mask.shape))} cannot travel to a peer: only "
            "one for each picture can. Put what makes the mask behind Remote Dispatch, or on the peer too."
        )
    return load.with_noise_mask(link, _mask(load, write, mask))


def _indexed(load: Loading, write: _Writer, samples: torch.Tensor, index: Sequence[int]) -> list[Any]:
    """Run by run, as no stock node takes a list of numbers."""
    link: list[Any] = []
    start = 0
    for run in runs_of(index):
        part = samples[start : start + run.length].roll(run.shift, 0)
        one = load.latents(_latents(write, part), run)
        link = load.joined_latents(link, one) if link else one
        start += run.length
    return link


def _latents(write: _Writer, samples: torch.Tensor) -> str:
    # As core LoadLatent knows a latent that it need not scale.
    tensors = {"latent_tensor": samples.contiguous(), "latent_format_version_0": torch.tensor([])}
    return write.bytes(safetensors.torch.save(tensors), "latent")


def _audio(load: Loading, write: _Writer, value: dict[str, Any]) -> list[Any]:
    sound = value["waveform"].float().cpu()
    if len(sound) != 1:
        raise UnsupportedTypeError(
            f"A batch of {len(sound)} sounds cannot travel to a peer, only one at a time. Make them a list."
        )
    return load.audio(write.bytes(wav(sound[0].numpy(), int(value["sample_rate"])), "wav"))


def _video(load: Loading, write: _Writer, value: Any) -> list[Any]:
    return load.video(write.saved(*films.saving(value)))


_WAYS: Mapping[str, Callable[[Loading, _Writer, Any], list[Any]]] = {
    "IMAGE": _image,
    "MASK": _mask,
    "LATENT": _latent,
    "AUDIO": _audio,
    "VIDEO": _video,
}
