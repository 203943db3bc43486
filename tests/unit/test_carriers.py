"""Values of this computer become files, and stock nodes that make them again on a peer."""

from __future__ import annotations

import io
import random
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.workflow.carriers import Loading, can_travel, runs_of
from tests.fakes.plugin import node_module

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
safetensors = pytest.importorskip("safetensors.torch")
Image = pytest.importorskip("PIL.Image")
pytest.importorskip("av")

carriers: Any = node_module("carriers")
apng: Any = node_module("apng")


class StockPeer:
    """What the loading nodes do, by the formulas of ComfyUI's own; files are those of a temp folder."""

    def __init__(self, temp: Path) -> None:
        self._temp = temp

    def value(self, nodes: Mapping[str, Any], link: list[Any]) -> Any:
        node = nodes[link[0]]
        inputs = {
            name: self.value(nodes, given) if isinstance(given, list) else given
            for name, given in node["inputs"].items()
        }
        return getattr(self, node["class_type"])(**inputs)

    def path(self, name: str) -> Path:
        return self._temp / name.removesuffix(" [temp]")

    def LoadImage(self, image: str) -> Any:
        with Image.open(self.path(image)) as file:
            return torch.stack([self._frame(file, number) for number in range(getattr(file, "n_frames", 1))])

    @staticmethod
    def _frame(file: Any, number: int) -> Any:
        file.seek(number)
        return torch.from_numpy(np.array(file.convert("RGB")).astype(np.float32) / 255.0)

    def ImageBatch(self, image1: Any, image2: Any) -> Any:
        return torch.cat((image1, image2))

    def ImageBlend(self, image1: Any, image2: Any, blend_factor: float, blend_mode: str) -> Any:
        assert blend_mode == "normal"
        return (image1 * (1 - blend_factor) + image2 * blend_factor).clamp(0, 1)

    def ImageToMask(self, image: Any, channel: str) -> Any:
        return image[..., ["red", "green", "blue"].index(channel)]

    def JoinImageWithAlpha(self, image: Any, alpha: Any) -> Any:
        return torch.cat((image, (1.0 - alpha)[..., None]), dim=-1)

    def LoadLatent(self, latent: str) -> Any:
        return {"samples": safetensors.load_file(self.path(latent))["latent_tensor"]}

    def RepeatLatentBatch(self, samples: Any, amount: int) -> Any:
        assert 1 <= amount <= 64
        index = samples.get("batch_index")
        repeated = {"samples": samples["samples"].repeat(amount, *[1] * (samples["samples"].ndim - 1))}
        if index:
            offset = max(index) - min(index) + 1
            repeated["batch_index"] = [x + i * offset for i in range(amount) for x in index]
        return repeated

    def LatentFromBatch(self, samples: Any, batch_index: int, length: int) -> Any:
        assert 0 <= batch_index <= 63 and 1 <= length <= 64
        taken = slice(batch_index, batch_index + length)
        index = samples.get("batch_index", list(range(len(samples["samples"]))))
        return {"samples": samples["samples"][taken], "batch_index": index[taken]}

    def LatentBatch(self, samples1: Any, samples2: Any) -> Any:
        joined = torch.cat((samples1["samples"], samples2["samples"]))
        return {"samples": joined, "batch_index": samples1["batch_index"] + samples2["batch_index"]}

    def SetLatentNoiseMask(self, samples: Any, mask: Any) -> Any:
        return {**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])}


def there(temp: Path, kind: str, value: Any, *, exact: bool = False) -> Any:
    nodes, link = carriers.carried(kind, value, temp, "up", exact=exact)
    return StockPeer(temp).value(nodes, link)


def pictures(*shape: int, levels: int | None = None) -> Any:
    generator = torch.Generator().manual_seed(7)
    if levels is None:
        return torch.rand(*shape, generator=generator)
    return torch.randint(0, levels, shape, generator=generator).float() / (levels - 1)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("shape", [(1, 5, 7, 3), (6, 8, 8, 3), (3, 1, 1, 3)])
def test_pictures_of_eight_bits_arrive_as_they_are(tmp_path: Path, shape: Any, exact: bool) -> None:
    batch = pictures(*shape, levels=256)
    assert torch.equal(there(tmp_path, "IMAGE", batch, exact=exact), batch)


def test_any_picture_arrives_to_within_a_float_where_that_is_asked_for(tmp_path: Path) -> None:
    batch = pictures(3, 16, 16, 3)
    batch[0, 0, 0], batch[0, 0, 1] = 0.0, 1.0
    assert (there(tmp_path, "IMAGE", batch, exact=True) - batch).abs().max() <= 1.2e-7
    assert (there(tmp_path, "IMAGE", batch) - batch).abs().max() <= 0.5 / 255 + 1e-6


def test_equal_pictures_one_behind_the_other_are_all_there(tmp_path: Path) -> None:
    batch = pictures(1, 8, 8, 3, levels=256).expand(5, -1, -1, -1)
    assert torch.equal(there(tmp_path, "IMAGE", batch), batch)


def test_a_large_batch_takes_several_files_and_keeps_its_order(tmp_path: Path, small_files: None) -> None:
    batch = pictures(7, 8, 8, 3)
    nodes, _ = carriers.carried("IMAGE", batch, tmp_path, "up", exact=True)
    assert sum(node["class_type"] == "LoadImage" for node in nodes.values()) == 3 * 4
    assert (there(tmp_path, "IMAGE", batch, exact=True) - batch).abs().max() <= 1.2e-7


@pytest.fixture
def small_files() -> Iterator[None]:
    before, carriers.FILE_BYTES = carriers.FILE_BYTES, 2 * 8 * 8 * 3
    yield
    carriers.FILE_BYTES = before


def test_a_picture_keeps_its_transparency_and_a_grey_one_is_grey(tmp_path: Path) -> None:
    clear = pictures(2, 8, 8, 4, levels=256)
    assert (there(tmp_path, "IMAGE", clear) - clear).abs().max() <= 1e-6
    grey = pictures(2, 8, 8, 1, levels=256)
    assert torch.equal(there(tmp_path, "IMAGE", grey), grey.expand(-1, -1, -1, 3))


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4)])
def test_masks_arrive(tmp_path: Path, shape: Any) -> None:
    mask = pictures(*shape)
    assert (there(tmp_path, "MASK", mask, exact=True) - mask).abs().max() <= 1.2e-7


@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan")])
def test_what_no_picture_holds_is_refused_where_it_shall_be_exact(tmp_path: Path, value: float) -> None:
    batch = pictures(1, 4, 4, 3)
    batch[0, 0, 0, 0] = value
    with pytest.raises(carriers.UnsupportedTypeError, match=r"cannot travel to a peer exactly.*'8 bit'"):
        carriers.carried("IMAGE", batch, tmp_path, "up", exact=True)
    assert there(tmp_path, "IMAGE", batch.nan_to_num()).shape == batch.shape


@pytest.mark.parametrize("seed", range(40))
def test_latents_say_which_of_a_batch_they_are(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    index: list[int] = []
    for _ in range(draw.randint(1, 3)):
        start, length = draw.choice([0, 3, 60, 64, 200, 1000]), draw.choice([1, 2, 5, 63, 64, 65, 130])
        index += range(start, start + length)
    latent = {"samples": pictures(len(index), 4, 2, 2), "batch_index": index}
    came = there(tmp_path, "LATENT", latent)
    assert torch.equal(came["samples"], latent["samples"])
    assert came.get("batch_index", list(range(len(index)))) == index


def test_each_run_of_an_index_is_short_enough_for_a_stock_peer() -> None:
    found = list(runs_of([*range(5, 140), 3, 3, 4]))
    assert [(run.start, run.length) for run in found] == [(5, 64), (69, 64), (133, 7), (3, 1), (3, 2)]


def test_a_latent_without_an_index_gets_none(tmp_path: Path) -> None:
    nodes, _ = carriers.carried("LATENT", {"samples": pictures(3, 4, 2, 2)}, tmp_path, "up")
    assert [node["class_type"] for node in nodes.values()] == ["LoadLatent"]


def test_a_latent_keeps_its_noise_mask_and_one_that_no_node_sets_is_refused(tmp_path: Path) -> None:
    mask = pictures(2, 1, 8, 8, levels=2)
    latent = {"samples": pictures(2, 4, 2, 2), "noise_mask": mask, "batch_index": [4, 5]}
    came = there(tmp_path, "LATENT", latent)
    assert torch.equal(came["noise_mask"], mask) and came["batch_index"] == [4, 5]
    with pytest.raises(carriers.UnsupportedTypeError, match="noise mask of 1x1x5x1x1"):
        carriers.carried("LATENT", {**latent, "noise_mask": torch.ones(1, 1, 5, 1, 1)}, tmp_path, "up")


def test_sound_is_written_as_floats(tmp_path: Path) -> None:
    sounds = node_module("sounds")
    wanted = (pictures(2, 4800) * 2 - 1).numpy()
    path = tmp_path / "sound.wav"
    path.write_bytes(sounds.wav(wanted, 48_000))
    came, rate = sounds.sound_of(path)
    assert rate == 48_000 and np.array_equal(came, wanted)


def test_sound_of_whole_numbers_is_read_to_its_own_range(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(np.array([-(2**15), 0, 2**14], "<i2").tobytes())
    came, _ = node_module("sounds").sound_of(path)
    assert came.tolist() == [[-1.0, 0.0, 0.5]]


@pytest.mark.parametrize("name", ["sound.flac", "sound.wav", "sound.txt"])
def test_a_list_of_other_files_is_no_sound(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(node_module("sounds").wav(np.zeros((1, 80), np.float32), 8_000))
    path = tmp_path / name
    path.write_text("ffconcat version 1.0\nfile other.wav\n")
    with pytest.raises(node_module("sounds").ResultError, match="cannot be read"):
        node_module("sounds").sound_of(path)


@pytest.mark.parametrize("data", [b"", b"#EXTM3U\n#EXTINF:1,\nother.mp4\n", b"ffconcat version 1.0\n"])
def test_a_list_of_other_files_is_no_film(tmp_path: Path, data: bytes) -> None:
    films = node_module("films")
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    with pytest.raises(films.ResultError, match="no video"):
        films.film_of(path)


def test_several_sounds_at_once_are_refused_in_words(tmp_path: Path) -> None:
    sounds = {"waveform": torch.zeros(2, 1, 8), "sample_rate": 8_000}
    with pytest.raises(carriers.UnsupportedTypeError, match="one at a time"):
        carriers.carried("AUDIO", sounds, tmp_path, "up")


def test_equal_values_are_one_file(tmp_path: Path) -> None:
    value = pictures(2, 8, 8, 3)
    assert carriers.carried("IMAGE", value, tmp_path, "a")[0].keys() != {}
    before = sorted(tmp_path.rglob("*"))
    carriers.carried("IMAGE", value.clone(), tmp_path, "b")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_picture_that_is_noise_is_stored_and_any_other_one_is_packed() -> None:
    smooth = np.zeros((1, 64, 64, 3), np.uint8)
    assert len(apng.apng(smooth)) < 1_000 < len(apng.apng(smooth, is_noise=True))
    assert Image.open(io.BytesIO(apng.apng(smooth, is_noise=True))).size == (64, 64)


@pytest.mark.parametrize("kind", ["MODEL", "CONDITIONING", "VAE"])
def test_what_no_file_holds_does_not_travel(kind: str) -> None:
    assert not can_travel(kind)


def test_ids_begin_with_the_prefix_and_are_each_ones_own() -> None:
    load = Loading("up")
    load.pictures([["a.png", "b.png", "c.png"], ["d.png"]])
    assert len(load.nodes) == 7
    assert all(node_id.startswith("up-") for node_id in load.nodes)
