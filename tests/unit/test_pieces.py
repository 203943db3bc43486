"""Values cut into pieces and joined again."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from tests.fakes.plugin import node_module

pieces_of = node_module("pieces")
HALF, MIDDLE = pieces_of.HALF, pieces_of.MIDDLE
cut, join, spans_of, WorkflowError = (
    pieces_of.cut,
    pieces_of.join,
    pieces_of.spans_of,
    pieces_of.WorkflowError,
)


def numbered(*shape: int) -> torch.Tensor:
    """Every item along the batch is another one."""
    return torch.arange(shape[0], dtype=torch.float32).reshape(-1, *[1] * (len(shape) - 1)).expand(shape)


def test_whatever_the_geometry_the_pieces_make_the_whole_again_exactly() -> None:
    draw = random.Random(1)
    for _ in range(300):
        total, size = draw.randint(1, 60), draw.randint(1, 20)
        overlap = draw.randrange(size)
        whole = torch.rand((total, 2, 3, 3), generator=torch.Generator().manual_seed(total))
        pieces, plan = cut(whole, size, overlap)
        assert all(piece.shape[0] <= size for piece in pieces)
        for blend in (HALF, MIDDLE, overlap):
            assert torch.equal(join(pieces, plan, blend), whole)


def test_pieces_share_what_they_overlap_by() -> None:
    assert [(s.start, s.end) for s in spans_of(10, 4, 1)] == [(0, 4), (3, 7), (6, 10)]
    assert [(s.start, s.end) for s in spans_of(5, 8)] == [(0, 5)]


def test_a_blend_goes_over_from_one_piece_into_the_next() -> None:
    pieces, plan = cut(numbered(8, 1, 1, 1), 6, 4)
    joined = join([pieces[0] * 0, pieces[1] * 0 + 1], plan, 4)[:, 0, 0, 0]
    assert joined.tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    parted = join([pieces[0] * 0, pieces[1] * 0 + 1], plan, MIDDLE)[:, 0, 0, 0]
    assert parted.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_piece_of_a_latent_knows_which_pictures_of_the_batch_it_has() -> None:
    latent = {"samples": numbered(5, 4, 2, 2), "noise_mask": numbered(5, 1, 2, 2)}
    pieces, plan = cut(latent, 2)
    assert [piece["batch_index"] for piece in pieces] == [[0, 1], [2, 3], [4]]
    assert [piece["noise_mask"].shape[0] for piece in pieces] == [2, 2, 1]
    assert torch.equal(join(pieces, plan)["samples"], latent["samples"])


def test_pieces_that_came_back_twice_as_long_make_a_whole_twice_as_long() -> None:
    pieces, plan = cut(numbered(7, 1, 1, 1), 3, 1)
    doubled = [piece.repeat_interleave(2, 0) for piece in pieces]
    assert join(doubled, plan)[:, 0, 0, 0].tolist() == [n // 2 for n in range(14)]


@pytest.mark.parametrize(
    ("value", "size", "overlap", "words"),
    [
        (numbered(4, 1, 1, 1), 2, 2, "cannot share 2"),
        (numbered(4, 1, 1, 1), 0, 0, "Pieces of 0"),
        (torch.zeros((0, 1, 1, 3)), 2, 0, "empty"),
        ("a text", 2, 0, "type str"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_words(value: Any, size: int, overlap: int, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        cut(value, size, overlap)


def test_values_that_make_no_whole_are_refused_in_words() -> None:
    pieces, plan = cut(numbered(4, 2, 2, 3), 2)
    with pytest.raises(WorkflowError, match="1 values came for 2 pieces"):
        join(pieces[:1], plan)
    with pytest.raises(WorkflowError, match="different sizes"):
        join([pieces[0], pieces[1][:, :1]], plan)
    with pytest.raises(WorkflowError, match="by one factor: 2 → 2, 2 → 1"):
        join([pieces[0], pieces[1][:1]], plan)


def test_sound_is_cut_by_seconds_and_joined_without_a_sample_lost() -> None:
    sound = {"waveform": torch.rand(1, 2, 25), "sample_rate": 10}
    pieces, plan = cut(sound, 1)
    assert [piece["waveform"].shape[-1] for piece in pieces] == [10, 10, 5]
    whole = join(pieces, plan)
    assert torch.equal(whole["waveform"], sound["waveform"]) and whole["sample_rate"] == 10
