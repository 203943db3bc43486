"""What another master sent runs here and travels no further: masters that list each other make no circle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...backends.client import HOP_HEADER
from ...core.workflow.cut import DISPATCH_CLASS
from ...core.workflow.prompt import class_of
from ...errors import ConfigError


def came_from_a_master(headers: Mapping[str, str]) -> bool:
    return HOP_HEADER in headers


def sender_of(headers: Mapping[str, str]) -> str:
    """Which master sent it, as that one calls itself."""
    return headers.get(HOP_HEADER, "")


def has_dispatch_node(prompt: Mapping[str, Any]) -> bool:
    return any(class_of(node) == DISPATCH_CLASS for node in prompt.values())


def refuse_further_hop(prompt: Mapping[str, Any]) -> None:
    """Raises ConfigError for a prompt of another master that would be dispatched once more."""
    if has_dispatch_node(prompt):
        raise ConfigError(
            "This prompt came from another master and holds a Remote Dispatch node; it would travel on. "
            "Take the node out, or run the graph on the machine that has the peers."
        )
