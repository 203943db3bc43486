"""Single widget values: what a new widget shows, what entering a number makes of it, values as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .object_info import ANY_VALUE, COMBO, DYNAMIC_COMBO, InputSpec

# Stands where the frontend has no value to send; None is a value.
MISSING: Any = object()


def default_value(spec: InputSpec) -> Any:
    """The value a new widget shows; MISSING where the frontend has none to send."""
    default = spec.default
    if spec.type in (COMBO, DYNAMIC_COMBO):
        if spec.multi_select and spec.options.get("multi_select"):
            return []
        if default and spec.type == COMBO:
            return default
        if spec.choices:
            return spec.choices[0]
        return "Loading..." if spec.options.get("remote") else MISSING
    if default is not None:
        return default
    return _DEFAULTS.get(spec.type, "")


_DEFAULTS: Mapping[str, Any] = {
    "INT": 0,
    "FLOAT": 0,
    "BOOLEAN": False,
    "COLOR": "#000000",
    "IMAGEUPLOAD": "image",
    "IMAGECOMPARE": ["", ""],
    "BOUNDING_BOX": {"x": 0, "y": 0, "width": 512, "height": 512},
    "BOUNDING_BOXES": [],
    "COLORS": [],
    "GALLERIA": [],
    "CHART": {},
    "RANGE": {"min": 0.0, "max": 1.0},
    "CURVE": {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"},
    "PAINTER": MISSING,
    "AUDIOUPLOAD": None,
    "RESOLUTION_PREVIEW": None,
    ANY_VALUE: MISSING,
}


def entered_value(spec: InputSpec | None, value: Any) -> Any:
    """What a number widget makes of a value that is entered: rounded to its step, floats within bounds."""
    if spec is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if spec.type == "INT":
        step = spec.step or 1
        if isinstance(value, int) and step == 1:
            return value
        offset = 0 if step == 1 else math.fmod(spec.minimum or 0, step)
        return _whole(_round(float((value - offset) / step)) * step + offset)
    if spec.type != "FLOAT":
        return value
    step = 0.5 if spec.step is None else spec.step
    decimals = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    given = spec.options.get("round")
    grain = 10.0**-decimals if decimals and not given else given
    if not isinstance(grain, (int, float)) or isinstance(grain, bool) or grain <= 0:
        return value
    low = 0 if spec.minimum is None else spec.minimum
    high = 2048 if spec.maximum is None else spec.maximum
    rounded = round(_round(value / grain) * grain, decimals or max(0, -math.floor(math.log10(grain))))
    return _whole(min(max(rounded, low), high))


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _whole(value: float) -> int | float:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def js_text(value: Any) -> str:
    """The text a text box shows for a value that is not text (JavaScript's rules)."""
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)
