"""Cuts pictures, masks and latents into tiles, and joins them again. Pure.

How far a tile sees beyond its own part and how wide a seam is blended are two things: near its edge a tile
saw no surroundings, so what it made there is worse. A seam is blended in the middle of what two tiles share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from ..orchestrator.errors import WorkflowError
from .pieces import HALF, Span, appended, kind_of, tensor_of

STEP = 8  #: tiles begin at multiples of it, so that latents, and hints of half the size, can be cut alike
_AXES = {"IMAGE": (1, 2), "MASK": (1, 2), "LATENT": (-2, -1)}  #: height and width


@dataclass(frozen=True)
class TilePlan:
    """How a value of this height and width was cut: each tile is one of the rows by one of the columns, row
    by row. All are of one size. `overlap`: what neighbours share at least."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    overlap: int

    @property
    def height(self) -> int:
        return self.rows[-1].end

    @property
    def width(self) -> int:
        return self.columns[-1].end

    @property
    def count(self) -> int:
        return len(self.rows) * len(self.columns)


def cut(value: Any, size: int, overlap: int) -> tuple[list[Any], TilePlan]:
    """The tiles of a value and how they were cut.

    Raises:
        WorkflowError: it is of another kind, or cannot be cut so.
    """
    height, width = _size_of(value)
    plan = TilePlan(spread(height, size, overlap), spread(width, size, overlap), overlap)
    return cut_like(value, plan), plan


def cut_like(value: Any, plan: TilePlan) -> list[Any]:
    """A value of the same proportions, as a hint or a mask for the first one, cut at the same places.

    Raises:
        WorkflowError: it has other proportions, or the cuts would not fall between its pixels.
    """
    height, width = _size_of(value)
    rows = _scaled(plan.rows, height, plan.height)
    columns = _scaled(plan.columns, width, plan.width)
    return [_tile(value, row, column) for row in rows for column in columns]


def spread(total: int, size: int, overlap: int) -> tuple[Span, ...]:
    """As few spans of one size as cover it all, evenly spread: each begins at a multiple of STEP, but for the
    last one, which ends where all ends. Neighbours share `overlap` or more.

    Raises:
        WorkflowError: the overlap leaves no way forward.
    """
    if size >= total:
        return (Span(0, total),)
    if size <= overlap or size - overlap < STEP or overlap < 0:
        raise WorkflowError(
            f"Tiles of {size} cannot share {overlap} with the next one. Take larger tiles, or less overlap."
        )
    last = total - size
    count = -(-last // (size - overlap)) + 1
    # Rounded down to the step, a tile may begin too early for the one after it: then one more is needed.
    while True:
        starts = [*(last * n // (count - 1) // STEP * STEP for n in range(count - 1)), last]
        if all(start + size - after >= overlap for start, after in pairwise(starts)):
            return tuple(Span(start, start + size) for start in starts)
        count += 1


def join(values: Sequence[Any], plan: TilePlan, blend: int = HALF) -> Any:
    """The whole again, of one value for each tile. Where each came back larger by one factor, so is the
    whole. `blend`: over how many pixels of what comes out a seam goes; HALF: over half of the overlap.

    Raises:
        WorkflowError: the values do not fit the plan or each other.
    """
    if len(values) != plan.count:
        raise WorkflowError(
            f"{len(values)} values came for {plan.count} tiles. Link both inputs of Remote Gather to what "
            "one Remote Split Tiles gave."
        )
    kinds = {kind_of(value) for value in values}
    kind = kinds.pop()
    tiles = [tensor_of(kind, value) for value in values]
    if kinds or kind not in _AXES or len({tile.shape for tile in tiles}) > 1:
        told = ", ".join(sorted({"x".join(map(str, tile.shape)) for tile in tiles}))
        raise WorkflowError(f"The tiles came back of several kinds or sizes ({told}) and make no whole.")
    down, across = _AXES[kind]
    height, width = tiles[0].shape[down], tiles[0].shape[across]
    rows, columns = _grown(plan.rows, height), _grown(plan.columns, width)
    seam = plan.overlap // 2 * height // plan.rows[0].length if blend == HALF else blend
    count = len(columns)
    strips = [_joined(tiles[n * count : (n + 1) * count], columns, across, seam) for n in range(len(rows))]
    whole = _joined(strips, rows, down, seam)
    return {"samples": whole} if kind == "LATENT" else whole


def _joined(parts: Sequence[torch.Tensor], spans: Sequence[Span], axis: int, seam: int) -> torch.Tensor:
    whole = parts[0].movedim(axis, 0)
    for (before, span), part in zip(pairwise(spans), parts[1:], strict=True):
        whole = appended(whole, part.movedim(axis, 0), before.end - span.start, seam)
    return whole.movedim(0, axis)


def _grown(spans: tuple[Span, ...], came: int) -> tuple[Span, ...]:
    """The spans in pixels of what came back. All have one length, and so has what came back for them."""
    sent = spans[0].length
    return tuple(Span(span.start * came // sent, span.start * came // sent + came) for span in spans)


def _scaled(spans: tuple[Span, ...], total: int, whole: int) -> tuple[Span, ...]:
    """The spans in pixels of another value, which is `total` long where the first one was `whole`."""
    if any(span.start * total % whole or span.length * total % whole for span in spans):
        raise WorkflowError(
            f"A value of {total} pixels cannot be cut like one of {whole}: the cuts would not fall between "
            "its pixels. Scale it to the same size, or to half of it, before."
        )
    return tuple(Span(span.start * total // whole, span.end * total // whole) for span in spans)


def _size_of(value: Any) -> tuple[int, int]:
    kind = kind_of(value)
    if kind not in _AXES:
        raise WorkflowError("Only pictures, masks and latents can be cut into tiles.")
    down, across = _AXES[kind]
    shape = tensor_of(kind, value).shape
    return shape[down], shape[across]


def _tile(value: Any, row: Span, column: Span) -> Any:
    kind = kind_of(value)
    down, across = _AXES[kind]
    tensor = tensor_of(kind, value).narrow(down, row.start, row.length)
    tile = tensor.narrow(across, column.start, column.length)
    return {"samples": tile} if kind == "LATENT" else tile
