"""Which node classes run on the master alone, and why: one notion for fleet mode, the cut and the engine.

Paid partner nodes are told by their flag: the account key of their sender never leaves the master.
``runs_here.json`` lists classes of well-known packs, by pack, that ask the page, or that read the memory,
the screen or the caches of the very server they run on. A user adds to that list, and takes out of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from .prompt import class_of, upstream

_LISTED_UP_TO = 5
SPLIT_CLASS, TILES_CLASS, GATHER_CLASS = "RemoteSplit", "RemoteSplitTiles", "RemoteGather"
_OWN = frozenset({SPLIT_CLASS, TILES_CLASS, GATHER_CLASS})


class Why(str, Enum):
    PARTNER = "partner"
    KNOWN = "known"
    LISTED = "listed"
    PIECES = "pieces"


_BECAUSE: Mapping[Why, str] = {
    Why.PARTNER: "it is paid for with your account, whose key never leaves this computer",
    Why.KNOWN: "it asks this page, or reads what only this computer has",
    Why.LISTED: "it is on your list of nodes that run here",
    Why.PIECES: "it cuts what the peers get, or joins what they made",
}


@dataclass(frozen=True)
class HereNode:
    """A node of a prompt that runs on the master alone."""

    node_id: str
    class_type: str
    why: Why

    def __str__(self) -> str:
        return f"{self.class_type} (node {self.node_id}) runs on this computer only: {_BECAUSE[self.why]}"


@dataclass(frozen=True)
class HereClasses:
    """``added``: classes that the user put on the list. ``released``: known ones that may run on peers."""

    added: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()

    def why(self, class_type: str, *, is_partner: bool) -> Why | None:
        """Why a class runs on the master alone; None for one that may run anywhere."""
        if class_type in _OWN:
            return Why.PIECES
        if is_partner:
            return Why.PARTNER
        if class_type in self.added:
            return Why.LISTED
        is_known = class_type in known_classes() and class_type not in self.released
        return Why.KNOWN if is_known else None

    def nodes(
        self, prompt: Mapping[str, Any], roots: Iterable[str], is_partner: Callable[[str], bool]
    ) -> tuple[HereNode, ...]:
        """Those among `roots` and all they depend on, in the order of the prompt."""
        found = tuple(self._nodes(prompt, is_partner))
        if not found:
            return ()  # as in nearly every prompt; what depends on what is then nobody's question
        reached = upstream(prompt, roots)
        return tuple(node for node in found if node.node_id in reached)

    def _nodes(self, prompt: Mapping[str, Any], is_partner: Callable[[str], bool]) -> Iterator[HereNode]:
        for node_id, node in prompt.items():
            name = class_of(node)
            why = self.why(name, is_partner=is_partner(name)) if name else None
            if why is not None:
                yield HereNode(node_id, name, why)


def in_words(nodes: Iterable[HereNode]) -> str:
    """One sentence about some of them."""
    said = [str(node) for node in nodes]
    more = f"; and {len(said) - _LISTED_UP_TO} more" if len(said) > _LISTED_UP_TO else ""
    return "; ".join(said[:_LISTED_UP_TO]) + more + "."


@lru_cache(maxsize=1)
def known_classes() -> frozenset[str]:
    """The classes of ``runs_here.json``."""
    packs = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return frozenset(name for names in packs.values() for name in names)
