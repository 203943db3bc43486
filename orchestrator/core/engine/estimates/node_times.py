"""How the time of a run is shared among its nodes, and what that says of a run that is under way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from ...prompts.kinds import Kind

KINDS_MAX, NODES_MAX = 200, 1_000
OVERDUE = 0.5  #: what is late is expected to need this share again of the time that it is late by


class NodeTimes:
    """Seconds by node, for each kind of graph; those of the kind that ran last stay. Of two graphs of a kind
    whose nodes have other ids the one says nothing of the other."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, dict[str, float]] = OrderedDict()

    def note(self, kind: Kind, seconds: Mapping[str, float]) -> None:
        """What the nodes of a run of this kind took; nothing of it was in the cache."""
        if not seconds or not kind.signature or len(seconds) > NODES_MAX:
            return
        before = self._known.pop(kind.signature, {})
        self._known[kind.signature] = {
            node_id: (its_s + before.get(node_id, its_s)) / 2 for node_id, its_s in seconds.items()
        }
        if len(self._known) > KINDS_MAX:
            self._known.popitem(last=False)

    def of(self, kind: Kind) -> Mapping[str, float]:
        """Empty for a kind that never ran."""
        return self._known.get(kind.signature, {})


def whole_run_s(expected_s: float, elapsed_s: float, fraction: float) -> float:
    """How long a run takes in all that was `expected_s` long when it began, has taken `elapsed_s` and is done
    to this `fraction`, 0 to 1. The further it is, the more its own pace counts."""
    by_plan_s = max(expected_s - elapsed_s, OVERDUE * (elapsed_s - expected_s))
    return elapsed_s + (1.0 - fraction**2) * by_plan_s + fraction * (1.0 - fraction) * elapsed_s
