"""A peer's definition of a node class, made fit for the master's page: the peer is not trusted.

What a definition holds: GET /object_info of ComfyUI 0.3.75 to 0.33.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ...errors import WorkflowError

NAME_MAX = 200  #: characters of a class, an input or a choice
TEXT_MAX = 20_000  #: characters of any other text
ITEMS_MAX = 50_000  #: values in one definition
DEPTH_MAX = 16
_TOO_MUCH = "The definition holds more than any honest one."
# As a key of a JavaScript object these are not data.
_NO_KEYS = frozenset({"__proto__", "constructor", "prototype"})
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,100}")
_TEXTS = ("display_name", "description", "category", "essentials_category")
_FLAGS = ("output_node", "is_input_list", "deprecated", "experimental", "has_intermediate_output")
_LISTS = ("output", "output_is_list", "output_name", "output_tooltips", "output_matchtypes", "search_aliases")


def is_name(value: object) -> bool:
    """Whether it can be the name of a class, an input or a choice on the page.

    The host's menus take such names as HTML (frontends 1.32 and 1.58), so none may begin an element.
    """
    return (
        isinstance(value, str) and 0 < len(value) <= NAME_MAX and "<" not in value and value not in _NO_KEYS
    )


def fit_definition(name: str, raw: Any) -> dict[str, Any] | None:
    """A copy of `raw` that the page can take: known fields of the right types only; None when it is no
    definition at all, or far too large.

    Nothing in it makes the page ask another server: choices that are fetched from a `remote` lose that.
    """
    if not isinstance(raw, Mapping) or not is_name(name):
        return None
    try:
        copy = _Copy().of(raw, DEPTH_MAX)
    except WorkflowError:
        return None
    for field in ("display_name", "category"):
        if isinstance(copy.get(field), str):
            copy[field] = _shown(copy[field])
    inputs = copy.get("input")
    sections = inputs.items() if isinstance(inputs, dict) else ()
    fit: dict[str, Any] = {
        "input": {
            section: {key: spec for key, spec in specs.items() if _is_spec(spec)}
            for section, specs in sections
            if section in ("required", "optional") and isinstance(specs, dict)
        },
        **{field: copy[field] for field in _TEXTS if isinstance(copy.get(field), str)},
        **{field: copy[field] for field in _FLAGS if isinstance(copy.get(field), bool)},
        **{field: copy[field] for field in _LISTS if isinstance(copy.get(field), list)},
    }
    fit["input"].setdefault("required", {})
    if isinstance(inputs, dict) and isinstance(inputs.get("hidden"), dict):
        fit["input"]["hidden"] = inputs["hidden"]
    order = copy.get("input_order")
    if isinstance(order, dict):
        fit["input_order"] = {
            section: [key for key in keys if key in fit["input"].get(section, {})]
            for section, keys in order.items()
            if section in fit["input"] and isinstance(keys, list)
        }
    module = copy.get("python_module")
    known = isinstance(module, str) and _MODULE.fullmatch(module) and ".." not in module
    kinds = [_shown(kind) if isinstance(kind, str) else "COMBO" for kind in fit.get("output", [])]
    # The page needs a name and a flag for each output.
    names = [_shown(value) for value in fit.get("output_name", []) if isinstance(value, str)]
    lists = [value is True for value in fit.get("output_is_list", [])]
    return {
        **fit,
        "name": name,
        "display_name": fit.get("display_name") or name,
        "description": fit.get("description", ""),
        "category": fit.get("category", ""),
        "python_module": module if known else "custom_nodes.peer",
        "output_node": fit.get("output_node", False),
        "output": kinds,
        "output_name": names if len(names) == len(kinds) else list(kinds),
        "output_is_list": lists if len(lists) == len(kinds) else [False] * len(kinds),
    }


def fit_spec(raw: Any) -> Any:
    """A copy of one input's definition, as above; None when it is none."""
    try:
        copy = _Copy().of(raw, DEPTH_MAX)
    except WorkflowError:
        return None
    return copy if _is_spec(copy) else None


def _is_spec(spec: Any) -> bool:
    """``[type, options]``"""
    if not isinstance(spec, list) or not spec or not isinstance(spec[0], (str, list)):
        return False
    return len(spec) < 2 or isinstance(spec[1], dict)


def _shown(text: str) -> str:
    return text.replace("<", "‹")


class _Copy:
    def __init__(self) -> None:
        self._left = ITEMS_MAX

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if depth < 0 or self._left < 0:
            raise WorkflowError(_TOO_MUCH)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= 64 else None
        if isinstance(value, float):
            return value if math.isfinite(value) else None  # the browser's JSON has no other
        if isinstance(value, str):
            return value[:TEXT_MAX]
        if isinstance(value, Mapping):
            return {
                key: self.of(item, depth - 1)
                for key, item in value.items()
                if is_name(key) and not key.startswith("remote")
            }
        if isinstance(value, (list, tuple)):
            items = (item for item in value if not isinstance(item, str) or "<" not in item)
            return [self.of(item, depth - 1) for item in items]
        raise WorkflowError(_TOO_MUCH)
