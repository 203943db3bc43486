"""Cuts values of the graph into pieces along their batch or their time, and joins them again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from ..orchestrator.errors import WorkflowError

MIDDLE = 0  #: a blend of nothing: the overlap is parted in its middle
HALF = -1  #: a blend over half of the overlap


@dataclass(frozen=True)
class Span:
    """A stretch of the whole, in its items: ``end`` is the one after the last."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class PiecePlan:
    """How a value was cut. ``kind``: IMAGE, MASK, LATENT, AUDIO, or LIST, whose pieces are its items."""

    kind: str
    spans: tuple[Span, ...]


def spans_of(total: int, size: int, overlap: int = 0) -> tuple[Span, ...]:
    """Spans of `size` items, each of which shares `overlap` with the one before; the last may be shorter.

    Raises:
        WorkflowError: there is nothing to cut, or the overlap leaves no way forward.
    """
    if total < 1:
        raise WorkflowError("There is nothing to cut into pieces: the value is empty.")
    if size < 1 or not 0 <= overlap < size:
        raise WorkflowError(
            f"Pieces of {size} cannot share {overlap} with the next one. Take a larger size, or less overlap."
        )
    spans = [Span(0, min(size, total))]
    while spans[-1].end < total:
        start = spans[-1].end - overlap
        spans.append(Span(start, min(start + size, total)))
    return tuple(spans)


def cut(value: Any, size: int, overlap: int = 0) -> tuple[list[Any], PiecePlan]:
    """The pieces of a value and how they were cut. IMAGE [batch, height, width, channels], MASK [batch,
    height, width] and LATENT are cut along their batch, AUDIO along its time: there `size` and `overlap` are
    in seconds. A piece of a latent keeps which of the batch it has (``batch_index``).

    Raises:
        WorkflowError: it is of another kind, or cannot be cut so.
    """
    kind = kind_of(value)
    unit = int(value["sample_rate"]) if kind == "AUDIO" else 1
    spans = spans_of(len(tensor_of(kind, value)), size * unit, overlap * unit)
    return [_piece(kind, value, span) for span in spans], PiecePlan(kind, spans)


def of_list(values: Sequence[Any]) -> tuple[list[Any], PiecePlan]:
    """The items of a list as pieces, as they come.

    Raises:
        WorkflowError: there is none.
    """
    return list(values), PiecePlan("LIST", spans_of(len(values), 1))


def joined_list(values: Sequence[Any]) -> Any:
    """Values of one kind and size, one behind the other, as one.

    Raises:
        WorkflowError: they are of several kinds or sizes.
    """
    kinds = {kind_of(value) for value in values}
    if len(kinds) != 1:
        raise WorkflowError(f"Values of several kinds make no whole: {', '.join(sorted(kinds))}.")
    (kind,) = kinds
    parts = [tensor_of(kind, value) for value in values]
    _check_shapes(parts)
    return _value(kind, parts[0] if len(parts) == 1 else torch.cat(parts), values[0])


def kind_of(value: Any) -> str:
    """
    Raises:
        WorkflowError: it is none that can be cut.
    """
    if isinstance(value, torch.Tensor) and value.dim() in (3, 4):
        return "IMAGE" if value.dim() == 4 else "MASK"
    if isinstance(value, dict) and isinstance(value.get("samples"), torch.Tensor):
        return "LATENT"
    if isinstance(value, dict) and isinstance(value.get("waveform"), torch.Tensor):
        return "AUDIO"
    raise WorkflowError(
        f"A value of type {type(value).__name__} cannot be cut into pieces. Link pictures, masks, latents, "
        "sound, or a list."
    )


def join(values: Sequence[Any], plan: PiecePlan, blend: int = HALF) -> Any:
    """The whole again, of one value for each piece of the plan. `blend`: over how many items of an overlap
    one piece goes over into the next; HALF, MIDDLE, or a number. Where each piece came back longer or
    shorter by one factor, as frames do that were interpolated, so does the whole.

    Raises:
        WorkflowError: the values do not fit the plan or each other.
    """
    if len(values) != len(plan.spans):
        raise WorkflowError(
            f"{len(values)} values came for {len(plan.spans)} pieces. Link both inputs of Remote Gather to "
            "what one Remote Split gave."
        )
    if plan.kind == "LIST":
        return joined_list(values)
    kind = kind_of(values[0])
    parts = [tensor_of(kind, value) for value in values]
    _check_shapes(parts)
    spans = _scaled(plan.spans, list(map(len, parts)))
    whole = parts[0]
    for (before, span), part in zip(pairwise(spans), parts[1:], strict=True):
        shared = before.end - span.start
        whole = appended(whole, part, shared, shared // 2 if blend == HALF else blend)
    return _value(kind, whole, values[0])


def appended(whole: torch.Tensor, part: torch.Tensor, shared: int, blend: int) -> torch.Tensor:
    """Along the first axis, where the two have `shared` items in common: over `blend` of them, in their
    middle, one goes over into the other. Equal values stay exactly equal: a blend is one interpolation."""
    over = min(blend, shared)
    lead = (shared - over) // 2
    begin = len(whole) - shared + lead  # of the blend
    kept, rest = whole[:begin], part[lead + over :]
    if not over:
        return torch.cat((kept, rest))
    ramp = torch.arange(1, over + 1, dtype=torch.float32) / (over + 1)
    ramp = ramp.reshape(-1, *[1] * (whole.dim() - 1)).to(whole)
    return torch.cat((kept, torch.lerp(whole[begin : begin + over], part[lead : lead + over], ramp), rest))


def _scaled(spans: tuple[Span, ...], lengths: list[int]) -> tuple[Span, ...]:
    """The spans in items of what came back."""
    if all(length == span.length for length, span in zip(lengths, spans, strict=True)):
        return spans
    came, sent = lengths[0], spans[0].length
    found = tuple(Span(span.start * came // sent, span.end * came // sent) for span in spans)
    if any(length != span.length for length, span in zip(lengths, found, strict=True)):
        told = ", ".join(f"{span.length} → {length}" for length, span in zip(lengths, spans, strict=True))
        raise WorkflowError(f"The pieces did not come back longer or shorter by one factor: {told}.")
    return found


def _check_shapes(parts: Sequence[torch.Tensor]) -> None:
    shapes = {tuple(part.shape[1:]) for part in parts}
    if len(shapes) > 1:
        told = " and ".join("x".join(map(str, shape)) for shape in sorted(shapes))
        raise WorkflowError(f"The pieces came back in different sizes ({told}) and make no whole.")


def tensor_of(kind: str, value: Any) -> torch.Tensor:
    """What is cut along its first axis."""
    if kind == "AUDIO":
        return value["waveform"].movedim(-1, 0)  # type: ignore[no-any-return]
    found: torch.Tensor = value["samples"] if kind == "LATENT" else value
    return found


def _piece(kind: str, value: Any, span: Span) -> Any:
    if kind != "LATENT":
        return _value(kind, tensor_of(kind, value)[span.start : span.end], value)
    total = value["samples"].shape[0]
    index = value.get("batch_index", range(total))
    piece = {
        **value,
        "samples": value["samples"][span.start : span.end],
        "batch_index": list(index)[span.start : span.end],
    }
    mask = value.get("noise_mask")
    if isinstance(mask, torch.Tensor) and mask.shape[0] == total:
        piece["noise_mask"] = mask[span.start : span.end]
    return piece


def _value(kind: str, whole: torch.Tensor, like: Any) -> Any:
    if kind == "AUDIO":
        return {"waveform": whole.movedim(0, -1), "sample_rate": like["sample_rate"]}
    return {"samples": whole} if kind == "LATENT" else whole
