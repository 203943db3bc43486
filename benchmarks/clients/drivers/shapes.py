"""The shape of an answer: what is the same on every server. For the drivers beside this file."""

from __future__ import annotations

import re
from typing import Any

KEPT = {"status_str", "type", "class_type"}
#: In words: a fleet tells which peer lacks what. And what it knows of a refusal from a list of nodes alone.
LEFT_OUT = {"message", "details", "extra_info"}
UNORDERED = {"dependent_outputs", "nodes"}
OTHER_FOLDER = {"temp"}  #: results that are no output lie in a folder of their own on a master


def shape(value: Any, key: str = "") -> Any:
    """`value`, parsed from JSON, with the names of types in place of what differs from server to server."""
    if isinstance(value, dict):
        if "1" in value and "class_type" in value["1"]:
            return "a graph"
        if value.get("type") in OTHER_FOLDER:
            value = {**value, "subfolder": "some"}
        named = {re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", k): v for k, v in value.items()}
        return {name: shape(named[name], name) for name in sorted(named) if name not in LEFT_OUT}
    if isinstance(value, list):
        is_item = len(value) in (5, 6) and isinstance(value[2], dict)  # of the queue
        value = ["its number", *value[1:4], sorted(value[4])] if is_item else value
        return sorted(map(shape, value)) if key in UNORDERED else [shape(item) for item in value]
    if isinstance(value, str) and (key in KEPT or len(value) <= 3 or value.startswith("execut")):
        return value
    return value if isinstance(value, bool) or value is None else type(value).__name__
