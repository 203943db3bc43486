"""Parameters for a person's eyes (one line each) and for a program's (a list of objects)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.workflow.inspector import Parameter
from .terminal import shortened, table

VALUE_WIDTH, TITLE_WIDTH = 48, 32


def rows(parameters: Iterable[Parameter]) -> Iterator[str]:
    """Lines of one table: address, title, type, value, limits."""
    found = [
        (p.address, shortened(p.title, TITLE_WIDTH), p.type, _value(p.value), _limits(p)) for p in parameters
    ]
    yield from table([("ADDRESS", "NODE", "TYPE", "VALUE", "LIMITS"), *found])


def records(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    return [
        {
            "address": p.address,
            "node_id": p.node_id,
            "input": p.input,
            "title": p.title,
            "class_type": p.class_type,
            "type": p.type,
            "value": p.value,
            "default": p.default,
            "min": p.min,
            "max": p.max,
            "step": p.step,
            "choices": None if p.choices is None else list(p.choices),
            "multiline": p.multiline,
            "upload": p.upload,
        }
        for p in parameters
    ]


def _limits(parameter: Parameter) -> str:
    if parameter.choices is not None:
        count = len(parameter.choices)
        return f"{count} choice{'' if count == 1 else 's'}"
    if parameter.min is None and parameter.max is None:
        return ""
    low, high = ("" if limit is None else str(limit) for limit in (parameter.min, parameter.max))
    step = "" if parameter.step is None else f" by {parameter.step}"
    return f"{low}..{high}{step}"


def _value(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), VALUE_WIDTH)
