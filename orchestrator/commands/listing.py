"""Parameters for a person's eyes (one line each) and for a program's (a list of objects)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.workflow.inspector import Parameter

VALUE_WIDTH, TITLE_WIDTH = 48, 32


def rows(parameters: Iterable[Parameter]) -> Iterator[str]:
    """Lines of one table: address, title, type, value, limits."""
    table = [("ADDRESS", "NODE", "TYPE", "VALUE", "LIMITS")]
    table += [
        (_shown(p.address), _shortened(_shown(p.title), TITLE_WIDTH), p.type, _value(p.value), _limits(p))
        for p in parameters
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


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
    return _shortened(_shown(json.dumps(value, ensure_ascii=False)), VALUE_WIDTH)


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _shown(text: str) -> str:
    # A file's text must not steer the terminal.
    return "".join(c if c.isprintable() else "�" for c in text)
