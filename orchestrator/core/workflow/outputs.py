"""Reads what a peer says of a prompt: did it really succeed, and how far is it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from types import MappingProxyType
from typing import Any

from ...errors import JobLostError, PeerInterruptedError, PeerProtocolError
from .execution_errors import execution_error
from .result_nodes import is_for_result

_LEAST_SHARE = 0.01  #: of the mean of all nodes


def check_success(
    entry: Mapping[str, Any], peer: str, titles: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """Return the entry's outputs. `titles` are the names of the prompt's nodes.

    Success needs an execution_success message; ``status_str`` alone is also set by other endings.

    Raises:
        PeerExecutionError: a node raised; see ``execution_error`` for what its words tell.
        PeerInterruptedError: somebody stopped it there.
        JobLostError: it ended without a word. PeerProtocolError: this is no history entry.
    """
    messages = dict(_messages(entry))
    if "execution_error" in messages:
        raise execution_error(messages["execution_error"], peer, titles or {})
    if "execution_interrupted" in messages:
        raise PeerInterruptedError(
            f"The job was interrupted on {peer} by somebody there. Run it again if you want it."
        )
    if "execution_success" not in messages:
        raise JobLostError(f"{peer} ended the job without success or error.")
    outputs = entry.get("outputs")
    if not isinstance(outputs, Mapping):
        raise PeerProtocolError(f"{peer} answered with a history entry that has no outputs.")
    return outputs


def _messages(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, Mapping) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, (list, tuple)) and len(message) == 2 and isinstance(message[1], Mapping):
            yield str(message[0]), message[1]


@dataclass
class ProgressMeter:
    """How far one prompt is, from a peer's events. `titles` maps every node of the prompt to its name;
    `seconds` are what nodes took in an earlier run, empty where none is known.

    ``has_stepped``: a node that works in steps has done its first one.
    """

    titles: Mapping[str, str]
    seconds: InitVar[Mapping[str, float]] = MappingProxyType({})
    cached: frozenset[str] = frozenset()
    fraction: float = 0.0
    text: str = ""
    has_stepped: bool = False

    def __post_init__(self, seconds: Mapping[str, float]) -> None:
        # A node that was not heard of counts as little, so that the bar moves all the same.
        least = _LEAST_SHARE * sum(seconds.values()) / len(seconds) if seconds else 1.0
        self._weights = {node_id: max(seconds.get(node_id, 0.0), least) for node_id in self.titles}
        self._whole = sum(self._weights.values())

    def observe(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Take in one event; True when it changed something."""
        before = (self.fraction, self.text)
        if kind == "execution_cached":
            cached = data.get("nodes")
            self.cached = frozenset(map(str, cached)) if isinstance(cached, list) else frozenset()
        elif kind == "progress_state" and isinstance(data.get("nodes"), Mapping):
            self._take(data["nodes"])
        return (self.fraction, self.text) != before

    def _take(self, nodes: Mapping[str, Any]) -> None:
        done = sum(self._weights[node_id] for node_id in self.cached & self._weights.keys())
        for key, state in nodes.items():
            node_id = str(key)
            if not isinstance(state, Mapping) or node_id not in self.titles or node_id in self.cached:
                continue
            if state.get("state") == "finished":
                done += self._weights[node_id]
            elif state.get("state") == "running":
                value, top = _number(state.get("value")), _number(state.get("max"))
                done += min(value / top, 1.0) * self._weights[node_id] if top > 0 else 0.0
                self.has_stepped = self.has_stepped or (top > 1 and value > 0)
                if not is_for_result(node_id):
                    step = f", step {value:.0f}/{top:.0f}" if top > 1 else ""
                    self.text = f"{self.titles[node_id]}{step}"
        self.fraction = min(done / self._whole, 1.0) if self._whole else 0.0


def _number(value: object) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if usable else 0.0  # type: ignore[arg-type]
