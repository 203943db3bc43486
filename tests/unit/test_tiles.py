"""Pictures cut into tiles and joined again."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
import torch

from tests.fakes.plugin import node_module

tiles: Any = node_module("tiles")
HALF, MIDDLE = tiles.HALF, node_module("pieces").MIDDLE


def picture(height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.rand((batch, height, width, 3), generator=torch.Generator().manual_seed(height * width))


def twice(tile: torch.Tensor) -> torch.Tensor:
    return tile.repeat_interleave(2, 1).repeat_interleave(2, 2)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_geometry_the_tiles_make_the_whole_again_exactly(seed: int) -> None:
    draw = random.Random(seed)
    size = draw.choice([16, 24, 32, 50, 64])
    overlap = draw.randrange(size * 3 // 4 - 7)
    whole = picture(draw.randint(1, 150), draw.randint(1, 150), draw.randint(1, 2))
    cut, plan = tiles.cut(whole, size, overlap)
    assert len({tile.shape for tile in cut}) == 1
    for blend in (HALF, MIDDLE, overlap, 10_000):
        assert torch.equal(tiles.join(cut, plan, blend), whole)
    assert torch.equal(tiles.join([twice(tile) for tile in cut], plan), twice(whole))


@pytest.mark.parametrize("total", [64, 65, 100, 777, 1024, 4000])
@pytest.mark.parametrize(("size", "overlap"), [(64, 0), (64, 16), (96, 32), (512, 128)])
def test_tiles_begin_at_even_places_and_share_what_was_asked_for(total: int, size: int, overlap: int) -> None:
    spans = tiles.spread(total, size, overlap)
    assert (spans[0].start, spans[-1].end) == (0, total)
    assert all(span.start % tiles.STEP == 0 for span in spans[:-1])
    assert all(before.end - after.start >= overlap for before, after in pairwise(spans))
    assert len({after.start - before.start for before, after in pairwise(spans)}) <= 3


def test_no_more_tiles_than_needed_where_their_places_are_even() -> None:
    assert len(tiles.spread(4096, 1024, 128)) == 5
    assert len(tiles.spread(1024, 512, 0)) == 2


@pytest.mark.parametrize("scale", [1, 2])
def test_a_hint_is_cut_at_the_same_places_in_its_own_size(scale: int) -> None:
    whole = picture(96, 160)
    hint = whole[:, ::scale, ::scale]
    cut, plan = tiles.cut(whole, 64, 16)
    for tile, of_hint in zip(cut, tiles.cut_like(hint, plan), strict=True):
        assert torch.equal(of_hint, tile[:, ::scale, ::scale])
    mask = whole[..., 0]
    assert torch.equal(tiles.cut_like(mask, plan)[-1], cut[-1][..., 0])


def test_a_latent_is_cut_where_its_picture_would_be() -> None:
    whole = {"samples": torch.rand(1, 4, 12, 20)}
    _, plan = tiles.cut(picture(96, 160), 64, 16)
    cut = tiles.cut_like(whole, plan)
    assert cut[0]["samples"].shape == (1, 4, 8, 8)
    assert torch.equal(tiles.join(cut, plan)["samples"], whole["samples"])


def test_a_seam_is_blended_where_both_tiles_saw_their_surroundings() -> None:
    """What is wrong within a quarter of the overlap from a tile's edge is not to be seen."""
    whole = picture(64, 200)
    cut, plan = tiles.cut(whole, 64, 32)
    spoilt = []
    for number, tile in enumerate(cut):
        tile = tile.clone()
        if number:
            tile[:, :, :8] = 9.0
        if number < len(cut) - 1:
            tile[:, :, -8:] = 9.0
        spoilt.append(tile)
    assert torch.equal(tiles.join(spoilt, plan), whole)
    assert not torch.equal(tiles.join(spoilt, plan, 32), whole)


def test_one_tile_goes_over_into_the_next_in_even_steps() -> None:
    cut, plan = tiles.cut(torch.zeros(1, 16, 24, 3), 16, 8)
    joined = tiles.join([cut[0], cut[1] + 1], plan, 4)[0, 0, :, 0]
    assert joined.tolist() == pytest.approx([0.0] * 10 + [0.2, 0.4, 0.6, 0.8] + [1.0] * 10)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: tiles.spread(100, 64, 60), "Tiles of 64 cannot share 60"),
        (lambda: tiles.spread(100, 64, -1), "Tiles of 64 cannot share -1"),
        (lambda: tiles.join([], tiles.cut(picture(8, 8), 16, 0)[1]), "0 values came for 1 tiles"),
        (lambda: tiles.cut_like(picture(7, 7), tiles.cut(picture(96, 96), 64, 16)[1]), "cannot be cut like"),
        (lambda: tiles.cut("text", 16, 0), "cannot be cut into pieces"),
        (lambda: tiles.cut({"waveform": torch.zeros(1, 1, 8)}, 16, 0), "cut into tiles"),
    ],
)
def test_what_cannot_be_cut_or_joined_is_said_in_words(act: Any, words: str) -> None:
    with pytest.raises(tiles.WorkflowError, match=words):
        act()


def test_tiles_that_came_back_in_several_sizes_make_no_whole() -> None:
    cut, plan = tiles.cut(picture(32, 64), 32, 0)
    with pytest.raises(tiles.WorkflowError, match="several kinds or sizes"):
        tiles.join([cut[0], twice(cut[1])], plan)
