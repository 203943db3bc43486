"""Makes anything fit for JSON. The host's event loop ends with its process on a value that is not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

DEPTH_MAX = 32
TEXT_MAX = 100_000  #: characters of one string
ITEMS_MAX = 200_000  #: values in all; also the end of a structure that holds itself
_CUT = "…"


def sanitise(value: Any) -> Any:
    """A copy made of dict with str keys, list, str, int, finite float, bool and None only.

    NaN and infinities become None, integers beyond 64 bits hexadecimal text, other objects their ``str()``.
    What is deeper, longer or more than the limits above is cut off, marked by "…". Never raises.
    """
    return _Copy().of(value, DEPTH_MAX)


def whole_json(value: Any) -> bytes:
    """JSON of what somebody goes on with, as a graph that is edited: nothing of it is cut off, and a number
    stays one. NaN and infinities become null. Takes its time: no work for an event loop."""
    try:
        return json.dumps(value, allow_nan=False, default=str).encode()
    except ValueError:
        return json.dumps(_finite(value), default=str).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def header_text(text: str, most: int) -> str:
    """A text as a header's value can have it: in one line of ASCII, without control characters."""
    return "".join(c if c.isprintable() else " " for c in text.encode("ascii", "replace").decode())[:most]


class _Copy:
    def __init__(self) -> None:
        self._left = ITEMS_MAX

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if value.bit_length() <= 64 else _text(hex(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, str):
            return _text(value)
        if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
            return _told(value)
        if depth <= 0 or self._left <= 0:
            return _CUT
        return self._mapping(value, depth - 1) if isinstance(value, Mapping) else self._list(value, depth - 1)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, item in tuple(value.items()):
            if self._left <= 0:
                copy[_CUT] = _CUT
                break
            copy[_text(key) if isinstance(key, str) else _told(key)] = self.of(item, depth)
        return copy

    def _list(self, value: list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any], depth: int) -> list[Any]:
        copy: list[Any] = []
        for item in tuple(value):
            if self._left <= 0:
                copy.append(_CUT)
                break
            copy.append(self.of(item, depth))
        return copy


def _text(value: str) -> str:
    text = str.__str__(value)  # a subclass may say something else of itself
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + _CUT


def _told(value: object) -> str:
    try:
        return _text(str(value))
    except Exception:  # foreign code may raise anything, and here nothing may
        return f"<{type(value).__name__}>"
