"""One request made into several: with other seeds, or with other parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import ConfigError
from ..models.job import JobRequest
from ..workflow.inspector import inspect_parameters
from ..workflow.prompt import is_seed

_SEEDS = 2**64
SHOWN_SEEDS = (
    2**50
)  #: drawn ones stay below: a page's numbers and the host's own random seeds are exact there
_DIGITS = 10  #: after the point, in ranges: 0.1 + 0.2 is 0.3 to a person


@dataclass(frozen=True)
class Axis:
    """What one parameter is to be, in order."""

    address: str
    values: tuple[Any, ...]


def copies(request: JobRequest, count: int) -> tuple[JobRequest, ...]:
    """The request `count` times. The first is as it is, in the next every seed is counted up (modulo 2^64).

    A seed that ``changes`` sets, by whatever address, is counted up from there, and then no other.

    Raises:
        WorkflowError: the graph cannot be read.
    """
    seeds = _seeds(request)
    return tuple(
        replace(
            request,
            changes={**request.changes, **{address: (seed + n) % _SEEDS for address, seed in seeds.items()}},
        )
        if n
        else request
        for n in range(count)
    )


def varied(request: JobRequest, variations: Sequence[Mapping[str, Any]]) -> tuple[JobRequest, ...]:
    """One request for each of `variations`, laid over the request's own ``changes``."""
    return tuple(replace(request, changes={**request.changes, **changes}) for changes in variations)


def _seeds(request: JobRequest) -> dict[str, int]:
    found = inspect_parameters(request.prompt or request.workflow or {})
    seeds = {
        parameter.address: parameter.value
        for parameter in found
        if is_seed(parameter.input) and type(parameter.value) is int
    }
    chosen = {a: v for a, v in request.changes.items() if is_seed(a) and type(v) is int}
    return chosen or seeds


def stepped(first: float, last: float, step: float) -> tuple[float, ...]:
    """From `first` to at most `last`; whole numbers stay whole.

    Raises:
        ConfigError: that never ends, or leads away from `last`.
    """
    if step == 0 or (last - first) / step < 0:
        raise ConfigError(
            f"From {first:g} to {last:g} in steps of {step:g} leads nowhere. Turn the step round."
        )
    # A little more: ten steps of 0.1 are not quite one.
    count = math.floor((last - first) / step + 1e-9) + 1
    return tuple(_plain(first + n * step) for n in range(count))


def spread(first: float, last: float, count: int, *, whole: bool = False) -> tuple[float, ...]:
    """`count` values from `first` to `last`, both included, at equal distances. `whole`: rounded, and none
    twice."""
    gaps = max(count - 1, 1)
    values = (first + (last - first) * n / gaps for n in range(count))
    if whole:
        return tuple(dict.fromkeys(round(value) for value in values))
    return tuple(_plain(value) for value in values)


def random_seeds(count: int, draw: Callable[[int], int]) -> tuple[int, ...]:
    """`count` seeds, all different. `draw` gives a number from 0 up to but without its argument."""
    seeds: dict[int, None] = {}
    while len(seeds) < count:
        seeds[draw(SHOWN_SEEDS)] = None
    return tuple(seeds)


def combined(axes: Sequence[Axis], *, side_by_side: bool = False, most: int) -> list[dict[str, Any]]:
    """The changes of each job: every combination once, the last axis running fastest; or the first value of
    each, then the second, and so on (an axis of one value stays as it is).

    Raises:
        ConfigError: an address comes twice, an axis is empty, lengths differ, or there are more than `most`.
    """
    if not side_by_side:
        axes = [Axis(axis.address, _distinct(axis.values)) for axis in axes]
    addresses = [axis.address for axis in axes]
    for axis in axes:
        if addresses.count(axis.address) > 1:
            raise ConfigError(f"{axis.address} is varied twice. Put all of its values into one list.")
        if not axis.values:
            raise ConfigError(f"{axis.address} has no value yet.")
    lengths = [len(axis.values) for axis in axes]
    longest = max(lengths, default=1)
    if side_by_side and any(length not in (1, longest) for length in lengths):
        told = ", ".join(f"{axis.address} has {len(axis.values)}" for axis in axes)
        raise ConfigError(f"Pairing values needs the same number of values everywhere: {told}.")
    count = longest if side_by_side else math.prod(lengths)
    if count > most:
        raise ConfigError(f"That makes {count} jobs; {most} at once are the most. Take fewer values.")
    if side_by_side:
        rows = ([axis.values[n % len(axis.values)] for axis in axes] for n in range(count))
        return [dict(zip(addresses, row, strict=True)) for row in rows]
    return [
        dict(zip(addresses, row, strict=True)) for row in itertools.product(*(axis.values for axis in axes))
    ]


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    """True is not 1, and any JSON may be a value."""
    return tuple({(type(value), repr(value)): value for value in values}.values())


def _plain(value: float) -> float:
    rounded = round(value, _DIGITS)
    return int(rounded) if isinstance(value, int) else rounded
