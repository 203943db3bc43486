"""Reads the tensors of a shard that ComfyUI's SaveTrainingDataset wrote on a peer, with torch.save.

Such a file is a pickle, which may name any code to run. Here it may name three things and nothing else, and
no tensor is larger than what the file really has.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..orchestrator.errors import ResultError

_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
}


def is_shard(path: Path) -> bool:
    """Where it was stored, a pickle was given an ending that opens nothing."""
    return path.suffix == ".bin"


def noise_mask(path: Path) -> torch.Tensor:
    """The noise mask of the first latent: float32 [batch, height, width].

    Raises:
        ResultError: the file is no such shard.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            mask = _Reader(archive).load()["latents"][0]["noise_mask"]
            if not isinstance(mask, torch.Tensor):
                raise pickle.UnpicklingError("its mask is none")
            return mask.float().reshape(-1, *mask.shape[-2:])
    except Exception as exc:  # a pickle may raise whatever it was made to raise
        told = str(exc)[:200] or type(exc).__name__
        raise ResultError(f"The peer's file {path.name} cannot be read: {told}.") from exc


@dataclass(frozen=True)
class _Storage:
    values: torch.Tensor  #: all of it, flat


class _Reader(pickle.Unpickler):
    """
    Raises:
        pickle.UnpicklingError: what is in the archive is not what torch.save writes of plain tensors.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise pickle.UnpicklingError("it is packed, and torch packs nothing")
        self._storages: dict[str, _Storage] = {}
        self._root = archive.namelist()[0].partition("/")[0]
        super().__init__(io.BytesIO(archive.read(f"{self._root}/data.pkl")))

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, _ = pid
        if not isinstance(kind, torch.dtype):
            raise pickle.UnpicklingError("a tensor has no type")
        if key not in self._storages:  # however often it is named, it is in memory once
            data = bytearray(self._archive.read(f"{self._root}/data/{key}"))
            values = torch.frombuffer(data, dtype=kind) if data else torch.empty(0, dtype=kind)
            self._storages[key] = _Storage(values)
        return self._storages[key]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return dict  # the hooks of a tensor, of which there are none
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _tensor(storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Any:
    count = math.prod(size)
    if not isinstance(storage, _Storage) or count > storage.values.numel():
        raise pickle.UnpicklingError("a tensor is larger than its data")
    return torch.as_strided(storage.values, size, stride, offset)
