"""One request made into several: with other seeds, or with other parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..models.job import JobRequest
from ..workflow.inspector import inspect_parameters

SEED_NAMES = frozenset({"seed", "noise_seed"})
_SEEDS = 2**64


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
        if parameter.input in SEED_NAMES and type(parameter.value) is int
    }
    chosen = {a: v for a, v in request.changes.items() if a.split(".")[-1] in SEED_NAMES and type(v) is int}
    return chosen or seeds
