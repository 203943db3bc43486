"""A shard that a peer's torch wrote is read; anything else in such a file is refused and not run."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.plugin import node_module

torch = pytest.importorskip("torch")
shards: Any = node_module("shards")


def written(folder: Path, content: Any) -> Path:
    path = folder / "shard_0000.pkl"
    torch.save(content, path)
    return path


def shard(mask: Any) -> dict[str, Any]:
    return {
        "latents": [{"samples": torch.zeros(1, 4, 2, 2), "noise_mask": mask}],
        "conditioning": [[[torch.zeros(1, 3, dtype=torch.float16), {"pooled": None}]]],
    }


def packed(folder: Path, pickled: bytes, **data: bytes) -> Path:
    """An archive as torch writes it, with this pickle in it."""
    path = folder / "shard_0000.pkl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, value in data.items():
            archive.writestr(f"archive/data/{key}", value)
    return path


def test_the_mask_of_a_shard_is_read_to_the_last_bit(tmp_path: Path) -> None:
    mask = torch.rand(3, 1, 5, 7) * 3 - 1
    assert torch.equal(shards.noise_mask(written(tmp_path, shard(mask))), mask[:, 0])


def test_a_view_of_a_larger_tensor_is_read_as_what_it_shows(tmp_path: Path) -> None:
    whole = torch.rand(2, 4, 6, 3)
    view = whole[..., 1].reshape(2, 1, 4, 6)
    assert torch.equal(shards.noise_mask(written(tmp_path, shard(view))), whole[..., 1])


class Hostile:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self._canary,)


def test_code_that_a_file_names_is_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(shards.ResultError, match="cannot be read: it names pathlib"):
        shards.noise_mask(packed(tmp_path, pickle.dumps(Hostile(canary))))
    assert not canary.exists()


class Storage:
    """Named in a pickle as torch names the data of a tensor."""


class Writer(pickle.Pickler):
    def persistent_id(self, what: Any) -> Any:
        return ("storage", torch.FloatStorage, "0", "cpu", 4) if isinstance(what, Storage) else None


def rebuilt(*size: int, stride: tuple[int, ...]) -> bytes:
    """A pickle of a mask of this size over data of four floats."""

    class Tensor:
        def __reduce__(self) -> Any:
            arguments = (Storage(), 0, size, stride, False, OrderedDict())
            return torch._utils._rebuild_tensor_v2, arguments

    buffer = io.BytesIO()
    Writer(buffer).dump({"latents": [{"noise_mask": Tensor()}]})
    return buffer.getvalue()


def test_a_tensor_is_never_larger_than_its_data(tmp_path: Path) -> None:
    four = packed(tmp_path, rebuilt(1, 1, 2, 2, stride=(4, 4, 2, 1)), **{"0": bytes(16)})
    assert shards.noise_mask(four).shape == (1, 2, 2)
    huge = packed(tmp_path, rebuilt(1 << 20, 1, 1 << 10, 1 << 10, stride=(0, 0, 0, 0)), **{"0": bytes(16)})
    with pytest.raises(shards.ResultError, match="larger than its data"):
        shards.noise_mask(huge)


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"not a pickle at all"])
def test_what_is_no_shard_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(shards.ResultError, match=r"shard_0000\.pkl cannot be read"):
        shards.noise_mask(packed(tmp_path, data))
    path = tmp_path / "shard_0000.pkl"
    path.write_bytes(data)
    with pytest.raises(shards.ResultError, match="cannot be read"):
        shards.noise_mask(path)


def test_an_archive_that_was_packed_is_none(tmp_path: Path) -> None:
    path = tmp_path / "shard_0000.pkl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    with pytest.raises(shards.ResultError, match="packed"):
        shards.noise_mask(path)
