"""Where a cut has to stop: before what runs on the master alone, and around loops that must stay whole.

Newer ComfyUI has a pair of loop nodes (StartLoop, EndLoop; any class may declare ``loop_boundary``). The host
pairs them over the whole prompt and copies what lies between, so a loop runs in one place or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .prompt import class_of, downstream, links_of, upstream

START, END = "start", "end"
_SIDES: Mapping[str, str] = {"StartLoop": START, "EndLoop": END}


def loop_side(class_type: str) -> str:
    """``START``, ``END`` or "": what is known of a class by its name alone."""
    return _SIDES.get(class_type, "")


@dataclass(frozen=True)
class Boundaries:
    """``stays_here`` tells of a class whether it runs on the master alone; ``loop_side`` which end of a loop
    it is, if any; ``output_type`` the type of its output with this number, "*" while unknown; ``gives_list``
    whether that output is a list, for whose items all that follows runs one by one; ``takes_list`` whether it
    takes all items at once instead."""

    stays_here: Callable[[str], bool] = lambda class_type: False
    loop_side: Callable[[str], str] = loop_side
    output_type: Callable[[str, int], str] = lambda class_type, slot: "*"
    gives_list: Callable[[str, int], bool] = lambda class_type, slot: False
    takes_list: Callable[[str], bool] = lambda class_type: False

    def here(self, prompt: Mapping[str, Any]) -> frozenset[str]:
        """Ids of the nodes that run on the master alone."""
        return frozenset(i for i, node in prompt.items() if self.stays_here(class_of(node)))


ANYTHING_TRAVELS = Boundaries()


@dataclass(frozen=True)
class Loop:
    """``nodes``: everything between the two, and they themselves."""

    start: str
    end: str
    nodes: frozenset[str]


def loops_of(prompt: Mapping[str, Any], side_of: Callable[[str], str]) -> tuple[Loop, ...]:
    """The loops of a prompt, inner ones first. An end without a start is none: the host refuses it."""
    sides = {node_id: side_of(class_of(node)) for node_id, node in prompt.items()}
    before = {node_id: upstream(prompt, [node_id]) for node_id, side in sides.items() if side}
    ends = sorted((i for i in before if sides[i] == END), key=lambda i: len(before[i]))
    free = {i for i in before if sides[i] == START}
    found = []
    for end in ends:
        # An inner loop depends on the outer one's start, so the innermost start has the most before it.
        start = max(free & before[end], key=lambda i: (len(before[i]), i), default=None)
        if start is not None:
            free.discard(start)
            between = downstream(prompt, [start]) & before[end]
            found.append(Loop(start, end, frozenset(between | {start, end})))
    return tuple(found)


def torn_ends(loops: Iterable[Loop], ids: Collection[str]) -> set[str]:
    """The loop nodes among `ids` whose loop is not wholly among them."""
    torn: set[str] = set()
    for loop in loops:
        if not loop.nodes <= set(ids):
            torn |= {loop.start, loop.end} & set(ids)
    return torn


def sinks(prompt: Mapping[str, Any]) -> set[str]:
    """Ids of the nodes whose values no other one uses."""
    return set(prompt) - {source for node in prompt.values() for _, source, _ in links_of(node)}
