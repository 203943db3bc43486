"""Reads and checks what callers ask of variations: the values of each parameter, and the graph to save."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...core.models.job import JobRequest
from ...core.prompts.variations import Axis, combined, random_seeds, spread, stepped
from ...core.workflow.saved_values import WidgetPlace, with_values
from ...errors import ConfigError

JOBS_MAX = 1_000  #: of one request
_ADDRESS_MAX = 512
_KINDS = '"values": […], "from" and "to" with "step" or "count", or "seeds": N'
_draw = random.SystemRandom().randrange


def variations_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The changes of each job that ``axes`` and ``combine`` ask for; see ``combined``.

    Raises:
        ConfigError: a field is of a wrong type, or they cannot be combined.
    """
    axes, combine = body.get("axes"), body.get("combine", "grid")
    if not isinstance(axes, list) or not axes:
        raise ConfigError(f'Give "axes": a list of {{"address": "3.seed", …}} with {_KINDS}.')
    if combine not in ("grid", "side_by_side"):
        raise ConfigError('"combine" must be "grid" (every combination) or "side_by_side".')
    return combined([_axis(axis) for axis in axes], side_by_side=combine == "side_by_side", most=JOBS_MAX)


def _axis(given: Any) -> Axis:
    address = given.get("address") if isinstance(given, dict) else None
    if not isinstance(address, str) or not address or len(address) > _ADDRESS_MAX:
        raise ConfigError('Each of "axes" needs an "address", like "3.seed".')
    if isinstance(given.get("values"), list):
        return Axis(address, tuple(given["values"][: JOBS_MAX + 1]))
    if "seeds" in given:
        return Axis(address, random_seeds(_count(given, "seeds", address), _draw))
    if "from" not in given or "to" not in given:
        raise ConfigError(f"{address} needs {_KINDS}.")
    first, last = _number(given, "from", address), _number(given, "to", address)
    if "step" in given:
        step = _number(given, "step", address)
        if step and abs((last - first) / step) > JOBS_MAX:
            raise ConfigError(f"{address} gets more than {JOBS_MAX} values. Take a larger step.")
        return Axis(address, stepped(first, last, step))
    whole = given.get("whole") is True
    return Axis(address, spread(first, last, _count(given, "count", address), whole=whole))


def _count(given: Mapping[str, Any], field: str, address: str) -> int:
    value = given.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= JOBS_MAX:
        raise ConfigError(f'{address}: "{field}" must be a whole number from 1 to {JOBS_MAX}.')
    return value


def _number(given: Mapping[str, Any], field: str, address: str) -> float:
    value = given[field]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f'{address}: "{field}" must be a number.')
    return value


def as_batch(requests: Sequence[JobRequest]) -> tuple[JobRequest, ...]:
    """The requests, marked as those of one question: pages show them together."""
    batch_id = uuid.uuid4().hex
    return tuple(replace(request, batch_id=batch_id, batch_index=n) for n, request in enumerate(requests))


def with_metadata(requests: Sequence[JobRequest], metadata: Any) -> tuple[JobRequest, ...]:
    """Each request with the workflow that its files carry, with that request's own values in it.

    `metadata`: ``{"workflow": {…}, "places": {"3.seed": ["3", 0]}}``, a place being a node of the root graph
    and which of its ``widgets_values``.

    Raises:
        ConfigError: it is of a wrong type.
    """
    workflow = metadata.get("workflow") if isinstance(metadata, dict) else None
    places = metadata.get("places", {}) if isinstance(metadata, dict) else None
    if not isinstance(workflow, dict) or not isinstance(places, dict):
        raise ConfigError('"metadata" must be like {"workflow": {…}, "places": {"3.seed": ["3", 0]}}.')
    known = {address: _place(place) for address, place in places.items()}
    return tuple(
        replace(
            request,
            extra_data={
                "preview_method": "auto",
                "extra_pnginfo": {"workflow": with_values(workflow, known, request.changes)},
            },
        )
        for request in requests
    )


def _place(given: Any) -> WidgetPlace:
    if isinstance(given, list) and len(given) == 2:
        node_id, index = given
        if isinstance(node_id, (str, int)) and type(index) is int:
            return str(node_id), index
    raise ConfigError('Each of "places" must be like ["3", 0]: a node, and which of its values.')
